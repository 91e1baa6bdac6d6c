"""Whether a request can be met at all, and whether here or on another node of the session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shoal._core.logic.lease_book import LeaseBook
from shoal._core.logic.lease_explanations import infeasible_in_group
from shoal._core.logic.lease_queue import ClassQueue
from shoal._core.logic.scheduling import Decision, Infeasible, NodeView, Placed, Wait, choose_node
from shoal._core.schema.resources import DefaultStrategy, ResourceSet, SpreadStrategy


class Routing:
    """What one node knows of itself and of the others.

    Args:
        node_id: this node.
        labels: of this node.
        book: what is free here.
    """

    def __init__(self, node_id: bytes, labels: Mapping[str, str], book: LeaseBook) -> None:
        self._node_id = node_id
        self._labels = dict(labels)
        self._book = book
        self.others: tuple[NodeView, ...] = ()
        self._turn = 0

    def view(self) -> NodeView:
        """Returns what others need to know of this node."""
        ledger = self._book.ledger
        bundles = tuple((group_id, index) for group_id, group in ledger.groups.items() for index in group)
        total, available = dict(ledger.node.total), dict(ledger.node.available)
        return NodeView(self._node_id, total, available, self._labels, True, bundles)

    def set_others(self, views: Iterable[NodeView]) -> None:
        self.others = tuple(view for view in views if view.node_id != self._node_id)

    def obstacle(self, queue: ClassQueue, here_only: bool = False) -> Infeasible | None:
        """Says why no node (`here_only`: not this one) could ever hold what the queue asks for; None where one could."""
        if queue.group_id:
            pots = tuple(self._book.pots_of(queue))
            if pots and not any(pot.could_hold(queue.needed) for pot in pots):
                return Infeasible(infeasible_in_group(queue, pots))
            return None
        if _goes_anywhere(queue) and self._book.ledger.node.could_hold(queue.needed):
            return None
        decision = self._choose(queue, () if here_only else self.others)
        return decision if isinstance(decision, Infeasible) else None

    def better_node(self, queue: ClassQueue) -> bytes | None:
        """Returns the other node that a request should go to; None where it is well here."""
        if not self.others:
            return None
        packs = isinstance(queue.scheduling_class.strategy, DefaultStrategy)
        if packs and _goes_anywhere(queue) and self._book.room_for(queue) is not None:
            return None
        decision = self._choose(queue, self.others)
        if isinstance(decision, (Placed, Wait)) and decision.node_id not in (self._node_id, b""):
            return decision.node_id
        return None

    def _choose(self, queue: ClassQueue, others: Iterable[NodeView]) -> Decision:
        self._turn += 1
        nodes = sorted((self.view(), *others), key=lambda node: node.node_id)
        return choose_node(queue.scheduling_class, nodes, self._node_id, self._turn, ResourceSet(queue.needed))


def _goes_anywhere(queue: ClassQueue) -> bool:
    wanted = queue.scheduling_class
    return isinstance(wanted.strategy, (DefaultStrategy, SpreadStrategy)) and not wanted.label_selector
