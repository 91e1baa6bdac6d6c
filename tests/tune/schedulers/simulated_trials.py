"""A search without processes: trials are functions, time is virtual, and what a scheduler may never do is checked at each step."""

from __future__ import annotations

import heapq
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal.tune.experiment.trial import ERROR, PAUSED, PENDING, RUNNING, TERMINATED, Trial
from shoal.tune.schedulers import TrialScheduler

SAVING = 0.25
"""Virtual seconds that a trial takes to store the checkpoint with which it pauses."""


@dataclass
class Plan:
    """What a trial does.

    Args:
        metric: of an iteration, from the state before and the configuration; the metric is the new state.
        steps: iterations after which it ends by itself.
        duration: of an iteration, in virtual seconds.
        fails_at: iterations that fail, each once.
        retries: failures that are survived: the trial goes on from its latest checkpoint.
    """

    metric: Callable[[int, float, Mapping[str, Any]], float] = lambda iteration, state, config: 0.0
    steps: int = 1_000_000
    duration: Callable[[int], float] = lambda iteration: 1.0
    config: Mapping[str, Any] = field(default_factory=dict)
    fails_at: frozenset[int] = frozenset()
    retries: int = 0


def curve(*values: float, **more: Any) -> Plan:
    """A trial that reports these values."""
    return Plan(lambda iteration, state, config: values[iteration - 1], steps=len(values), **more)


def line(slope: float, **more: Any) -> Plan:
    """A trial whose metric grows evenly."""
    return Plan(lambda iteration, state, config: slope * iteration, **more)


@dataclass(frozen=True)
class Saved:
    """Stands for a checkpoint."""

    iteration: int
    state: float


@dataclass
class _Run:
    plan: Plan
    iteration: int = 0
    state: float = 0.0
    failed_at: set[int] = field(default_factory=set)
    turn: int = 0
    """Events of earlier turns are void."""
    pauses: bool = False
    """Whether it was told to pause; it runs until its checkpoint is stored."""


