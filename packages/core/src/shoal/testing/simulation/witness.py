"""Sees all that happens in a simulated session, as no process of it can, and says what must not be."""

from __future__ import annotations

from collections.abc import Callable

from shoal._core.schema.ids import owner_of, task_of
from shoal.testing.simulation import values
from shoal.testing.simulation.values import Failure, Value


class Violation(AssertionError):
    """An invariant does not hold. `ids` are the things concerned."""

    def __init__(self, text: str, *ids: bytes) -> None:
        super().__init__(text)
        self.ids = ids


class Witness:
    """Who made what, who died, what was cancelled."""

    def __init__(self) -> None:
        self._retries: dict[bytes, int] = {}
        self._begun: dict[bytes, int] = {}
        self._open: set[bytes] = set()
        self._holders: dict[bytes, set[bytes]] = {}
        """Object -> processes that had a reference to it."""
        self._made: dict[bytes, set[int]] = {}
        self.raised: set[bytes] = set()
        self.cancelled: set[bytes] = set()
        self.parents: dict[bytes, bytes] = {}
        self.dead: set[bytes] = set()
        """Processes."""
        self.doomed: set[bytes] = set()
        """Processes that are being killed."""
        self.blameless: set[bytes] = set()
        """Processes that ended because they were told to."""
        self.actors_killed: set[bytes] = set()
        self.released: set[bytes] = set()
        self.actor_lives: dict[bytes, list[bytes]] = {}
        """Actor -> workers that it lived in."""
        self.actor_owners: dict[bytes, bytes] = {}
        self._order: dict[tuple[bytes, bytes], int] = {}
        self.gets = 0
        self.tasks = 0
        self.knows: Callable[[bytes], bool] = _always
        """Whether the living owner of an object still has it."""

    # --- tasks --------------------------------------------------------------------------------------------------------

    def submitted(self, task_id: bytes, retries: int) -> None:
        self.tasks += 1
        self._retries[task_id] = retries
        self._open.add(task_id)

    def begun(self, task_id: bytes) -> None:
        times = self._begun[task_id] = self._begun.get(task_id, 0) + 1
        if times > 1 and self._retries[task_id] == 0:
            raise Violation(f"task {task_id.hex()} may not run twice, and does", task_id)

    def ended(self, task_id: bytes) -> None:
        if task_id not in self._open:
            raise Violation(f"task {task_id.hex()} ends a second time", task_id)
        self._open.discard(task_id)

    def life_begun(self, actor_id: bytes, worker_id: bytes) -> None:
        """An actor was given a worker."""
        self.actor_lives.setdefault(actor_id, []).append(worker_id)

    def call_begun(self, actor_life: bytes, task_id: bytes, sequence: int) -> None:
        """A call begins in an actor's process: those that one task made come in order."""
        key = (actor_life, owner_of(task_id) + self.parents.get(task_id, b""))
        if sequence <= self._order.get(key, 0):
            raise Violation(f"call {sequence} ({task_id.hex()}) comes after call {self._order[key]}", task_id)
        self._order[key] = sequence

    def lost_tasks(self) -> list[bytes]:
        """Tasks of living owners that have not ended."""
        return [task_id for task_id in self._open if owner_of(task_id) not in self.dead]

    # --- objects ------------------------------------------------------------------------------------------------------

    def made(self, object_id: bytes, token: int) -> None:
        self._made.setdefault(object_id, set()).add(token)

    def lost_on_the_way(self, object_id: bytes) -> bool:
        """Whether a process has ended that had a reference to an object. Those to whom it had just given it may lose it: the owner
        hears of the end before it hears of them."""
        return not self._holders.get(object_id, set()).isdisjoint(self.dead)

    def held(self, object_id: bytes, holder: bytes) -> None:
        """A process has a reference, perhaps in a value that it did not read."""
        self._holders.setdefault(object_id, set()).add(holder)

    def referred(self, object_id: bytes, holder: bytes) -> None:
        """Somebody rebuilds a reference: whoever gave it must have kept it alive."""
        self.held(object_id, holder)
        if holder in self.doomed:
            return
        if owner_of(object_id) not in self.dead and not (self.knows(object_id) or self.lost_on_the_way(object_id)):
            raise Violation(f"a reference to {object_id.hex()} arrives, which its owner has freed", object_id)

    def got(self, object_id: bytes, outcome: Value | Failure) -> None:
        """Somebody read an object."""
        self.gets += 1
        if isinstance(outcome, Value):
            if outcome.token not in self._made.get(object_id, ()):
                raise Violation(f"{object_id.hex()} has a value that nobody made", object_id)
        elif not self._had_to(outcome):
            raise Violation(
                f"getting {object_id.hex()} fails ({outcome.kind}, {outcome.subject.hex()}) for no reason",
                object_id,
                outcome.subject,
            )

    def _had_to(self, failure: Failure) -> bool:
        subject = failure.subject
        if failure.kind == values.RAISED:
            return subject in self.raised
        if failure.kind == values.CRASHED:
            return bool(self.dead - self.blameless)
        if failure.kind == values.CANCELLED:
            task_id = subject
            while task_id:
                if task_id in self.cancelled:
                    return True
                task_id = self.parents.get(task_id, b"")
            return False
        if failure.kind in (values.OWNER_DIED, values.LOST):
            return owner_of(task_of(subject)) in self.dead or self.lost_on_the_way(subject)
        if failure.kind == values.ACTOR_DIED:
            lives = set(self.actor_lives.get(subject, ()))
            return (
                subject in self.actors_killed
                or subject in self.raised
                or bool(lives & (self.dead - self.blameless))
                or self.actor_owners.get(subject) in self.dead
            )
        return False


def _always(object_id: bytes) -> bool:
    return True
