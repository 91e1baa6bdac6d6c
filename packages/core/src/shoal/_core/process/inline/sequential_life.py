"""Actors that serve one call at a time, all on one thread."""

from __future__ import annotations

from shoal._core.process.inline.actor_life import ActorLife
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.running_call import current_call
from shoal._core.process.inline.seat import Abandoned, Seat


class SequentialLife(ActorLife):
    """A loop that takes one ready call after the other."""

    _idle_seat: Seat | None = None
    """The thread's, while it waits for calls."""

    def look_for_calls(self) -> None:
        seat, self._idle_seat = self._idle_seat, None
        if seat is not None:
            self._turns.wake(seat)

    def _serve(self) -> None:
        if not self._construct():
            return
        current_call.set(None)
        seat = self._session.seat()
        while True:
            call = self._next_call(seat)
            if call is None:
                self._turns.wait(seat, None)
                continue
            self._run(call)
            self._turns.turn(seat)

    def _next_call(self, seat: Seat) -> Call | None:
        """Returns a call to run, or None where the thread shall wait."""
        with self._turns:
            if self._is_over:
                raise Abandoned
            if self._is_drained():
                self._actors.drained(self._actor)
                raise Abandoned
            call = self._actor.mailbox.take("")
            if call is None:
                self._idle_seat = seat
                self._turns.begin_wait(seat, None, timed=False)
                return None
            call.seat = seat
            call.grant = self.grant
            self._actors.book.started(call)
            return call

    def _run(self, call: Call) -> None:
        current_call.set(call)
        outcome = self._runner.run(call, lambda: self._function_of(call))
        current_call.set(None)
        if outcome.exit is not None:
            self._exit(outcome.exit)
        with self._turns:
            if not self._is_over:
                self._actors.book.settle(call, outcome)
