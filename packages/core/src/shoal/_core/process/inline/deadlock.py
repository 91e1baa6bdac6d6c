"""Says why nobody can go on: who waits for what."""

from __future__ import annotations

from shoal._core.process.inline import calls as states
from shoal._core.process.inline.actor import Actor
from shoal._core.process.inline.actors import Actors
from shoal._core.process.inline.admission import Admission
from shoal._core.process.inline.call_book import CallBook
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.groups import Groups
from shoal._core.process.inline.seat import WAITING
from shoal._core.process.inline.turns import Turns
from shoal.exceptions import DeadlockError

NAMED = 20


class DeadlockReport:
    """Looks at a session in which nobody can run. Belongs inside of `with turns:`."""

    def __init__(self, turns: Turns, book: CallBook, actors: Actors, admission: Admission, groups: Groups) -> None:
        self._turns = turns
        self._book = book
        self._actors = actors
        self._admission = admission
        self._groups = groups

    def error(self) -> DeadlockError:
        """Returns the error that the user's waiting threads raise."""
        users = [
            f"{seat.name} waits for {seat.waits_for()}"
            for seat in self._turns.seats
            if seat.is_user and seat.state == WAITING and seat.waits_for is not None
        ]
        lines = [f"{call.describe()}, which {self._obstacle(call)}" for call in self._book.open.values()]
        lines += [f"{actor.describe()}, which {self._obstacle_of(actor)}" for actor in self._actors.unplaced()]
        lines += self._groups.describe_waiting()
        if len(lines) > NAMED:
            lines[NAMED:] = [f"... and {len(lines) - NAMED} more"]
        return DeadlockError(
            f"Deadlock: {'; '.join(users)}, and nothing is left that could run. Somebody must make what is waited for, or "
            "the wait needs a timeout=.",
            holders=lines,
        )

    def _obstacle(self, call: Call) -> str:
        if call.state == states.WAITING_FOR_ARGUMENTS or call.waiting:
            return f"waits for its arguments: {self._book.missing(call.arguments)}"
        if call.state == states.WAITING_FOR_RESOURCES:
            return f"waits for {self._admission.wants(call)}"
        if call.state == states.QUEUED_AT_ACTOR and call.actor is not None:
            return f"waits for its turn at {call.actor.describe()}"
        seat = call.seat
        if seat is not None and seat.state == WAITING and seat.waits_for is not None:
            return f"waits for {seat.waits_for()}"
        return "awaits something in its event loop" if call.async_task is not None else "runs"

    def _obstacle_of(self, actor: Actor) -> str:
        missing = self._book.missing(actor.arguments)
        if missing:
            return f"waits for its constructor's arguments: {missing}"
        return f"waits for {self._admission.wants(actor)}"
