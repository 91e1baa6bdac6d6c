"""The functions that there were before Tuner."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.train import CheckpointConfig, FailureConfig, RunConfig
from shoal.tune._internal.process.search_storage import SearchStorage
from shoal.tune.analysis import ExperimentAnalysis
from shoal.tune.exceptions import InvalidArgumentError, TuneError
from shoal.tune.experiment.experiment import Experiment
from shoal.tune.experiment.trial import ERROR, Trial
from shoal.tune.resume_config import ResumeConfig
from shoal.tune.schedulers.trial_scheduler import TrialScheduler
from shoal.tune.search.searcher import Searcher
from shoal.tune.trainable.with_resources import WithResources, with_resources
from shoal.tune.tune_config import TuneConfig
from shoal.tune.tuner import Tuner


def run(
    run_or_experiment: Any,
    *,
    name: str | None = None,
    metric: str | None = None,
    mode: str | None = None,
    stop: Any = None,
    time_budget_s: float | None = None,
    config: Mapping[str, Any] | None = None,
    resources_per_trial: Any = None,
    num_samples: int = 1,
    storage_path: str | os.PathLike[str] | None = None,
    storage_filesystem: Any = None,
    search_alg: Searcher | str | None = None,
    scheduler: TrialScheduler | str | None = None,
    checkpoint_config: CheckpointConfig | None = None,
    verbose: int | None = None,
    progress_reporter: Any = None,
    log_to_file: Any = False,
    trial_name_creator: Callable[[Trial], str] | None = None,
    trial_dirname_creator: Callable[[Trial], str] | None = None,
    sync_config: Any = None,
    export_formats: Sequence[str] | None = None,
    max_failures: int = 0,
    fail_fast: bool | str = False,
    restore: str | None = None,
    server_port: int | None = None,
    resume: bool | str | None = None,
    resume_config: ResumeConfig | None = None,
    reuse_actors: bool | None = None,
    raise_on_failed_trial: bool = True,
    callbacks: Sequence[Any] | None = None,
    max_concurrent_trials: int | None = None,
) -> ExperimentAnalysis:
    """Runs a search, as Tuner(...).fit() does, and returns it to be looked at.

    Args:
        run_or_experiment: what runs, or an Experiment.
        name: of the search.
        metric: what trials are compared by.
        mode: 'min' or 'max'.
        stop: when a trial ends, as RunConfig's.
        time_budget_s: seconds after which all ends.
        config: the space of parameters.
        resources_per_trial: as for `tune.with_resources`.
        num_samples: how often the space is drawn from; -1 for no end.
        storage_path: folder or URI under which the search's folder is made.
        storage_filesystem: of pyarrow or fsspec.
        search_alg: who suggests.
        scheduler: who decides.
        checkpoint_config: which checkpoints are kept.
        verbose: 0 for no progress.
        progress_reporter: shows the progress instead.
        log_to_file: whether what trials print goes to files.
        trial_name_creator: as TuneConfig's.
        trial_dirname_creator: as TuneConfig's.
        sync_config: accepted for Ray's sake.
        export_formats: accepted for Ray's sake.
        max_failures: how often a trial is tried again.
        fail_fast: True to end at the first failure; 'raise' to raise it.
        restore: the checkpoint's folder that every trial starts from.
        server_port: accepted for Ray's sake.
        resume: True, 'AUTO' or the like to go on with the search of that name; with 'ERRORED' trials that failed, too.
        resume_config: what becomes of the trials then.
        reuse_actors: as TuneConfig's.
        raise_on_failed_trial: whether failed trials are an error.
        callbacks: who is told.
        max_concurrent_trials: trials at a time.

    Raises:
        TuneError: trials failed; or as Tuner.fit.
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> analysis = tune.run(lambda config: {"loss": config["x"]}, config={"x": tune.grid_search([3, 1, 2])}, verbose=0)
        >>> analysis.get_best_config("loss", "min")
        {'x': 1}
    """
    experiment = run_or_experiment
    if not isinstance(experiment, Experiment):
        experiment = Experiment(
            name,
            run_or_experiment,
            stop=stop,
            time_budget_s=time_budget_s,
            config=config,
            resources_per_trial=resources_per_trial,
            num_samples=num_samples,
            storage_path=storage_path,
            storage_filesystem=storage_filesystem,
            checkpoint_config=checkpoint_config,
        )
    given = experiment.run_config
    others = experiment.others
    run_config = RunConfig(
        name=given.name,
        storage_path=given.storage_path,
        storage_filesystem=given.storage_filesystem,
        failure_config=FailureConfig(max_failures=others.get("max_failures", max_failures), fail_fast=fail_fast),
        checkpoint_config=given.checkpoint_config,
        callbacks=list(callbacks) if callbacks is not None else None,
        verbose=verbose,
        stop=given.stop,
        progress_reporter=progress_reporter,
        log_to_file=others.get("log_to_file", log_to_file),
    )
    tune_config = TuneConfig(
        mode=mode,
        metric=metric,
        search_alg=search_alg,
        scheduler=scheduler,
        num_samples=experiment.num_samples,
        max_concurrent_trials=max_concurrent_trials,
        time_budget_s=experiment.time_budget_s,
        reuse_actors=reuse_actors,
        trial_name_creator=others.get("trial_name_creator", trial_name_creator),
        trial_dirname_creator=others.get("trial_dirname_creator", trial_dirname_creator),
    )
    trainable = experiment.run
    if experiment.resources_per_trial is not None:
        if isinstance(trainable, WithResources):
            raise InvalidArgumentError(
                "resources_per_trial is given, and the trainable has resources of its own; give one"
            )
        trainable = with_resources(trainable, experiment.resources_per_trial)
    tuner = Tuner(trainable, param_space=experiment.config, tune_config=tune_config, run_config=run_config)
    if resume or resume_config is not None:
        tuner = _resumed(tuner, run_config, resume, resume_config)
    if restore is not None:
        tuner.start_from(restore)
    results = tuner.fit()
    failed = [trial for trial in results.trials if trial.status == ERROR]
    if failed and raise_on_failed_trial:
        error = TuneError(
            f"{len(failed)} of {len(results)} trials failed: "
            + "; ".join(f"{trial}: {type(trial.error).__name__}: {trial.error}" for trial in failed[:3])
            + (" …" if len(failed) > 3 else "")
        )
        error.__cause__ = failed[0].error
        raise error
    return ExperimentAnalysis(
        results.experiment_path,
        storage_filesystem=results.filesystem,
        trials=results.trials,
        default_metric=metric,
        default_mode=mode,
    )


def _resumed(tuner: Tuner, run_config: RunConfig, resume: bool | str | None, how: ResumeConfig | None) -> Tuner:
    if run_config.name is None:
        raise InvalidArgumentError(
            f"resume is {resume!r}, and there is no name; give the name of the search that goes on"
        )
    base = run_config.storage_path if run_config.storage_path is not None else os.path.expanduser("~/ray_results")
    storage = SearchStorage.at(base, run_config.storage_filesystem).below(run_config.name)
    words = str(resume).upper()
    if not storage.has_search:
        if words.startswith("AUTO"):
            return tuner
        raise InvalidArgumentError(f"resume is {resume!r}, and there is no search in {storage.path}")
    if how is None:
        how = ResumeConfig.of(True, "ERRORED" in words and "RESTART" not in words, "RESTART_ERRORED" in words)
    tuner.go_on_from(storage, how)
    return tuner


def run_experiments(
    experiments: Experiment | Mapping[str, Any] | Sequence[Any],
    scheduler: TrialScheduler | str | None = None,
    verbose: int | None = None,
    progress_reporter: Any = None,
    resume: bool | str | None = None,
    reuse_actors: bool | None = None,
    raise_on_failed_trial: bool = True,
    concurrent: bool = True,
    callbacks: Sequence[Any] | None = None,
    **others: Any,
) -> list[Trial]:
    """Runs several searches, one after the other, and returns all of their trials.

    Args:
        experiments: an Experiment, a dict of specifications by name, or a list of these.
        scheduler: who decides.
        verbose: 0 for no progress.
        progress_reporter: shows the progress instead.
        resume: as in `tune.run`.
        reuse_actors: as TuneConfig's.
        raise_on_failed_trial: whether failed trials are an error.
        concurrent: accepted for Ray's sake: all trials of one search run before the next begins.
        callbacks: who is told.
        **others: further arguments of `tune.run`.

    Raises:
        TuneError: trials failed; or as Tuner.fit.
    """
    trials: list[Trial] = []
    for experiment in _all(experiments):
        analysis = run(
            experiment,
            scheduler=scheduler,
            verbose=verbose,
            progress_reporter=progress_reporter,
            resume=resume,
            reuse_actors=reuse_actors,
            raise_on_failed_trial=raise_on_failed_trial,
            callbacks=callbacks,
            **others,
        )
        trials += analysis.trials
    return trials


def _all(experiments: Any) -> list[Experiment]:
    if isinstance(experiments, Experiment):
        return [experiments]
    if isinstance(experiments, Mapping):
        return [Experiment.from_json(name, spec) for name, spec in experiments.items()]
    if isinstance(experiments, Sequence) and not isinstance(experiments, str):
        return [one for part in experiments for one in _all(part)]
    raise InvalidArgumentError(
        f"experiments is {experiments!r}; give an Experiment, a dict of specifications, or a list of these"
    )
