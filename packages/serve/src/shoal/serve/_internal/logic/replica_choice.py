"""Which replica gets the next request: the less busy of two by chance (Mitzenmacher, The Power of Two Choices, 2001). One for each router.

A replica is counted as busy by what this router has sent it. One that says that it is full, because others send to it too, gets nothing
more until it has said that it has room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from shoal.serve._internal.schema.deployments import ReplicaInfo


@dataclass(slots=True)
class Slot:
    """One replica, as this router knows it."""

    info: ReplicaInfo
    ongoing: int = 0
    full: bool = False
    models: set[str] = field(default_factory=set)

    @property
    def has_room(self) -> bool:
        return not self.full and self.ongoing < self.info.max_ongoing


class ReplicaChoice:
    """Chooses for one deployment.

    Args:
        chance: from a number to a whole number below it.
    """

    def __init__(self, chance: Callable[[int], int]) -> None:
        self.slots: dict[str, Slot] = {}
        self._chance = chance
        self._order: list[Slot] = []

    def replicas_changed(self, replicas: Iterable[ReplicaInfo]) -> None:
        """These take requests now; what was counted of those that stay is kept."""
        slots = {}
        for info in replicas:
            slot = self.slots.get(info.replica_id) or Slot(info)
            slot.info = info
            slot.models.update(info.models)
            slots[info.replica_id] = slot
        self.slots = slots
        self._order = list(slots.values())

    def take(self, model_id: str = "") -> ReplicaInfo | None:
        """Returns who gets a request, and counts it; None where nobody has room."""
        slots = self._order
        if model_id:
            slot = self._best([one for one in slots if model_id in one.models]) or self._best(slots)
            if slot is not None:
                slot.models.add(model_id)
        else:
            slot = self._best(slots)
        if slot is None:
            return None
        slot.ongoing += 1
        return slot.info

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
            self._order = list(self.slots.values())
