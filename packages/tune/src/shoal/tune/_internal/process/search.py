"""Puts a search together from what the user gave, runs it, and says what came of it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shoal
from shoal import cloudpickle, engines
from shoal.air.callback import Callback
from shoal.experimental import preload
from shoal.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig
from shoal.tune._internal.logic.search_plan import SearchPlan
from shoal.tune._internal.logic.search_state import SearchState, infeasible
from shoal.tune._internal.logic.slots import Slots
from shoal.tune._internal.logic.suggestions import Suggestions
from shoal.tune._internal.logic.trial_names import LONGEST, clean_name, folder_name
from shoal.tune._internal.process.executors import Executors
from shoal.tune._internal.process.progress_display import progress_callback
from shoal.tune._internal.process.restoring import take_up
from shoal.tune._internal.process.search_run import SearchRun
from shoal.tune._internal.process.search_saving import SearchSaving
from shoal.tune._internal.process.search_storage import SearchStorage
from shoal.tune._internal.process.trial_executor import ExecutorSettings, TrialExecutor
from shoal.tune._internal.process.trial_session import SessionRules
from shoal.tune.exceptions import InvalidArgumentError, TuneError
from shoal.tune.experiment.trial import Trial
from shoal.tune.logger.default_callbacks import default_callbacks
from shoal.tune.registry import packed_environments
from shoal.tune.resume_config import ResumeConfig
from shoal.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from shoal.tune.search.basic_variant import BasicVariantGenerator
from shoal.tune.search.searcher import Searcher
from shoal.tune.stopper import NoopStopper, Stopper, stopper_of
from shoal.tune.trainable.resolved import ResolvedTrainable
from shoal.tune.trainable.with_parameters import WithParameters
from shoal.tune.tune_config import TuneConfig


@dataclass
class Search:
    """One search.

    Args:
        trainable: what runs.
        space: of parameters.
        tune_config: how the search goes.
        run_config: where it is stored, what ends trials, what is done about failures.
        storage: its folder.
        resume: what becomes of trials that are there; None for a new search.
        start_from: what trials begin from.
    """

    trainable: ResolvedTrainable
    space: Mapping[str, Any]
    tune_config: TuneConfig
    run_config: RunConfig
    storage: SearchStorage
    resume: ResumeConfig | None = None
    start_from: Checkpoint | None = None

    def __post_init__(self) -> None:
        self.was_interrupted = False
        self.error: BaseException | None = None

    def run(self) -> list[Trial]:
        """Runs it to its end. Returns its trials. Raises TuneError where it cannot go on."""
        self._check()
        if not shoal.is_initialized():
            if os.environ.get("TUNE_DISABLE_AUTO_INIT", "0") == "1":
                raise TuneError("there is no session, and TUNE_DISABLE_AUTO_INIT=1; call shoal.init() first")
            shoal.init()
        # Processes of trials are forked from one that knows these.
        preload([TrialExecutor.__module__])
        slots = Slots(shoal.cluster_resources(), self.tune_config.max_concurrent_trials or None)
        fixed = self.trainable.fixed_resources
        if fixed is not None and (missing := slots.missing(fixed)):
            raise infeasible("A trial", missing)
        searcher, scheduler = self._searcher(slots), self._scheduler()
        criteria, stopper = _stops(self.run_config.stop)
        state = SearchState(
            self._plan(searcher, scheduler, stopper), self._suggestions(searcher, slots), scheduler, slots
        )
        callbacks = self._callbacks(slots)
        self.storage.make()
        executors = Executors(
            shoal.put(self._settings(state.lock_step, criteria)), self.trainable.strategy, self.trainable.reserves
        )
        saving = SearchSaving(state, self.storage, lambda: _known(callbacks, stopper))
        fail_fast = (self.run_config.failure_config or FailureConfig()).fail_fast
        run = SearchRun(state, executors, saving, callbacks, raises=fail_fast == "raise")
        if self.resume is not None:
            take_up(state, self.storage, self.resume, callbacks, stopper, self.space)
        else:
            self.storage.set_aside()
            self.storage.save_tuner(self._arguments())
        self._prepare(state, callbacks)
        try:
            run.run()
        finally:
            self.was_interrupted = run.was_interrupted
            self.storage.close()
        return state.trials

    def _prepare(self, state: SearchState, callbacks: Sequence[Callback]) -> None:
        total = getattr(state.suggestions.searcher, "total_samples", None)
        if total is None and self.tune_config.num_samples != -1:
            total = self.tune_config.num_samples
        for callback in callbacks:
            callback.setup(
                stop=self.run_config.stop,
                num_samples=self.tune_config.num_samples,
                total_num_samples=total,
                name=self.storage.path.rpartition("/")[2],
                path=self.storage.path,
            )

    # --- parts ----------------------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raises InvalidArgumentError where arguments do not fit each other."""
        checkpoints = self.run_config.checkpoint_config or CheckpointConfig()
        if not self.trainable.is_class:
            for name in ("checkpoint_frequency", "checkpoint_at_end"):
                if getattr(checkpoints, name, None):
                    raise InvalidArgumentError(
                        f"CheckpointConfig has {name}={getattr(checkpoints, name)!r}, and {self.trainable.name!r} is a function: it makes "
                        "its checkpoints itself, by tune.report(metrics, checkpoint=...). Classes (tune.Trainable) have them made."
                    )
        try:
            cloudpickle.dumps(dict(self.space))
        except Exception as error:  # locks, connections, … say so in many ways
            raise InvalidArgumentError(
                f"param_space has something that cannot be pickled, and has to travel to the trials' processes: {error}. "
                "Make it in the trainable, or give what it is made of."
            ) from error

    def _searcher(self, slots: Slots) -> Searcher:
        config = self.tune_config
        given = config.search_alg
        if isinstance(given, str):
            from shoal.tune.search import create_searcher

            given = create_searcher(given)
        searcher = given if given is not None else BasicVariantGenerator()
        # Slots limit who runs. Who is paused does not run: a searcher without memory need not wait for its end.
        if config.max_concurrent_trials and not isinstance(searcher, BasicVariantGenerator):
            searcher.set_max_concurrency(config.max_concurrent_trials)
        takes = searcher.set_search_properties(
            config.metric, config.mode, dict(self.space), num_samples=config.num_samples, seed=config.seed
        )
        if not takes:
            _check_given_once("search_alg", searcher, config)
        return searcher

    def _suggestions(self, searcher: Searcher, slots: Slots) -> Suggestions:
        counts_itself = (
            isinstance(searcher, BasicVariantGenerator) or getattr(searcher, "total_samples", None) is not None
        )
        samples = self.tune_config.num_samples
        window = self.tune_config.max_concurrent_trials or slots.capacity(
            self.trainable.fixed_resources or ({"CPU": 1.0},)
        )
        return Suggestions(searcher, None if counts_itself or samples == -1 else samples, max(1, window))

    def _scheduler(self) -> TrialScheduler:
        config = self.tune_config
        given = config.scheduler
        if isinstance(given, str):
            from shoal.tune.schedulers import create_scheduler

            given = create_scheduler(given)
        scheduler = given if given is not None else FIFOScheduler()
        metric = config.metric if isinstance(config.metric, str) else None
        mode = config.mode if isinstance(config.mode, str) else None
        if not scheduler.set_search_properties(metric, mode, seed=config.seed):
            raise InvalidArgumentError(
                f"metric={metric!r} and mode={mode!r} are given in TuneConfig, and {type(scheduler).__name__} has its own "
                f"(metric={scheduler.metric!r}); give them in one place"
            )
        return scheduler

    def _plan(self, searcher: Searcher, scheduler: TrialScheduler, stopper: Stopper | None) -> SearchPlan:
        failure = self.run_config.failure_config or FailureConfig()
        local, path, filesystem = self.storage.local_path, self.storage.path, self.storage.filesystem
        dates: dict[int, str] = {}

        def date(timestamp: float) -> str:
            second = int(timestamp)
            if second not in dates:
                dates.clear()
                dates[second] = local_date(second)
            return dates[second]

        creators = self.tune_config.trial_name_creator, self.tune_config.trial_dirname_creator

        def place(trial: Trial) -> None:
            if creators[0] is not None:
                trial.custom_name = str(creators[0](trial))
            if creators[1] is not None:
                folder = str(creators[1](trial))
                if not folder or "/" in folder or len(folder) > LONGEST:
                    raise InvalidArgumentError(
                        f"trial_dirname_creator returned {folder!r}; return a folder's name, without '/', of at most {LONGEST} characters"
                    )
            else:
                folder = folder_name(trial.trial_name, trial.experiment_tag, local_date(time.time()))
            trial.path, trial.local_path = f"{path}/{folder}", f"{local}/{folder}"

        resources = self.trainable.resources
        return SearchPlan(
            search=secrets.token_hex(8),
            experiment=path.rpartition("/")[2],
            trainable=self.trainable.name,
            space=dict(self.space),
            resources=resources,
            place=place,
            checkpoint_at=lambda trial, number: Checkpoint(f"{trial.path}/checkpoint_{number:06d}", filesystem),
            date=date,
            metrics=self._demanded(searcher, scheduler),
            max_failures=failure.max_failures,
            fail_fast=bool(failure.fail_fast),
            time_budget=self.tune_config.time_budget_seconds,
            reuse=self.tune_config.reuse_actors is not False,
            saves_itself=self.trainable.is_class,
            checkpoints=self.run_config.checkpoint_config or CheckpointConfig(),
            stopper=stopper,
            start_from=self.start_from,
            max_silence=self.tune_config.max_report_interval_seconds,
            # Where all run in one process, one at a time, nobody holds anything while another runs.
            may_work_ahead="process_isolation" in engines.current().capabilities,
        )

    def _demanded(self, searcher: Searcher, scheduler: TrialScheduler) -> tuple[str, ...]:
        """Returns the metrics that every report has to have."""
        if not _is_strict():
            return ()
        names: dict[str, None] = {}
        for metric in (self.tune_config.metric, scheduler.metric, searcher.metric):
            names |= dict.fromkeys([metric] if isinstance(metric, str) else metric or ())
        return tuple(names)

    def _settings(self, lock_step: bool, criteria: Mapping[str, float]) -> ExecutorSettings:
        trainable = self.trainable.trainable
        checkpoints = self.run_config.checkpoint_config or CheckpointConfig()
        log = self.run_config.log_to_file
        files: tuple[str, str] | None = None
        if log is True:
            files = ("stdout", "stderr")
        elif isinstance(log, str):
            files = (log, log)
        elif log:
            files = (str(log[0]), str(log[1]))
        return ExecutorSettings(
            trainable=trainable.shared() if isinstance(trainable, WithParameters) else trainable,
            rules=SessionRules(
                lock_step, None if self.storage.is_local else self.storage.filesystem, dict(criteria), _is_strict()
            ),
            driver_pid=os.getpid(),
            is_trainer=self.trainable.is_trainer,
            enter_folder=os.environ.get("RAY_CHDIR_TO_TRIAL_DIR", "1") != "0",
            frequency=checkpoints.checkpoint_frequency or 0,
            at_end=bool(checkpoints.checkpoint_at_end),
            reuse_objects=self.tune_config.reuse_actors is True,
            log_to_file=files,
            environments=packed_environments(),
        )

    def _callbacks(self, slots: Slots) -> list[Callback]:
        callbacks = default_callbacks(self.run_config.callbacks)
        shown = progress_callback(
            self.run_config.progress_reporter,
            verbose=self.run_config.verbose,
            metric=self.tune_config.metric,
            mode=self.tune_config.mode,
            capacity=shoal.cluster_resources(),
        )
        return callbacks if shown is None else [*callbacks, shown]

    def _arguments(self) -> dict[str, Any]:
        """Returns what a restored Tuner is made of. What cannot be pickled has to be given again, and is said to be missing."""
        return {
            "trainable": self.trainable.name,
            "space": dict(self.space),
            "tune_config": _storable(self.tune_config),
            "run_config": _storable(self.run_config),
        }