class SimulatedSearch:
    """Runs trials with a scheduler, as a TuneController.

    Args:
        scheduler: that is tried.
        plans: of the trials, in order; each is made when there is a place for it.
        slots: places.
        remade: makes an equal scheduler; then the scheduler is replaced by one with its state after each event.
        concurrent: trials that are not over at a time, paused ones among them; None for no such limit.
        local_path: the folder of a trial's files, by its id.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        plans: Sequence[Plan],
        slots: int = 4,
        remade: Callable[[], TrialScheduler] | None = None,
        concurrent: int | None = None,
        local_path: Callable[[str], str] = lambda trial_id: "",
    ) -> None:
        self.scheduler = scheduler
        self.trials: list[Trial] = []
        self.history: dict[str, list[tuple[int, float, dict[str, Any]]]] = {}
        """For each trial: iteration, metric and configuration of each report."""
        self.exploits: list[tuple[int, int, dict[str, Any]]] = []
        """Numbers of trial and donor, and the new configuration."""
        self.story: list[str] = []
        self.now = 0.0
        self._plans = list(plans)
        self._slots = slots
        self._remade = remade
        self._concurrent = concurrent
        self._local_path = local_path
        self._runs: dict[str, _Run] = {}
        self._events: list[tuple[float, int, str, int]] = []
        self._requests: list[Callable[[], None]] = []
        self._reporter: Trial | None = None
        self._changed: set[str] = set()

    def run(self) -> SimulatedSearch:
        """Returns when all trials are over."""
        self._fill()
        for _ in range(200_000):
            if not self._events:
                break
            self.now, _, trial_id, turn = heapq.heappop(self._events)
            trial = self._trial(trial_id)
            run = self._runs[trial_id]
            if turn != run.turn or trial.status != RUNNING:
                continue
            if run.pauses:
                run.pauses = False
                self._save(trial)
                trial.status = PAUSED
            else:
                self._report(trial)
            self._requested()
            if self._remade is not None:
                state = pickle.dumps(self.scheduler.get_state())
                self.scheduler = self._remade()
                self.scheduler.set_state(pickle.loads(state))
            self._fill()
        self._check(not self._live() and len(self.trials) == len(self._plans), "there are trials that never ended")
        return self

    def iterations(self) -> list[int]:
        """Returns how far each trial came."""
        return [max((one[0] for one in self.history[trial.trial_id]), default=0) for trial in self.trials]

    # --- TuneController -------------------------------------------------------------------------------------------------------------

    def get_trials(self) -> Sequence[Trial]:
        return self.trials

    def get_live_trials(self) -> Sequence[Trial]:
        return self._live()

    def stop_trial(self, trial: Trial) -> None:
        self._check(not trial.is_finished(), f"{trial} is stopped and is over")
        self._requests.append(lambda: self._end(trial, TERMINATED))

    def save_trial(self, trial: Trial) -> None:
        self._check(trial.status == RUNNING, f"{trial} is saved and does not run")
        self._requests.append(lambda: self._save(trial))

    def exploit(self, trial: Trial, donor: Trial, config: Mapping[str, Any], tag: str = "") -> None:
        self._check(not trial.is_finished(), f"{trial} is a copy and is over")
        saved: Any = donor.checkpoint
        if trial is not donor:
            self._check(isinstance(saved, Saved), f"{donor} is copied and has no checkpoint")
        self._changed.add(trial.trial_id)
        self.exploits.append((trial.number, donor.number, dict(config)))

        def change() -> None:
            if trial is donor:
                self._save(trial)
            else:
                trial.checkpoint = saved
            trial.config = dict(config)
            self._note(f"{trial} goes on from {donor}'s {trial.checkpoint} with {trial.config} ({tag})")
            self._pend(trial)

        self._requests.append(change)

    def set_resources(self, trial: Trial, resources: Sequence[Mapping[str, float]]) -> None:
        self._changed.add(trial.trial_id)

        def change() -> None:
            trial.resources = tuple(dict(bundle) for bundle in resources)
            self._pend(trial)

        self._requests.append(change)

    # --- what happens ---------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        asked_in_vain = False
        while self._live() or len(self.trials) < len(self._plans):
            running = sum(trial.status == RUNNING for trial in self.trials)
            self._check(running <= self._slots, "more trials run than there are places")
            if running == self._slots:
                return
            if not any(trial.status == PENDING for trial in self._live()):
                self._make()
            trial = self.scheduler.choose_trial_to_run(self)
            self._requested()
            if trial is not None:
                self._check(any(trial is one for one in self.trials), f"{trial} is none of the search's trials")
                self._check(trial.status in (PENDING, PAUSED), f"{trial} is chosen and is {trial.status}")
                self._start(trial)
                asked_in_vain = False
            elif running > 0:
                return
            elif asked_in_vain:
                self._check(not self._live(), "nothing runs, and nothing is chosen")
                return
            else:
                asked_in_vain = True

    def _make(self) -> None:
        number = len(self.trials)
        if number == len(self._plans) or (self._concurrent is not None and len(self._live()) >= self._concurrent):
            return
        trial_id = f"t{number:04d}"
        trial = Trial(trial_id, number, dict(self._plans[number].config), experiment_tag=str(number))
        trial.local_path = self._local_path(trial_id)
        self.trials.append(trial)
        self._runs[trial_id] = _Run(self._plans[number])
        self.history[trial_id] = []
        self.scheduler.on_trial_add(self, trial)
        self._requested()

    def _start(self, trial: Trial) -> None:
        run = self._runs[trial.trial_id]
        saved: Any = trial.checkpoint
        run.iteration, run.state = (saved.iteration, saved.state) if saved is not None else (0, 0.0)
        trial.status = RUNNING
        self._note(f"{trial} runs from {run.iteration}")
        self._schedule(trial)

    def _schedule(self, trial: Trial, seconds: float | None = None) -> None:
        run = self._runs[trial.trial_id]
        run.turn += 1
        at = self.now + (run.plan.duration(run.iteration + 1) if seconds is None else seconds)
        heapq.heappush(self._events, (at, trial.number, trial.trial_id, run.turn))

    def _report(self, trial: Trial) -> None:
        run = self._runs[trial.trial_id]
        run.iteration += 1
        if run.iteration in run.plan.fails_at - run.failed_at:
            run.failed_at.add(run.iteration)
            trial.num_failures += 1
            if trial.num_failures <= run.plan.retries:
                self._note(f"{trial} fails and is tried again")
                self._pend(trial)
            else:
                self._end(trial, ERROR)
                self.scheduler.on_trial_error(self, trial)
            return
        run.state = run.plan.metric(run.iteration, run.state, trial.config)
        result = {"training_iteration": run.iteration, "time_total_s": self.now, "m": run.state, "config": trial.config}
        trial.last_result = result
        self.history[trial.trial_id].append((run.iteration, run.state, dict(trial.config)))
        if run.iteration >= run.plan.steps:
            self.scheduler.on_trial_complete(self, trial, result)
            self._end(trial, TERMINATED)
            return
        self._changed.clear()
        decision = self.scheduler.on_trial_result(self, trial, result)
        self._note(f"{trial} reports {run.state:g} at {run.iteration}: {decision}")
        if trial.trial_id in self._changed:
            self._check(decision == TrialScheduler.NOOP, f"{trial} was changed and is told to {decision}")
        elif decision == TrialScheduler.PAUSE:
            self._runs[trial.trial_id].pauses = True
            self._schedule(trial, SAVING)
        elif decision == TrialScheduler.STOP:
            self._end(trial, TERMINATED)
        else:
            self._check(decision == TrialScheduler.CONTINUE, f"{trial} is told to {decision}")
            self._schedule(trial)

    def _pend(self, trial: Trial) -> None:
        self._runs[trial.trial_id].turn += 1
        self._runs[trial.trial_id].pauses = False
        trial.status = PENDING

    def _save(self, trial: Trial) -> None:
        run = self._runs[trial.trial_id]
        saved: Any = Saved(run.iteration, run.state)
        trial.checkpoint = saved
        trial.checkpoints = [(saved, dict(trial.last_result))]

    def _end(self, trial: Trial, status: str) -> None:
        self._check(not trial.is_finished(), f"{trial} is ended twice")
        trial.status = status
        self._note(f"{trial} is {status}")

    def _requested(self) -> None:
        while self._requests:
            self._requests.pop(0)()

    def _live(self) -> list[Trial]:
        return [trial for trial in self.trials if not trial.is_finished()]

    def _trial(self, trial_id: str) -> Trial:
        return self.trials[int(trial_id[1:])]

    def _note(self, what: str) -> None:
        self.story.append(f"{self.now:g}: {what}")

    def _check(self, holds: bool, otherwise: str) -> None:
        assert holds, "\n".join([*self.story[-60:], otherwise, self.scheduler.debug_string()])
