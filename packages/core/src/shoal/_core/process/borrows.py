"""What this process tells the owners of references: who has got them, and who has not any more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from shoal._core.logic.ownership import PENDING, Freed, Ownership
from shoal._core.process.node_link import NodeLink
from shoal._core.process.peers import Peers
from shoal._core.schema.ids import object_id_of
from shoal._core.schema.messages import STORED, BorrowersChanged, FreeObjects, TaskResult
from shoal._core.system.transport import ConnectionClosed


class Borrows:
    """Counts of references that travel, told to their owners. All is called with the client's lock held.

    Args:
        worker_id: this process's.
        table: its objects.
        peers: its connections.
        node: the link to its node.
        carry_out: what to do with objects that nobody needs any more.
    """

    def __init__(
        self,
        worker_id: bytes,
        table: Ownership,
        peers: Peers,
        node: NodeLink,
        carry_out: Callable[[list[Freed]], None],
    ) -> None:
        self._worker_id = worker_id
        self._table = table
        self._peers = peers
        self._node = node
        self._carry_out = carry_out
        self._ack_ids = itertools.count(1)
        self._held_for_ack: dict[int, tuple[str, list[bytes]]] = {}
        """Owner that has not confirmed yet, and what must live until it has."""

    def handed_on(self, given: list[tuple[bytes, str]], borrower: bytes, holding: Iterable[bytes]) -> None:
        """This process gave references (id and owner's address) to `borrower`: see that their owners count it.

        Until they do, `holding` stays in use here, and so the references alive: what others tell the owner may come first. We may not
        know them ourselves: they may have been inside a stored value that was passed on."""
        by_owner: dict[str, list[bytes]] = {}
        for object_id, owner_address in given:
            if self._table.owns(object_id):
                self._carry_out(self._table.borrowed(object_id, borrower, 1))
            else:
                by_owner.setdefault(owner_address, []).append(object_id)
        for owner_address, object_ids in by_owner.items():
            self._tell_and_hold(owner_address, object_ids, borrower, list(holding))

    def came_inside(self, container_id: bytes, object_ids: list[bytes]) -> None:
        """References came out of somebody else's object: their owners must know before that object may go."""
        by_owner: dict[str, list[bytes]] = {}
        for object_id in dict.fromkeys(object_ids):
            entry = self._table.entries.get(object_id)
            if entry is not None and entry.owner_address and entry.received == 0:
                entry.received += 1
                by_owner.setdefault(entry.owner_address, []).append(object_id)
        for owner_address, ids in by_owner.items():
            self._tell_and_hold(owner_address, ids, self._worker_id, [container_id])

    def declined(self, result: TaskResult) -> None:
        """This process has no use for a result that came: the references inside it are not ours any more, and what it stored is freed
        where no other attempt of the task did or will store it as well."""
        useless = [object_id for object_id in _stored(result) if self._is_settled_elsewhere(object_id)]
        if useless:
            self._node.send(FreeObjects(useless))
        for contained in (result.contained, *(value.contained for value in result.values)):
            for object_id, owner_address in contained:
                if self._table.owns(object_id):
                    self._carry_out(self._table.borrowed(object_id, self._worker_id, -1))
                else:
                    self.tell(owner_address, object_id, self._worker_id, -1)

    def _is_settled_elsewhere(self, object_id: bytes) -> bool:
        entry = self._table.entries.get(object_id)
        return entry is None or entry.kind not in (PENDING, STORED)

    def tell(self, owner_address: str, object_id: bytes, borrower: bytes, count: int) -> None:
        """Tells an owner that a borrower has got (count > 0) or returned references. A dead owner counts nothing."""
        self._send(owner_address, BorrowersChanged([(object_id, borrower, count)]))

    def acknowledged(self, ack: int) -> None:
        """An owner has counted what we told it."""
        held = self._held_for_ack.pop(ack, None)
        if held is not None:
            self._carry_out(self._table.end_use(held[1]))

    def owner_gone(self, address: str) -> None:
        """That owner will not confirm anything any more."""
        for ack in [ack for ack, (owner, _) in self._held_for_ack.items() if owner == address]:
            self.acknowledged(ack)

    def _tell_and_hold(
        self, owner_address: str, object_ids: list[bytes], borrower: bytes, holding: list[bytes]
    ) -> None:
        ack = next(self._ack_ids)
        self._table.use(holding)
        self._held_for_ack[ack] = (owner_address, holding)
        changes = [(object_id, borrower, 1) for object_id in object_ids]
        if not self._send(owner_address, BorrowersChanged(changes, ack)):
            self.acknowledged(ack)

    def _send(self, address: str, message: BorrowersChanged) -> bool:
        try:
            return self._peers.connect_to(address).send(message)
        except ConnectionClosed:
            return False


def _stored(result: TaskResult) -> list[bytes]:
    """Returns the objects that a result lies in the store for."""
    if result.kind == STORED:
        return [object_id_of(result.task_id, 0)]
    return [value.object_id for value in result.values if value.kind == STORED]
