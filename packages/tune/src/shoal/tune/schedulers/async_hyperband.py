"""Asynchronous successive halving: a trial that is behind at a rung ends there, and nobody waits."""

from __future__ import annotations

import math
import random
from bisect import insort
from typing import Any

from shoal.tune._internal.logic.reported_number import WORST, check_number, check_whole
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.comparing_scheduler import ComparingScheduler
from shoal.tune.schedulers.trial_scheduler import TrialScheduler, TuneController


class AsyncHyperBandScheduler(ComparingScheduler):
    """Stops what is behind at rungs: after `grace_period`, `grace_period * reduction_factor`, and so on.

    At each rung a trial goes on when its metric is among the best 1/`reduction_factor` of those that reached the rung before it; the first
    always does. So decisions are made at once, and no trial is ever paused. This is the stopping variant of ASHA (Li et al., *A System for
    Massively Parallel Hyperparameter Tuning*, 2018). NaN ranks worst.

    Args:
        time_attr: what the other arguments are measured in; a number that each report has, and that grows.
        metric: to compare by ('a/b' for nested reports); None to take TuneConfig's.
        mode: 'min' or 'max'; None to take TuneConfig's.
        max_t: trials end at this time.
        grace_period: nobody is stopped before this time.
        reduction_factor: how many trials there are for each that goes on (> 1; need not be whole).
        brackets: with more than one, trials are spread by chance over brackets; in bracket n, the first n rungs are left out.
        stop_last_trials: whether trials end at `max_t`; else they go on to their own end.
        seed: for the choice of brackets, together with the trial's number.

    Raises:
        InvalidArgumentError: an argument cannot be.

    Example:
        >>> from shoal.tune.schedulers import ASHAScheduler
        >>> ASHAScheduler(metric="loss", mode="min", max_t=64, grace_period=4).rungs()
        [[4, 16, 64]]
    """

    _STATE = ("_scores", "_places", "_num_stopped")

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        check_number("max_t", max_t, 0, above=True)
        check_number("grace_period", grace_period, 0, above=True)
        check_number("reduction_factor", reduction_factor, 1, above=True)
        check_whole("brackets", brackets, 1)
        if grace_period > max_t:
            raise InvalidArgumentError(f"grace_period is {grace_period} and max_t is {max_t}; it has to be <= max_t")
        self._max_t = max_t
        self._reduction_factor = reduction_factor
        self._stop_last_trials = stop_last_trials
        self._seed = seed
        rungs = _rungs(grace_period, max_t, reduction_factor)
        if brackets > len(rungs):
            raise InvalidArgumentError(
                f"brackets is {brackets}, and there are {len(rungs)} rungs from grace_period={grace_period} to max_t={max_t}; "
                f"give at most {len(rungs)}"
            )
        self._rungs = [rungs[skipped:] for skipped in range(brackets)]
        self._scores: list[list[list[float]]] = [[[] for _ in bracket] for bracket in self._rungs]
        """For each rung of each bracket: the scores of those that reached it, from worst to best."""
        self._places: dict[str, tuple[int, int]] = {}
        """For each live trial: its bracket, and the first rung that it has not reached."""
        self._num_stopped = 0

    def rungs(self) -> list[list[float]]:
        """Returns, for each bracket, the times at which trials may be stopped."""
        return [list(bracket) for bracket in self._rungs]

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        self._place(trial)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        time = self._time(trial, result)
        if time >= self._max_t and self._stop_last_trials:
            decision = TrialScheduler.STOP
        elif self._has_metric(trial, result):
            decision = self._decision(trial, time, self._score(trial, result))
        else:
            decision = TrialScheduler.CONTINUE
        if decision == TrialScheduler.STOP:
            self._num_stopped += 1
            self._ended(tune_controller, trial)
        return decision

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        if trial.trial_id in self._places and self._time_attr in result and self._has_metric(trial, result):
            self._decision(trial, self._time(trial, result), self._score(trial, result))
        super().on_trial_complete(tune_controller, trial, result)

    def debug_string(self) -> str:
        cutoffs = [
            f"{rung:g}: {'nobody yet' if not scores else format(self._sign * self._cutoff(scores), '.4g')}"
            for bracket, bracket_scores in zip(self._rungs, self._scores, strict=True)
            for rung, scores in zip(bracket, bracket_scores, strict=True)
        ]
        return f"{type(self).__name__}: {self._num_stopped} stopped; goes on from {self._time_attr} with {', '.join(cutoffs)}"

    @property
    def _sign(self) -> int:
        return 1 if self._mode == "max" else -1

    def _ended(self, tune_controller: TuneController, trial: Trial) -> None:
        super()._ended(tune_controller, trial)
        self._places.pop(trial.trial_id, None)

    def _place(self, trial: Trial) -> tuple[int, int]:
        place = self._places.get(trial.trial_id)
        if place is None:
            place = self._places[trial.trial_id] = (self._bracket_of(trial), 0)
        return place

    def _bracket_of(self, trial: Trial) -> int:
        if len(self._rungs) == 1:
            return 0
        chance = random.Random(f"{self._seed}/{trial.number}")
        weights = [math.exp(len(bracket) - len(self._rungs[0])) for bracket in self._rungs]
        return chance.choices(range(len(weights)), weights)[0]

    def _decision(self, trial: Trial, time: float, score: float) -> str:
        bracket, rung = self._place(trial)
        rungs = self._rungs[bracket]
        if rung == len(rungs) or time < rungs[rung]:
            return TrialScheduler.CONTINUE
        while rung + 1 < len(rungs) and time >= rungs[rung + 1]:
            rung += 1  # what it scores now says nothing about the rungs that it passed in between
        self._places[trial.trial_id] = (bracket, rung + 1)
        scores = self._scores[bracket][rung]
        behind = bool(scores) and (score < self._cutoff(scores) or (score == WORST and scores[-1] > WORST))
        insort(scores, score)
        return TrialScheduler.STOP if behind else TrialScheduler.CONTINUE

    def _cutoff(self, scores: list[float]) -> float:
        """Returns the quantile that has 1/`reduction_factor` of the scores above it, between two scores where it falls between them."""
        position = (len(scores) - 1) * (1 - 1 / self._reduction_factor)
        below = int(position)
        part = position - below
        if part == 0 or math.isinf(scores[below]):
            return scores[below]
        return scores[below] + part * (scores[below + 1] - scores[below])


def _rungs(grace_period: float, max_t: float, reduction_factor: float) -> list[float]:
    rungs = [grace_period]
    while rungs[-1] * reduction_factor <= max_t:
        rungs.append(rungs[-1] * reduction_factor)
    return rungs


ASHAScheduler = AsyncHyperBandScheduler