def _storable(value: Any) -> bytes | str:
    try:
        data: bytes = cloudpickle.dumps(value)
    except Exception as error:  # users' callbacks, searchers on connections, …
        return f"{type(error).__name__}: {error}"
    return data


def _is_strict() -> bool:
    return os.environ.get("TUNE_DISABLE_STRICT_METRIC_CHECKING", "0") != "1"


def _stops(stop: Any) -> tuple[dict[str, float], Stopper | None]:
    """Returns thresholds, which the trials' processes know themselves, and what the search has to be asked for."""
    stopper = stopper_of(stop)  # checks
    if isinstance(stop, Mapping):
        return dict(getattr(stopper, "_thresholds", stop)), None
    return {}, None if isinstance(stopper, NoopStopper) else stopper


def _check_given_once(argument: str, part: Any, config: TuneConfig) -> None:
    if config.metric is not None and part.metric is not None and part.metric != config.metric:
        raise InvalidArgumentError(
            f"metric={config.metric!r} is given in TuneConfig, and {type(part).__name__} has metric={part.metric!r}; give it in one place"
        )


def _known(callbacks: Sequence[Callback], stopper: Stopper | None) -> dict[str, Any]:
    return {
        "callbacks": [callback.get_state() for callback in callbacks],
        "stopper": stopper.get_state() if stopper is not None else None,
    }


def default_name(trainable: str) -> str:
    """Returns a name for a search that has none."""
    date = local_date(time.time())
    return clean_name(f"{trainable[: LONGEST - len(date) - 1]}_{date}")


def local_date(timestamp: float) -> str:
    """Returns a time in seconds since 1970 as users read it."""
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(timestamp))
