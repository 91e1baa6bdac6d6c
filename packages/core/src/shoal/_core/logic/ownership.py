"""Which objects this process knows, what each is, and who keeps it alive.

A life: an entry is *pending* when its task is submitted (or its reference arrives from elsewhere), gets its value or error once
(*complete*), and is freed when nothing keeps it: no local reference, no use by a task in flight or by an object that contains it, and,
where this process owns it, no borrower. The owner then frees the stored value; a borrower returns its borrow to the owner.

Borrows are counted by transfers (as in weighted reference counting), so messages may overtake one another: whoever hands a
reference to process B tells the owner "B: +1" before letting go of its own; B counts what it was handed and, when
it needs the object no more,
returns that many. The owner keeps the object while any borrower's sum is not zero. Ownership follows Wang et al., "Ownership: A Distributed
Futures System for Fine-Grained Tasks" (NSDI 2021).

Events are method calls; what has to be done about them comes back as a list of effects. Nothing here is
thread-safe: the shell holds a lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shoal._core.schema.ids import WORKER_ID_SIZE
from shoal._core.schema.messages import ERROR, INLINE, LOST, STORED

PENDING = -1
MOST_GONE = 10_000
KIND_NAMES = {PENDING: "pending", INLINE: "inline", STORED: "stored", ERROR: "error", LOST: "lost"}


class Entry:
    """One object, as this process knows it."""

    __slots__ = (
        "borrowers",
        "carries_refs",
        "contained",
        "data",
        "fetching",
        "kind",
        "local",
        "nodes",
        "owner_address",
        "pinned",
        "received",
        "size",
        "task",
        "uses",
        "waiters",
    )

    def __init__(self, task: Any, owner_address: str) -> None:
        self.kind = PENDING
        self.data: Any = b""
        self.size = 0
        self.nodes: list[bytes] = []
        self.contained: list[bytes] = []
        """References inside the value that this entry keeps alive."""
        self.carries_refs = False
        """The value has references inside, whoever keeps them alive."""
        self.local = 1
        """Python references in this process."""
        self.uses = 0
        """Tasks in flight and containing objects that need it."""
        self.borrowers: dict[bytes, int] | None = None
        self.received = 0
        """Transfers of this borrow that the owner has counted, or will."""
        self.waiters: list[Any] | None = None
        self.task = task
        """What makes it (owned objects); kept while it may have to be made again."""
        self.owner_address = owner_address
        """Empty where this process is the owner."""
        self.pinned = False
        """The reference left by a way that cannot be tracked: never freed."""
        self.fetching = False
        """The owner has been asked for it."""


class Freed:
    """Effect: the entry is gone. Owned: free what is stored at `nodes`, forget the task. Borrowed: return `count` to the owner."""

    __slots__ = ("count", "nodes", "object_id", "owner_address", "task")

    def __init__(self, object_id: bytes, entry: Entry) -> None:
        self.object_id = object_id
        self.nodes = entry.nodes if entry.kind == STORED else []
        self.owner_address = entry.owner_address
        self.count = entry.received
        self.task = entry.task


class Ownership:
    """The object table of one process."""

    def __init__(self, worker_id: bytes) -> None:
        self._worker_id = worker_id
        self.entries: dict[bytes, Entry] = {}
        self._borrows: dict[bytes, set[bytes]] = {}
        """Borrower -> what is counted for it."""
        self._gone: dict[bytes, None] = {}
        """The latest borrowers that died: what others tell of them may come late, and counts no more."""

    # --- entries come -----------------------------------------------------------------------------------------------------

    def create(self, object_id: bytes, task: Any = None) -> Entry:
        """A new object of this process with one local reference, pending."""
        entry = Entry(task, "")
        self.entries[object_id] = entry
        return entry

    def refer(self, object_id: bytes, owner_address: str) -> Entry:
        """One more local reference to an object that may be anybody's."""
        entry = self.entries.get(object_id)
        if entry is None:
            if object_id[:WORKER_ID_SIZE] == self._worker_id:
                owner_address = ""
            entry = self.entries[object_id] = Entry(None, owner_address)
            if not owner_address:
                # Ours, but forgotten: only an untracked copy (pickled out of band) can bring it back.
                entry.kind = LOST
        else:
            entry.local += 1
        return entry

    def owns(self, object_id: bytes) -> bool:
        return object_id[:WORKER_ID_SIZE] == self._worker_id

    # --- counts -----------------------------------------------------------------------------------------------------------

    def drop_local(self, object_ids: Iterable[bytes]) -> list[Freed]:
        """Local references went away, one for each id given."""
        freed: list[Freed] = []
        entries = self.entries
        for object_id in object_ids:
            entry = entries.get(object_id)
            if entry is not None:
                entry.local -= 1
                if entry.local <= 0:
                    self._free_if_unneeded(object_id, entry, freed)
        return freed

    def use(self, object_ids: Iterable[bytes]) -> None:
        """A task in flight, or an object that contains them, needs these."""
        for object_id in object_ids:
            self.entries[object_id].uses += 1

    def end_use(self, object_ids: Iterable[bytes]) -> list[Freed]:
        freed: list[Freed] = []
        for object_id in object_ids:
            entry = self.entries.get(object_id)
            if entry is not None:
                entry.uses -= 1
                self._free_if_unneeded(object_id, entry, freed)
        return freed

    def received(self, object_id: bytes, owner_address: str, count: int = 1) -> None:
        """A reference was handed to this process in a way that the owner counts."""
        entry = self.entries.get(object_id)
        if entry is None:
            entry = self.refer(object_id, owner_address)
            entry.local = 0
        if entry.owner_address:
            entry.received += count
        elif count and entry.kind != LOST:
            # Our own came back to us: whoever gave it tells us so as well, before or after.
            self._count(object_id, entry, self._worker_id, -count)

    def borrowed(self, object_id: bytes, borrower: bytes, count: int) -> list[Freed]:
        """The owner learns of transfers to (count > 0) or returns by (count < 0) a borrower.

        The borrower may be the owner itself, until what was given back to it has arrived (`received`)."""
        freed: list[Freed] = []
        entry = self.entries.get(object_id)
        if entry is not None:
            self._count(object_id, entry, borrower, count)
            if entry.borrowers is None:
                self._free_if_unneeded(object_id, entry, freed)
        return freed

    def _count(self, object_id: bytes, entry: Entry, borrower: bytes, count: int) -> None:
        if borrower in self._gone:
            return
        borrowers = entry.borrowers
        if borrowers is None:
            borrowers = entry.borrowers = {}
        total = borrowers.get(borrower, 0) + count
        if total:
            if borrower not in borrowers:
                self._borrows.setdefault(borrower, set()).add(object_id)
            borrowers[borrower] = total
        elif borrower in borrowers:
            del borrowers[borrower]
            borrows = self._borrows[borrower]
            borrows.discard(object_id)
            if not borrows:
                del self._borrows[borrower]
        if not borrowers:
            entry.borrowers = None

    def borrower_gone(self, borrower: bytes) -> list[Freed]:
        """A process died: it needs nothing any more."""
        freed: list[Freed] = []
        self._gone[borrower] = None
        if len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]
        for object_id in self._borrows.pop(borrower, ()):
            entry = self.entries[object_id]
            assert entry.borrowers is not None
            del entry.borrowers[borrower]
            if not entry.borrowers:
                entry.borrowers = None
                self._free_if_unneeded(object_id, entry, freed)
        return freed

    def still_held(self, object_ids: Iterable[bytes]) -> list[tuple[bytes, str]]:
        """Which of these references (id, and owner's address) this process keeps after the task that brought them has ended; each
        counts as handed over."""
        kept = []
        for object_id in object_ids:
            entry = self.entries.get(object_id)
            if entry is not None and entry.owner_address and (entry.local > 0 or entry.uses > 0):
                entry.received += 1
                kept.append((object_id, entry.owner_address))
        return kept

    # --- values ---------------------------------------------------------------------------------------------------------------

    def complete(
        self,
        object_id: bytes,
        kind: int,
        data: Any,
        size: int,
        nodes: list[bytes],
        contained: list[tuple[bytes, str]],
        hold: bool = True,
        counted: bool = True,
    ) -> list[Any]:
        """The object has its value or error. Returns those who waited; the first completion counts, later ones are ignored.

        `contained` are the references inside the value. `hold`: this entry keeps them alive (the owner's copy does; a borrower's does
        not, and whoever loads the value there registers its borrows). `counted`: they came with the value from another process,
        and their owners count that as a transfer to us."""
        entry = self.entries.get(object_id)
        if entry is None or entry.kind != PENDING:
            return []
        entry.kind = kind
        entry.data = data
        entry.size = size
        entry.nodes = nodes
        if contained:
            entry.carries_refs = True
            if hold:
                for inner_id, owner_address in contained:
                    self.received(inner_id, owner_address, 1 if counted else 0)
                entry.contained = [inner_id for inner_id, _ in contained]
                self.use(entry.contained)
        waiters = entry.waiters
        entry.waiters = None
        return waiters or []

    def reset(self, object_id: bytes) -> None:
        """The stored value was lost and is going to be made again."""
        entry = self.entries[object_id]
        entry.kind = PENDING
        entry.nodes = []
        entry.fetching = False

    # --- the end ----------------------------------------------------------------------------------------------------------------

    def _free_if_unneeded(self, object_id: bytes, entry: Entry, freed: list[Freed]) -> None:
        if entry.local > 0 or entry.uses > 0 or entry.borrowers is not None or entry.pinned:
            return
        if entry.kind == PENDING and not entry.owner_address and entry.task is not None:
            # Its task will still complete it; freed then (see `discard_if_unneeded`).
            return
        del self.entries[object_id]
        freed.append(Freed(object_id, entry))
        for inner_id in entry.contained:
            inner = self.entries.get(inner_id)
            if inner is not None:
                inner.uses -= 1
                self._free_if_unneeded(inner_id, inner, freed)

    def discard_if_unneeded(self, object_id: bytes) -> list[Freed]:
        """Frees an object that completed after everybody had lost interest."""
        freed: list[Freed] = []
        entry = self.entries.get(object_id)
        if entry is not None:
            self._free_if_unneeded(object_id, entry, freed)
        return freed

    # --- looking inside ----------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        inside: dict[bytes, int] = {}
        for object_id, entry in self.entries.items():
            assert entry.local >= 0, f"{object_id.hex()} has {entry.local} local references"
            assert entry.uses >= 0, f"{object_id.hex()} has {entry.uses} uses"
            assert entry.borrowers is None or entry.borrowers, f"{object_id.hex()} has an empty table of borrowers"
            assert not (entry.owner_address and entry.borrowers), f"{object_id.hex()} is borrowed, yet counts borrowers"
            assert entry.kind != PENDING or not entry.contained, (
                f"{object_id.hex()} is pending, yet contains references"
            )
            for inner_id in entry.contained:
                inside[inner_id] = inside.get(inner_id, 0) + 1
        for object_id, count in inside.items():
            assert self.entries[object_id].uses >= count, f"{object_id.hex()} is contained {count} times, used less"

    def story(self, object_id: bytes) -> str:
        """Says what is known of one object, for people."""
        entry = self.entries.get(object_id)
        if entry is None:
            return f"object {object_id.hex()}: unknown here (freed, or never seen)"
        owner = "this process" if not entry.owner_address else entry.owner_address
        borrowers = {borrower.hex()[:8]: count for borrower, count in (entry.borrowers or {}).items()}
        return (
            f"object {object_id.hex()}: {KIND_NAMES[entry.kind]}, {entry.size} bytes, owned by {owner}, {entry.local} local references, "
            f"{entry.uses} uses, borrowers {borrowers}, contains {len(entry.contained)} references"
        )
