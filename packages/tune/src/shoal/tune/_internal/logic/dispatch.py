"""Which trial gets which executor: those that there are, more of them while there is work and room, and what each holds ahead.

An executor that runs a short trial is given the next one before that has ended, and begins it by itself (`HoldTrial`): what lies between
two trials is then no way there and back. That is done only where it changes nothing but the time: where the scheduler lets trials run in
their order, where a suggestion does not depend on when it is asked for, and where nothing but the last trial ends the search. An executor
begins what it holds if its trial has ended well, and if nothing else was reported before; both sides know that without asking. Who has
nothing to do takes back what another holds (`TakeBack`), so that nothing waits behind a trial that turned out to be long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shoal.tune._internal.logic import effects as act
from shoal.tune._internal.logic.effects import Effect, Notify
from shoal.tune._internal.logic.life import Life
from shoal.tune._internal.logic.scheduler_requests import SchedulerRequests
from shoal.tune._internal.logic.search_plan import SearchPlan
from shoal.tune._internal.logic.silences import Silences
from shoal.tune._internal.logic.slots import BUSY, IDLE, STARTING, Bundles, Executor, Slots
from shoal.tune._internal.logic.spaces import merged
from shoal.tune._internal.logic.suggestions import Suggestions
from shoal.tune._internal.logic.trial_book import TrialBook
from shoal.tune._internal.logic.trial_names import trial_id
from shoal.tune.experiment.trial import PAUSED, PENDING, RUNNING
from shoal.tune.schedulers.trial_scheduler import TrialScheduler

SHORT = 1.0
"""Seconds of a trial that is worth working ahead for: what lies between two trials is some milliseconds."""


@dataclass(frozen=True)
class _Held:
    """What an executor will begin by itself."""

    life: Life
    ticket: int


class Dispatch:
    """That of one search.

    Args:
        plan: of the search.
        book: its trials.
        suggestions: where configurations of new ones come from.
        scheduler: says which trial comes next.
        controller: what the scheduler may ask.
        slots: the executors.
        silences: is told of who begins and ends.
        effects: gets what is to be done.
        is_closed: whether no trial begins any more.
        refuse: is told of a new trial that can never run, and what it lacks: name to (needed, there).
    """

    def __init__(
        self,
        plan: SearchPlan,
        book: TrialBook,
        suggestions: Suggestions,
        scheduler: TrialScheduler,
        controller: SchedulerRequests,
        slots: Slots,
        silences: Silences,
        effects: list[Effect],
        is_closed: Callable[[], bool],
        refuse: Callable[[Life, dict[str, tuple[float, float]]], None],
    ) -> None:
        self.running: dict[int, Life] = {}
        self._plan = plan
        self._book = book
        self._suggestions = suggestions
        self._scheduler = scheduler
        self._controller = controller
        self._slots = slots
        self._silences = silences
        self._effects = effects
        self._is_closed = is_closed
        self._refuse = refuse
        self._works_ahead = (
            plan.may_work_ahead
            and plan.reuse
            and not plan.fail_fast
            and plan.time_budget is None
            and plan.stopper is None
            and type(scheduler).choose_trial_to_run is TrialScheduler.choose_trial_to_run
        )
        self._held: dict[int, _Held] = {}
        self._tickets = 0
        self._begun: list[int] = []
        """Executors whose trial has ended, and that have begun what they held."""
        self._asked_back: dict[int, int] = {}
        """Executors that were asked to give back what they hold, by its ticket."""
        self._spoiled: set[int] = set()
        """Executors that hold something that shall not run any more."""
        self._usual: tuple[int, float] | None = None
        """How many times the trial that ended last was heard of, and its seconds."""

    def fill(self, now: float, force: bool = False) -> bool:
        """Gives work to executors, and starts more of them while there is work and room.

        Returns False where the search is stuck: nothing runs, nothing starts, and there is something left.

        Args:
            force: nothing else can go on: new trials are asked for, whatever their order.
        """
        while self._begun:
            self._begin_held(self._begun.pop(0), now)
        while not self._is_closed() and (executor := self._slots.idle()) is not None:
            life = self._chosen(force)
            if life is None:
                break
            if executor.bundles != life.trial.resources:
                fitting = self._slots.idle(life.trial.resources)
                if fitting is None:
                    if self._make_room(life.trial.resources):
                        self._start_executor(life.trial.resources)
                    break
                executor = fitting
            self._effects.append(act.RunTrial(executor.number, self._begins(life, executor, now)))
        while not self._is_closed():
            bundles = self._shape_in_need(force)
            if bundles is None or not self._make_room(bundles):
                break
            self._start_executor(bundles)
        if self._is_closed() or (not self._book.live and self._suggestions.is_finished):
            self.retire_idle()
        elif not self.running and not self._slots.count(STARTING) and not self._asked_back:
            return False if force else self.fill(now, force=True)
        else:
            self._ask_back()
            for number in self.running if self._works_ahead and not self._slots.count(STARTING) else ():
                self.look_ahead(number)
        return True

    def leave(self, life: Life, reusable: bool, now: float) -> None:
        """A trial and its executor part."""
        executor = life.executor
        assert executor is not None
        number = executor.number
        life.executor = None
        del self.running[number]
        self._silences.gone(number)
        if not reusable or self._is_closed() or number in self._spoiled:
            self.end(executor)
            return
        self._usual = (life.frames, now - life.began)
        if number not in self._held:
            executor.status = IDLE
        elif number not in self._asked_back:
            self._begun.append(number)

    # --- working ahead --------------------------------------------------------------------------------------------------------------

    def look_ahead(self, number: int) -> None:
        """Gives an executor its next trial where the one that it runs is short, and likely to have ended when it is heard of next."""
        life = self.running[number]
        if not self._works_ahead or self._usual is None or number in self._held:
            return
        if number in self._asked_back or number in self._spoiled:
            return
        frames, seconds = self._usual
        if seconds >= SHORT or (life.frames + 1 != frames and life.ending is None) or self._is_closed():
            return
        following = self._book.first_waiting()
        if following is None and self._suggestions.can_ask_early:
            following = self.new_trial()
        executor = self._slots.get(number)
        if following is None or following.runs_alone or executor is None:
            return
        if following.trial.resources == executor.bundles:
            self._tickets += 1
            self._held[number] = _Held(following, self._tickets)
            following.held_by = executor
            self._effects.append(act.HoldTrial(number, self._assignment(following), self._tickets))

    def went_on(self, number: int) -> None:
        """A trial has reported, and has not ended: what its executor held is not begun."""
        self._spoiled.discard(number)
        self._asked_back.pop(number, None)
        self._drop_held(number)

    def cannot_hold(self, number: int) -> None:
        """What an executor should hold could not travel there. Its own start will say why."""
        if (held := self._held.get(number)) is not None:
            held.life.runs_alone = True
            self._asked_back.pop(number, None)
            self._drop_held(number)

    def release(self, life: Life) -> None:
        """What an executor holds is not to be run as it is. Perhaps it is begun already, so the executor is not used again."""
        if life.held_by is not None:
            self._spoiled.add(life.held_by.number)
            self._drop_held(life.held_by.number)

    def given_back(self, number: int, ticket: int, has_it: bool) -> None:
        """An executor says whether it has begun what it was asked to give back."""
        if self._asked_back.get(number) != ticket:
            return  # it is known already
        del self._asked_back[number]
        executor = self._slots.get(number)
        assert executor is not None
        has_ended = number not in self.running
        if has_it:
            self._drop_held(number)
            if has_ended:
                executor.status = IDLE
        elif has_ended:
            self._begun.append(number)
        if number in self._spoiled and has_ended:
            self.end(executor)

    def _ask_back(self) -> None:
        """Executors that have nothing to do take what others hold."""
        if not self._held:
            return
        idle = [executor.bundles for executor in self._slots if executor.status == IDLE]
        for number in self._asked_back:
            if (asked := self._slots.get(number)) is not None and asked.bundles in idle:
                idle.remove(asked.bundles)
        for number, held in self._held.items():
            if number not in self._asked_back and held.life.trial.resources in idle:
                idle.remove(held.life.trial.resources)
                self._asked_back[number] = held.ticket
                self._effects.append(act.TakeBack(number, held.ticket))

    def _begin_held(self, number: int, now: float) -> None:
        executor, held = self._slots.get(number), self._held.pop(number, None)
        if held is not None:
            held.life.held_by = None
        if executor is None:
            return
        if held is None or self._is_closed():  # it has begun what shall not run any more
            self.end(executor)
            return
        self._begins(held.life, executor, now)
        self._effects.append(act.AwaitHeld(number))

    def _drop_held(self, number: int) -> None:
        if (held := self._held.pop(number, None)) is not None:
            held.life.held_by = None

    # --- executors ------------------------------------------------------------------------------------------------------------------

    def retire_idle(self) -> None:
        """Ends executors that have nothing to do."""
        for executor in self._slots:
            if executor.status != BUSY:
                self.end(executor)

    def end(self, executor: Executor) -> None:
        """An executor is not needed any more, or not there."""
        self._slots.remove(executor)
        self._spoiled.discard(executor.number)
        self._asked_back.pop(executor.number, None)
        self._drop_held(executor.number)
        self._effects.append(act.EndExecutor(executor.number))

    def _shape_in_need(self, force: bool) -> Bundles | None:
        """Returns what the next new executor has to have: there is a trial for it, and no executor that would take it."""
        live = self._book.live
        ready = [executor for executor in self._slots if executor.status in (STARTING, IDLE)]
        for trial in live:
            if trial.status != PENDING:
                continue
            for executor in ready:
                if executor.bundles == trial.resources:
                    ready.remove(executor)
                    break
            else:
                return trial.resources
        if ready or (live and not self._slots.has_room(next(iter(live)).resources)):
            return None
        life = self.new_trial(force)
        if life is not None:
            return life.trial.resources
        # Paused trials come back when the scheduler wants them: an executor that has gone must not be missing then.
        if not self.running and not ready and live:
            paused = self._scheduler.choose_trial_to_run(self._controller)
            self._controller.carry_out()
            return None if paused is None else paused.resources
        return None

    def _make_room(self, bundles: Bundles) -> bool:
        """Ends executors of other shapes that have nothing to do, as far as that helps."""
        while not self._slots.has_room(bundles):
            other = next((one for one in self._slots if one.status == IDLE and one.bundles != bundles), None)
            if other is None:
                return False
            self.end(other)
        return True

    def _start_executor(self, bundles: Bundles) -> None:
        self._effects.append(act.StartExecutor(self._slots.add(bundles).number, bundles))

    # --- the beginnings of trials ---------------------------------------------------------------------------------------------------

    def _chosen(self, force: bool = False) -> Life | None:
        """Returns the trial that a free executor gets."""
        if self._works_ahead:  # what the scheduler would say, but for what others hold
            life = self._book.first_waiting() or self.new_trial(force)
            return life or next(
                (self._book.lives[one.trial_id] for one in self._book.live if one.status == PAUSED), None
            )
        while True:
            if not any(trial.status == PENDING for trial in self._book.live):
                self.new_trial(force)
            trial = self._scheduler.choose_trial_to_run(self._controller)
            self._controller.carry_out()
            if trial is None:
                return None
            if trial.status in (PENDING, PAUSED):
                return self._book.lives[trial.trial_id]

    def new_trial(self, force: bool = False) -> Life | None:
        """Makes a trial of the searcher's next suggestion. Returns None where there is none now; trials that can never run fail at once."""
        while not self._is_closed():
            number = len(self._book.trials)
            identity = trial_id(self._plan.search, number, self._book.lives)
            config = self._suggestions.suggest(identity, force)
            if config is None:
                return None
            config = merged(self._plan.space, config)
            life = self._book.add(self._plan.trial(identity, number, config))
            self._scheduler.on_trial_add(self._controller, life.trial)
            self._controller.carry_out()
            missing = self._slots.missing(life.trial.resources)
            if not missing:
                return life
            self._refuse(life, missing)
        return None

    def _begins(self, life: Life, executor: Executor, now: float) -> act.Assigned:
        """A trial runs from now on. Returns what its process has to know."""
        trial = life.trial
        assigned = self._assignment(life)
        life.executor, executor.status = executor, BUSY
        executor.trials += 1
        life.frames, life.began = 0, now
        self.running[executor.number] = life
        self._silences.heard(executor.number, now)
        trial.error = None
        life.facts = {"trial_id": trial.trial_id, "config": trial.config, "experiment_tag": trial.experiment_tag}
        self._book.set_status(life, RUNNING)
        self._effects.append(Notify(act.RESTORED if life.kept.latest is not None else act.STARTED, trial))
        return assigned

    def _assignment(self, life: Life) -> act.Assigned:
        latest = life.kept.latest
        return act.Assigned(
            life.trial,
            latest.checkpoint if latest is not None else self._plan.start_from,
            life.next_checkpoint,
            life.iteration,
            life.time_total,
        )
