"""HyperBand: trials of a bracket wait for each other at each rung, and the best of them go on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from shoal.tune._internal.logic.reported_number import check_number
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import PAUSED, PENDING, Trial
from shoal.tune.schedulers.comparing_scheduler import ComparingScheduler
from shoal.tune.schedulers.trial_scheduler import TrialScheduler, TuneController


@dataclass
class Bracket:
    """Successive halving of some trials.

    Args:
        capacity: trials that begin in it.
        rungs: the times at which trials wait and are compared; those that reach the last are done.
        reduction_factor: trials for each that goes on.
    """

    capacity: int
    rungs: list[float]
    reduction_factor: float
    rung: int = 0
    entered: int = 0
    """Trials that began the rung."""
    closed: bool = False
    """Whether no more trials are taken: it is full, or has been halved."""
    live: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Time and score of the trials that are in it, as reported last."""
    behind: dict[str, None] = field(default_factory=dict)
    """Those of them that have not reached the rung."""

    def add(self, trial_id: str) -> None:
        """A trial begins in it."""
        self.live[trial_id] = (0.0, 0.0)
        self.behind[trial_id] = None
        self.entered += 1
        self.closed = self.entered == self.capacity

    def report(self, trial_id: str, time: float, score: float) -> None:
        """A trial of it reported."""
        self.live[trial_id] = (time, score)
        if time >= self.rungs[self.rung]:
            self.behind.pop(trial_id, None)

    def remove(self, trial_id: str) -> None:
        """A trial is over."""
        self.live.pop(trial_id, None)
        self.behind.pop(trial_id, None)

    @property
    def is_last_rung(self) -> bool:
        """Whether nobody is compared any more."""
        return self.rung == len(self.rungs) - 1

    def halve(self) -> list[str]:
        """Returns who does not go on to the next rung: all but the best one in `reduction_factor` of those that began this one, and one."""
        kept = max(1, int(self.entered / self.reduction_factor + 1e-9))
        ranked = sorted(self.live, key=lambda trial_id: -self.live[trial_id][1])
        winners, losers = ranked[:kept], ranked[kept:]
        self.rung += 1
        self.closed = True
        self.entered = len(winners)
        self.live = {trial_id: self.live[trial_id] for trial_id in winners}
        self.behind = {trial_id: None for trial_id in winners if self.live[trial_id][0] < self.rungs[self.rung]}
        return losers


