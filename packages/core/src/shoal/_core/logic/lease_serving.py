"""Who is served next, when something is free.

First, leases that have resources get workers. Then the queues take turns, one lease a turn, so that no scheduling class starves another; a
queue that claims what it needs comes first. For those who still wait, leases are asked back, and workers are started for those who lack
only one.
"""

from __future__ import annotations

from shoal._core.logic.lease_book import LeaseBook
from shoal._core.logic.lease_effects import Effect, Reclaim, RoomForGroup, StartWorker, StopWorker
from shoal._core.logic.lease_patience import HUNGRY_AFTER, WARN_AFTER
from shoal._core.logic.lease_queue import GROUP, ClassQueue
from shoal._core.logic.ledger import Pot
from shoal._core.logic.reclaiming import choose_leases_to_reclaim


class Serving:
    """Gives out what is free in a book. Methods add what has to be done to `effects` and return it."""

    __slots__ = ("_book", "_patience")

    def __init__(self, book: LeaseBook) -> None:
        self._book = book
        self._patience = book.patience

    def serve_all(self, now: float, effects: list[Effect] | None = None) -> list[Effect]:
        """Something may have got free."""
        if effects is None:
            effects = []
        book = self._book
        for environment_key in tuple(book.starting):
            self._hand_out_workers(environment_key, effects, now)
        turns = book.turns
        if turns:
            claim = self._patience.claim
            if claim is not None:
                turns.move_to_end(claim, last=False)
            missed = 0
            while missed < len(turns):
                queue = next(iter(turns))
                turns.move_to_end(queue)
                pot = book.room_for(queue)
                if pot is None:
                    missed += 1
                else:
                    self._serve_one(queue, pot, effects, now)
                    missed = 0
            if turns:
                self._reclaim(effects)
        if book.starting:
            self._start_workers(effects)
        return effects

    def serve_newcomer(self, queue: ClassQueue, effects: list[Effect], now: float) -> list[Effect]:
        """A request came to this queue, and nothing got free: nobody else has any use of what there is."""
        book = self._book
        while queue.is_waiting:
            pot = book.room_for(queue)
            if pot is None:
                self._patience.due(now + HUNGRY_AFTER)
                self._reclaim(effects)
                break
            self._serve_one(queue, pot, effects, now)
        if book.starting:
            self._start_workers(effects)
        return effects

    def _serve_one(self, queue: ClassQueue, pot: Pot, effects: list[Effect], now: float) -> None:
        """There is room for the queue's next party."""
        request = queue.next_party().requests[0]
        if request.kind == GROUP:
            # Kept for it while the head makes up its mind.
            self._patience.set_claim(queue, now)
            queue.room_found = True
            effects.append(RoomForGroup(request.client))
            return
        self._book.take(queue, pot, now)
        if not self._hand_out_workers(queue.environment_key, effects, now):
            self._patience.due(now + WARN_AFTER)

    def _hand_out_workers(self, environment_key: str, effects: list[Effect], now: float) -> bool:
        """Grants leases that wait for a worker while idle ones are there. Returns whether none waits any more."""
        while environment_key in self._book.starting:
            grant = self._book.grant_next(environment_key, now)
            if grant is None:
                return False
            effects.append(grant)
        return True

    def _start_workers(self, effects: list[Effect]) -> None:
        pool = self._book.pool
        for environment_key, leases in self._book.starting.items():
            effects.extend(StartWorker(environment_key, token) for token in pool.start(environment_key, len(leases)))
        effects.extend(StopWorker(worker.id, "others are needed more", False) for worker in pool.make_room())

    def _reclaim(self, effects: list[Effect]) -> None:
        book = self._book
        queues = [queue for queue in book.turns if queue.environment_key not in book.unready and not queue.room_found]
        for lease in choose_leases_to_reclaim(queues, book.pots_of):
            lease.reclaimed = True
            effects.append(Reclaim(lease.request.client, lease.id))
