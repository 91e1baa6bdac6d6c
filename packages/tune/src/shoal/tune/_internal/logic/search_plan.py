"""What a search is to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.train import Checkpoint, CheckpointConfig
from shoal.tune._internal.logic.life import bundles_of
from shoal.tune._internal.logic.slots import Bundles
from shoal.tune._internal.logic.spaces import evaluated
from shoal.tune._internal.logic.trial_names import experiment_tag
from shoal.tune.experiment.trial import Trial


@dataclass(frozen=True)
class SearchPlan:
    """What a search is to do, checked.

    Args:
        search: a text that no other search has; names are made of it.
        experiment: the search's name.
        trainable: name of what runs.
        space: of parameters.
        resources: bundles of a trial, by its configuration.
        place: gives a trial its name and folders.
        checkpoint_at: the checkpoint of a trial with a number.
        date: of a time in seconds since 1970, as text.
        metrics: that every report has to have.
        max_failures: how often a trial is tried again; -1 for any number.
        fail_fast: whether one trial's failure ends the search.
        time_budget: seconds; None for no end.
        reuse: whether an executor runs one trial after the other.
        saves_itself: whether a trial can make a checkpoint when it is asked to (classes).
        checkpoints: which are kept.
        stopper: says of a result whether its trial ends, and whether the search does; None for no such thing.
        start_from: what trials begin from that have no checkpoint.
        max_silence: seconds that a trial may go without a report; None for any time.
        may_work_ahead: whether a process may be given a trial before the one that it runs has ended.
    """

    search: str
    experiment: str
    trainable: str
    space: Mapping[str, Any]
    resources: Callable[[dict[str, Any]], Bundles]
    place: Callable[[Trial], None]
    checkpoint_at: Callable[[Trial, int], Checkpoint]
    date: Callable[[float], str]
    metrics: tuple[str, ...] = ()
    max_failures: int = 0
    fail_fast: bool = False
    time_budget: float | None = None
    reuse: bool = True
    saves_itself: bool = False
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    stopper: Any = None
    start_from: Checkpoint | None = None
    max_silence: float | None = None
    may_work_ahead: bool = False

    def trial(self, identity: str, number: int, config: dict[str, Any]) -> Trial:
        """Returns a new trial, which the search does not know yet."""
        params = evaluated(self.space, config)
        trial = Trial(
            identity,
            number,
            config,
            trainable_name=self.trainable,
            evaluated_params=params,
            experiment_tag=experiment_tag(number, params),
            experiment_name=self.experiment,
            resources=bundles_of(self.resources(config)),
        )
        self.place(trial)
        return trial
