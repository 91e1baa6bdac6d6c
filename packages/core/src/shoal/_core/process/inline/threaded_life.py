"""Actors whose calls run side by side, each on a thread of its own; every concurrency group has its own limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal._core.process.inline.actor_life import ActorLife
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.running_call import current_call

if TYPE_CHECKING:
    from shoal._core.process.inline.actor import Actor
    from shoal._core.process.inline.actors import Actors
    from shoal._core.process.inline.admission import Grant


class ThreadedLife(ActorLife):
    """Starts a thread for each ready call, within the limits."""

    def __init__(self, actors: Actors, actor: Actor, grant: Grant) -> None:
        super().__init__(actors, actor, grant)
        self._running = dict.fromkeys(actor.limits, 0)
        """How many calls of each group run."""

    def look_for_calls(self) -> None:
        if not self._is_constructed or self._is_over:
            return
        if self._is_drained():
            self._actors.drained(self._actor)
            return
        for group, limit in self._actor.limits.items():
            while self._running[group] < limit:
                call = self._actor.mailbox.take(group)
                if call is None:
                    break
                self._start(group, call)

    def _serve(self) -> None:
        if self._construct():
            current_call.set(None)
            with self._turns:
                self.look_for_calls()

    def _start(self, group: str, call: Call) -> None:
        self._running[group] += 1
        call.grant = self.grant
        self._actors.book.started(call)
        call.seat = self._add_thread(call.name, lambda: self._run(group, call))

    def _run(self, group: str, call: Call) -> None:
        current_call.set(call)
        try:
            outcome = self._runner.run(call, lambda: self._function_of(call))
        finally:
            self._running[group] -= 1
        if outcome.exit is not None:
            self._exit(outcome.exit)
        with self._turns:
            if not self._is_over:
                self._actors.book.settle(call, outcome)
