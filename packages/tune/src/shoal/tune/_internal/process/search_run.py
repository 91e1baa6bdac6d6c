"""Carries a search out: one loop in the caller's thread, over processes that each owe it one answer."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shoal
from shoal.air.callback import Callback
from shoal.tune._internal.logic import effects as act
from shoal.tune._internal.logic.effects import Effect, Notify
from shoal.tune._internal.logic.search_state import SearchState
from shoal.tune._internal.process.executors import Executors
from shoal.tune._internal.process.interrupts import Interrupted, Interrupts
from shoal.tune._internal.process.search_saving import SearchSaving
from shoal.tune._internal.process.trial_session import ASK_AGAIN, END, SAVE, Assignment
from shoal.tune.exceptions import ConfigNotPicklableError
from shoal.tune.experiment.trial import ERROR, Trial

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.25
"""A turn takes at most, so that callbacks can show how time passes."""


class SearchRun:
    """One call of `Tuner.fit`.

    Args:
        state: what decides.
        executors: what runs trials.
        saving: where the search's state goes.
        callbacks: who is told.
        raises: whether the first trial that fails ends the search with its error.
    """

    def __init__(
        self,
        state: SearchState,
        executors: Executors,
        saving: SearchSaving,
        callbacks: Sequence[Callback],
        raises: bool = False,
    ) -> None:
        self._state = state
        self._executors = executors
        self._saving = saving
        self._callbacks = callbacks
        self._raises = raises
        self._pending: dict[shoal.ObjectRef[Any], tuple[int, bool]] = {}
        """Who owes an answer: the executor, and whether it is its first."""
        self._reference: dict[int, shoal.ObjectRef[Any]] = {}
        self._held: dict[int, shoal.ObjectRef[Any]] = {}
        """What executors will answer about trials that they hold."""
        self._asked: dict[shoal.ObjectRef[Any], tuple[int, int | None]] = {}
        """Executors that were asked where their trials are, or (with a ticket) to give back what they hold."""
        self._turns = 0
        self._trial_error: BaseException | None = None
        self.was_interrupted = False

    def run(self) -> None:
        """Returns when the search is over, or was interrupted. Raises what ended it, where it could not go on."""
        state = self._state
        interrupts = Interrupts()
        try:
            with interrupts:
                self._saving.begin()
                self._carry_out(state.begin(time.monotonic()))
                self._turn_ended()
                while not state.is_over:
                    self._turn(interrupts)
        finally:
            # Also after a second Ctrl-C, and after an error of a callback.
            self._executors.end_all()
            for callback in self._callbacks:
                callback.on_experiment_end(state.trials)
            self._saving.end()
        if self._trial_error is not None and self._raises:
            raise self._trial_error
        if state.error is not None:
            raise state.error

    # --- the loop -------------------------------------------------------------------------------------------------------------------

    def _turn(self, interrupts: Interrupts) -> None:
        state = self._state
        for reference in self._wait(interrupts):
            entry = self._pending.pop(reference, None)
            if entry is not None:
                self._answer(reference, *entry)
            elif (asked := self._asked.pop(reference, None)) is not None:
                self._replied(reference, *asked)
        if interrupts.count and not self.was_interrupted:
            self.was_interrupted = True
            logger.warning("Interrupted: the search stops, and saves its state. Ctrl-C again to stop at once.")
            self._carry_out(state.interrupt())
        deadline = state.next_deadline
        if state.plan.stopper is not None or (deadline is not None and time.monotonic() >= deadline):
            self._carry_out(state.tick(time.monotonic()))
        self._turn_ended()

    def _wait(self, interrupts: Interrupts) -> Sequence[shoal.ObjectRef[Any]]:
        if interrupts.count and not self.was_interrupted:
            return ()
        until = time.monotonic() + TURN_SECONDS
        for one in (self._state.next_deadline, self._saving.next_deadline):
            if one is not None and one < until:
                until = one
        if not self._pending and not self._asked:
            return ()
        try:
            with interrupts.waiting():
                ready, _ = shoal.wait(
                    [*self._pending, *self._asked], num_returns=1, timeout=max(0.0, until - time.monotonic())
                )
        except Interrupted:
            return ()
        return ready

    def _answer(self, reference: shoal.ObjectRef[Any], number: int, is_first: bool) -> None:
        """An executor has answered."""
        del self._reference[number]
        try:
            answer = shoal.get(reference)
        except shoal.exceptions.TaskError as error:
            if is_first:
                self._carry_out(self._state.cannot_start(error))
            else:
                self._carry_out(self._state.failed(number, error, time.monotonic()))
        except shoal.exceptions.ShoalError as error:
            self._carry_out(self._state.executor_lost(number, error, time.monotonic()))
        else:
            if is_first:
                self._carry_out(self._state.executor_ready(number, time.monotonic()))
            elif answer.is_waiting:
                self._owes(number, self._executors.decide(number, ASK_AGAIN))
            else:
                self._carry_out(self._state.reported(number, answer, time.monotonic()))

    def _replied(self, reference: shoal.ObjectRef[Any], number: int, ticket: int | None) -> None:
        """An executor has replied to a question."""
        state = self._state
        try:
            reply = shoal.get(reference)
        except shoal.exceptions.ShoalError:
            # It has ended meanwhile, which its own answer says: that about the trial that it held, if it owes no other.
            if ticket is not None:
                self._carry_out(state.given_back(number, ticket, False, time.monotonic()))
            return
        if ticket is not None:
            self._carry_out(state.given_back(number, ticket, reply, time.monotonic()))
        else:
            silent, where = reply
            self._carry_out(state.told_where(number, silent, where, time.monotonic()))

    def _turn_ended(self) -> None:
        self._turns += 1
        for callback in self._callbacks:
            callback.on_step_end(self._turns, self._state.trials)
        self._saving.turn_ended()

    # --- effects --------------------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            kind = type(effect)
            if kind is Notify:
                self._notify(effect)  # type: ignore[arg-type]
            elif kind is act.GoOn:
                self._go_on(effect)  # type: ignore[arg-type]
            elif isinstance(effect, act.EndTrial):
                decision = END | SAVE if effect.save else END
                self._owes(effect.executor, self._executors.decide(effect.executor, decision))
            elif isinstance(effect, act.RunTrial):
                self._begin_trial(effect)
            elif isinstance(effect, act.StartExecutor):
                self._owes(effect.executor, self._executors.start(effect.executor, effect.bundles), is_first=True)
            elif isinstance(effect, act.HoldTrial):
                self._hold_trial(effect)
            elif isinstance(effect, act.AwaitHeld):
                self._owes(effect.executor, self._held.pop(effect.executor))
            elif isinstance(effect, act.TakeBack):
                self._asked[self._executors.take_back(effect.executor, effect.ticket)] = effect.executor, effect.ticket
            elif isinstance(effect, act.EndExecutor):
                self._held.pop(effect.executor, None)
                self._pending.pop(self._reference.pop(effect.executor, None), None)  # type: ignore[arg-type]
                self._executors.end(effect.executor)
            elif isinstance(effect, act.AskWhere):
                self._asked[self._executors.where(effect.executor)] = effect.executor, None
            elif isinstance(effect, act.WarnOfSilence):
                logger.warning(
                    "Trial %s has not reported for %g s. TuneConfig(max_report_interval_s=...) ends trials that hang.",
                    effect.trial,
                    effect.seconds,
                )
            elif isinstance(effect, act.DeleteCheckpoint):
                self._saving.delete(effect.checkpoint)

    def _go_on(self, effect: act.GoOn) -> None:
        number, executors = effect.executor, self._executors
        self._owes(number, executors.decide(number, SAVE) if effect.save else executors.go_on(number))

    def _owes(self, number: int, reference: shoal.ObjectRef[Any], is_first: bool = False) -> None:
        self._pending[reference] = (number, is_first)
        self._reference[number] = reference

    def _begin_trial(self, effect: act.RunTrial) -> None:
        try:
            reference = self._executors.run(effect.executor, assignment_of(effect.assigned))
        except shoal.exceptions.SerializationError as error:
            failure = ConfigNotPicklableError(
                f"The configuration of trial {effect.assigned.trial} cannot travel to its process: {error}"
            )
            failure.__cause__ = error
            self._carry_out(self._state.executor_lost(effect.executor, failure, time.monotonic()))
        else:
            self._owes(effect.executor, reference)

    def _hold_trial(self, effect: act.HoldTrial) -> None:
        number = effect.executor
        try:
            self._held[number] = self._executors.hold(number, assignment_of(effect.assigned), effect.ticket)
        except shoal.exceptions.SerializationError:
            self._state.cannot_hold(number)

    def _notify(self, event: Notify) -> None:
        trial, what = event.trial, event.what
        trials, turn = self._state.trials, self._turns
        if what == act.RESULTS:
            for callback in self._callbacks:
                for result in event.results:
                    callback.on_trial_result(turn, trials, trial, result)
            return
        if what in (act.STARTED, act.RESTORED):
            if trial.start_time is None:
                trial.start_time = time.time()
            os.makedirs(trial.local_path, exist_ok=True)
            for callback in self._callbacks:
                if what == act.RESTORED:
                    callback.on_trial_restore(turn, trials, trial)
                callback.on_trial_start(turn, trials, trial)
        elif what == act.SAVED:
            for callback in self._callbacks:
                callback.on_trial_save(turn, trials, trial)
                callback.on_checkpoint(turn, trials, trial, event.checkpoint)
        elif what == act.COMPLETED:
            for callback in self._callbacks:
                callback.on_trial_complete(turn, trials, trial)
        elif what in (act.RECOVERED, act.FAILED):
            self._write_error(trial)
            for callback in self._callbacks:
                if what == act.RECOVERED:
                    callback.on_trial_recover(turn, trials, trial)
                else:
                    callback.on_trial_error(turn, trials, trial)
            if trial.status == ERROR and self._trial_error is None:
                self._trial_error = trial.error
        self._saving.trial_changed(trial)

    def _write_error(self, trial: Trial) -> None:
        error = trial.error
        if error is None:
            return
        remote = getattr(error, "traceback_str", None)
        text = remote or "".join(traceback.format_exception(error))
        path = Path(trial.local_path, "error.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"Failure {trial.num_failures}: {type(error).__name__}: {error}\n{text}\n")
        trial.error_file = str(path)


def assignment_of(assigned: act.Assigned) -> Assignment:
    """Returns a trial as its process gets it."""
    trial = assigned.trial
    return Assignment(
        trial.trial_id,
        trial.trial_name,
        trial.experiment_name,
        trial.config,
        [dict(bundle) for bundle in trial.resources],
        trial.path,
        trial.local_path,
        assigned.checkpoint,
        assigned.next_checkpoint,
        assigned.iteration,
        assigned.time_total,
    )
