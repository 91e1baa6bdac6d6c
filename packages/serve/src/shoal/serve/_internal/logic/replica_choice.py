"""Which replica gets the next request: the less busy of two by chance (Mitzenmacher, The Power of Two Choices, 2001). One for each router.

A replica is counted as busy by what this router has sent it. One that says that it is full, because others send to it too, gets nothing
more until it has said that it has room.

Requests that have a home, as those for one of many models, or of one session, go to the replica that a hash of both ranks first (Thaler and
Ravishankar, Using Name-Based Mappings to Increase Hit Rates, 1998), so models are loaded where they are, without anybody telling anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from shoal.serve._internal.schema.deployments import ReplicaInfo

MOST_ORDERS = 10_000
"""Homes whose order of replicas is remembered."""


@dataclass(slots=True)
class Slot:
    """One replica, as this router knows it."""

    info: ReplicaInfo
    ongoing: int = 0
    full: bool = False

    @property
    def has_room(self) -> bool:
        return self.room > 0

    @property
    def room(self) -> int:
        """How many more requests it may get."""
        return 0 if self.full else max(0, self.info.max_ongoing - self.ongoing)


class ReplicaChoice:
    """Chooses for one deployment.

    Args:
        chance: from a number to a whole number below it.
    """

    def __init__(self, chance: Callable[[int], int]) -> None:
        self.slots: dict[str, Slot] = {}
        self._chance = chance
        self._order: list[Slot] = []
        self._orders: dict[str, list[Slot]] = {}

    def replicas_changed(self, replicas: Iterable[ReplicaInfo]) -> None:
        """These take requests now; what was counted of those that stay is kept."""
        slots = {}
        for info in replicas:
            slot = self.slots.get(info.replica_id) or Slot(info)
            slot.info = info
            slots[info.replica_id] = slot
        self.slots = slots
        self._set_order()

    def _set_order(self) -> None:
        self._order = list(self.slots.values())
        self._orders.clear()

    def take(self, home: str = "") -> ReplicaInfo | None:
        """Returns who gets a request, and counts it; None where nobody has room."""
        if home:
            slot = next((one for one in self._order_of(home) if one.has_room), None)
        else:
            slot = self._best(self._order)
        if slot is None:
            return None
        slot.ongoing += 1
        return slot.info

    def take_from(self, replica_ids: Sequence[str]) -> ReplicaInfo | None:
        """Returns the first of these that has room, and counts it; None where none has."""
        for replica_id in replica_ids:
            slot = self.slots.get(replica_id)
            if slot is not None and slot.has_room:
                slot.ongoing += 1
                return slot.info
        return None

    def _order_of(self, home: str) -> list[Slot]:
        """The order in which replicas are asked: the same in all routers; most homes keep theirs when replicas come and go."""
        found = self._orders.get(home)
        if found is None:
            if len(self._orders) >= MOST_ORDERS:
                self._orders.clear()
            found = sorted(self._order, key=lambda one: crc32(f"{home} {one.info.replica_id}".encode()))
            self._orders[home] = found
        return found

    def _best(self, slots: list[Slot]) -> Slot | None:
        if not slots:
            return None
        if len(slots) > 2:
            first = slots[self._chance(len(slots))]
            second = slots[self._chance(len(slots))]
        else:
            first, second = slots[0], slots[-1]
        best = first if first.ongoing <= second.ongoing else second
        if best.has_room:
            return best
        with_room = [one for one in slots if one.has_room]
        return min(with_room, key=lambda one: one.ongoing, default=None)

    def ended(self, replica_id: str) -> None:
        """A request that `take` counted is over, however it ended."""
        slot = self.slots.get(replica_id)
        if slot is not None:
            slot.ongoing -= 1

    @property
    def room(self) -> int:
        """How many more requests all may get."""
        return sum(one.room for one in self._order)

    def full(self, replica_id: str) -> bool:
        """A replica has no room. Returns whether it has to be asked to say when it has."""
        slot = self.slots.get(replica_id)
        if slot is None or slot.full:
            return False
        slot.full = True
        return True

    def has_room(self, replica_id: str) -> None:
        """A replica that was full has room."""
        slot = self.slots.get(replica_id)
        if slot is not None:
            slot.full = False

    def gone(self, replica_id: str) -> None:
        """A replica takes no more requests."""
        if self.slots.pop(replica_id, None) is not None:
            self._set_order()