class HyperBandScheduler(ComparingScheduler):
    """Spreads trials over brackets, and halves each bracket at its rungs.

    A bracket with `n` trials runs them all to its first rung, keeps the best n/`reduction_factor`, runs these `reduction_factor` times as
    long, and so on up to `max_t`. Trials that wait at a rung are paused, so there may be more trials than places; trainables have to make
    checkpoints. The brackets of a band differ in how early they compare (Li et al., *Hyperband: A Novel Bandit-Based Approach to
    Hyperparameter Optimization*, 2018, Algorithm 1); as in Ray, those that compare late are filled first. A bracket that gets no more
    trials is halved with those that it has. NaN ranks worst.

    Args:
        time_attr: what `max_t` is measured in; a number that each report has, and that grows.
        metric: to compare by ('a/b' for nested reports); None to take TuneConfig's.
        mode: 'min' or 'max'; None to take TuneConfig's.
        max_t: the most time that a trial gets (R in the paper).
        reduction_factor: η in the paper (> 1; need not be whole).
        stop_last_trials: whether trials end at `max_t`; else they go on to their own end.

    Raises:
        InvalidArgumentError: an argument cannot be.

    Example:
        >>> from shoal.tune.schedulers import HyperBandScheduler
        >>> HyperBandScheduler(metric="loss", mode="min", max_t=81).band()
        [(5, [81]), (8, [27, 81]), (15, [9, 27, 81]), (34, [3, 9, 27, 81]), (81, [1, 3, 9, 27, 81])]
    """

    ties_trials = True

    _STATE = ("_brackets", "_bracket_numbers", "_next_bracket", "_num_stopped")

    _largest_first = False

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 81,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        check_number("max_t", max_t, 1)
        check_number("reduction_factor", reduction_factor, 1, above=True)
        self._max_t = max_t
        self._reduction_factor = reduction_factor
        self._stop_last_trials = stop_last_trials
        self._sizes = _band(max_t, reduction_factor)
        if self._largest_first:
            self._sizes.reverse()
        self._brackets: dict[int, Bracket] = {}
        """Those that have live trials, or are being filled."""
        self._bracket_numbers: dict[str, int] = {}
        """Of each live trial."""
        self._next_bracket = 0
        self._num_stopped = 0

    def band(self) -> list[tuple[int, list[float]]]:
        """Returns, for each bracket, how many trials begin in it, and its rungs."""
        return [(capacity, list(rungs)) for capacity, rungs in self._sizes]

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        if trial.trial_id in self._bracket_numbers:
            return
        number = self._next_bracket - 1
        if number not in self._brackets or self._brackets[number].closed:
            number = self._next_bracket
            self._next_bracket += 1
            capacity, rungs = self._sizes[number % len(self._sizes)]
            if not self._stop_last_trials:
                rungs = [*rungs[:-1], float("inf")]
            self._brackets[number] = Bracket(capacity, rungs, self._reduction_factor)
        self._brackets[number].add(trial.trial_id)
        self._bracket_numbers[trial.trial_id] = number

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        if not self._has_metric(trial, result):
            return TrialScheduler.CONTINUE
        time, score = self._time(trial, result), self._score(trial, result)
        if not self._is_known(trial):
            self.on_trial_add(tune_controller, trial)
        number = self._bracket_numbers[trial.trial_id]
        bracket = self._brackets[number]
        bracket.report(trial.trial_id, time, score)
        self._advance(tune_controller, number, reporter=trial)
        if trial.trial_id not in self._bracket_numbers:
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE if trial.trial_id in bracket.behind else TrialScheduler.PAUSE

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        trial = self._runnable(tune_controller)
        if trial is None and self._asked_in_vain(tune_controller):
            self._add_unknown(tune_controller)
            number = self._next_bracket - 1
            if number in self._brackets and not self._brackets[number].behind:
                self._brackets[number].closed = True
                self._advance(tune_controller, number)
            trial = self._runnable(tune_controller)
        return trial

    def debug_string(self) -> str:
        brackets = [
            f"{len(bracket.live)} trials up to {self._time_attr} {bracket.rungs[bracket.rung]:g}"
            for bracket in self._brackets.values()
        ]
        return f"{type(self).__name__}: {self._num_stopped} stopped; brackets: {', '.join(brackets) or 'none'}"

    def _is_known(self, trial: Trial) -> bool:
        return trial.trial_id in self._bracket_numbers

    def _ended(self, tune_controller: TuneController, trial: Trial) -> None:
        number = self._bracket_numbers.pop(trial.trial_id, None)
        if number is not None:
            self._brackets[number].remove(trial.trial_id)
            self._advance(tune_controller, number)
        super()._ended(tune_controller, trial)

    def _runnable(self, tune_controller: TuneController) -> Trial | None:
        for bracket in self._brackets.values():
            for trial_id in bracket.behind:
                trial = self._trial(tune_controller, trial_id)
                if trial.status in (PENDING, PAUSED):
                    return trial
        return None

    def _advance(self, tune_controller: TuneController, number: int, reporter: Trial | None = None) -> None:
        """Halves a bracket as often as its trials allow. Ends who does not go on, but for the reporter: that is the caller's decision."""
        bracket = self._brackets[number]
        while bracket.closed and bracket.live and not bracket.behind and not bracket.is_last_rung:
            self._stop(tune_controller, bracket.halve(), reporter)
        if bracket.is_last_rung:
            done = [trial_id for trial_id in bracket.live if trial_id not in bracket.behind]
            for trial_id in done:
                bracket.remove(trial_id)
            self._stop(tune_controller, done, reporter)
        if bracket.closed and not bracket.live:
            del self._brackets[number]

    def _stop(self, tune_controller: TuneController, trial_ids: list[str], reporter: Trial | None) -> None:
        self._num_stopped += len(trial_ids)
        for trial_id in trial_ids:
            trial = self._trial(tune_controller, trial_id)
            del self._bracket_numbers[trial_id]
            if trial is not reporter:
                tune_controller.stop_trial(trial)


def _band(max_t: float, reduction_factor: float) -> list[tuple[int, list[float]]]:
    """Returns (n, rungs) of each bracket, from the one that never compares."""
    last = 0
    while reduction_factor ** (last + 1) <= max_t * (1 + 1e-9):
        last += 1
    if last == 0 and max_t > 1:
        raise InvalidArgumentError(
            f"reduction_factor is {reduction_factor} and max_t is {max_t}; no trial would ever be compared. Give reduction_factor <= max_t"
        )
    band: list[tuple[int, list[float]]] = []
    for halvings in range(last + 1):
        trials = (last + 1) / (halvings + 1) * reduction_factor**halvings
        rungs: list[float] = [int(max_t / reduction_factor**left + 1e-9) for left in range(halvings, 0, -1)]
        band.append((math.ceil(trials - 1e-9), [*rungs, max_t]))
    return band
