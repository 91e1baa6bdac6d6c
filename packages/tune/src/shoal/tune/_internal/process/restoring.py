"""Takes a stored search up again: trials as the log tells, and searcher and scheduler as they were, brought up to the log."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.air.callback import Callback
from shoal.train import RunConfig
from shoal.tune._internal.logic.metrics import flat_result
from shoal.tune._internal.logic.renewed_objects import is_same_grid, with_renewed_objects
from shoal.tune._internal.logic.search_state import SearchState
from shoal.tune._internal.process.search_storage import SearchStorage
from shoal.tune._internal.process.trial_record import TrialRecord
from shoal.tune.exceptions import RestoreError
from shoal.tune.experiment.trial import ERROR, PAUSED, PENDING, TERMINATED
from shoal.tune.resume_config import ResumeConfig, ResumeType
from shoal.tune.search_space import Domain, Grid
from shoal.tune.trainable.resolved import ResolvedTrainable
from shoal.tune.tune_config import TuneConfig


class StoredSearch:
    """What a search's folder says about how it was asked for. Raises RestoreError where there is no search, or another one.

    Args:
        storage: the folder.
        trainable: what shall run.
        space: given anew; None to take what is stored.
    """

    def __init__(self, storage: SearchStorage, trainable: ResolvedTrainable, space: Mapping[str, Any] | None) -> None:
        if not storage.has_search:
            raise RestoreError(
                f"there is no search in {storage.path}; Tuner.can_restore(path) tells where there is one"
            )
        storage.fetch()
        arguments = storage.tuner()
        if arguments["trainable"] != trainable.name:
            raise RestoreError(
                f"the search in {storage.path} is of the trainable {arguments['trainable']!r}, and {trainable.name!r} was given; "
                "give the one that it was started with"
            )
        if space is not None:
            check_same_space(arguments["space"], space)
        self.space: Mapping[str, Any] = space if space is not None else arguments["space"]
        self.tune_config: TuneConfig = _loaded(arguments["tune_config"], "TuneConfig")
        self.run_config: RunConfig = _loaded(arguments["run_config"], "RunConfig")


def _loaded(data: bytes | str, what: str) -> Any:
    if isinstance(data, str):
        raise RestoreError(
            f"the search's {what} could not be stored ({data}), so it cannot be restored; give callbacks, searchers and schedulers that "
            "can be pickled"
        )
    return pickle.loads(data)


def check_same_space(stored: Any, given: Any, path: str = "param_space") -> None:
    """Raises RestoreError where a space differs from the stored one in more than constants."""
    if isinstance(stored, Mapping) or isinstance(given, Mapping):
        is_grid = isinstance(stored, Mapping) and set(stored) == {"grid_search"}
        if (
            not isinstance(stored, Mapping)
            or not isinstance(given, Mapping)
            or (is_grid and not is_same_grid(stored, given))
        ):
            raise RestoreError(_changed(path, stored, given))
        for name in stored.keys() | given.keys():
            if name not in given:
                raise RestoreError(f"{path}[{name!r}] is missing; the search was started with it: give the same space")
            if name not in stored:
                raise RestoreError(f"{path}[{name!r}] is new; the search was started without it: give the same space")
            check_same_space(stored[name], given[name], f"{path}[{name!r}]")
    elif (isinstance(stored, Domain | Grid) or isinstance(given, Domain | Grid)) and (
        type(stored) is not type(given) or (not _holds_code(stored) and stored != given)
    ):
        raise RestoreError(_changed(path, stored, given))


def _holds_code(domain: Any) -> bool:
    """Functions, and other values that are another object after they were stored, cannot be compared."""
    return any(callable(one) for one in getattr(domain, "__dict__", {}).values())


def _changed(path: str, stored: Any, given: Any) -> str:
    return f"{path} is {given!r}, and was {stored!r} when the search was started; give the same space, or start a new search"


def take_up(
    state: SearchState,
    storage: SearchStorage,
    resume: ResumeConfig,
    callbacks: Sequence[Callback],
    stopper: Any,
    space: Mapping[str, Any],
) -> None:
    """Brings a new state to where the stored search was. `space`: as it is now, with objects that were made anew."""
    stored_space = storage.tuner()["space"]
    known = storage.search()
    state.time_used = known["time_used"]
    state.suggestions.set_state(known["suggestions"])
    state.scheduler.set_state(known["scheduler"])
    if stopper is not None and known["stopper"] is not None:
        stopper.set_state(known["stopper"])
    for callback, its in zip(callbacks, known["callbacks"], strict=False):
        if its is not None:
            callback.set_state(its)
    if state.scheduler.ties_trials:
        storage.go_back()
    for record in storage.trials():
        record.trial.config = with_renewed_objects(record.trial.config, stored_space, space)
        _adopt(state, record, resume, known)


def _adopt(state: SearchState, record: TrialRecord, resume: ResumeConfig, known: Mapping[str, Any]) -> None:
    trial = record.trial
    was = trial.status
    what = {TERMINATED: resume.finished, ERROR: resume.errored}.get(was, resume.unfinished)
    is_over = was in (TERMINATED, ERROR)
    if what is not ResumeType.SKIP:
        trial.status = PAUSED if was == PAUSED and what is ResumeType.RESUME else PENDING
        if is_over:
            trial.num_failures, trial.error, trial.why_stopped = 0, None, None
        if what is ResumeType.RESTART:
            record.stored, record.latest = [], None
            trial.last_result = {}
            trial.metric_analysis.clear()
    elif not is_over:
        trial.status, trial.why_stopped = TERMINATED, "restore"
    life = state.book.add(trial)
    state.adopt(life, record.stored, record.latest)
    state.suggestions.replay(trial.trial_id)
    if trial.number >= known["trials"]:
        state.tell_scheduler_added(trial)
    if is_over and trial.trial_id not in known["over"]:
        state.tell_scheduler_over(trial, failed=was == ERROR)
    if is_over or trial.is_finished():
        state.suggestions.complete(trial.trial_id, flat_result(trial.last_result) or None, error=was == ERROR)
