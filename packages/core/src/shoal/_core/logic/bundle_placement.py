"""Which nodes the bundles of a placement group go to: a pure function of a snapshot of the nodes.

    PACK            as few nodes as possible
    SPREAD          as many nodes as possible
    STRICT_PACK     one node
    STRICT_SPREAD   a node of its own for each bundle

The strict ones are decided exactly. For the others a greedy arrangement is tried first, and where that fails a search, within
limits: what it has not found by then is not called impossible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from shoal._core.logic.scheduling import Infeasible, NodeView, explain_infeasible
from shoal._core.schema.resources import LabelSelector, ResourceSet, selector_matches

PACK = "PACK"
SPREAD = "SPREAD"
STRICT_PACK = "STRICT_PACK"
STRICT_SPREAD = "STRICT_SPREAD"
STRATEGIES = (PACK, SPREAD, STRICT_PACK, STRICT_SPREAD)
SEARCH_STEPS = 5_000
SEARCH_BUNDLES = 100


class Fits(msgspec.Struct, frozen=True):
    """There is room now: the node of each bundle, in order."""

    nodes: tuple[bytes, ...]


class FitsLater(msgspec.Struct, frozen=True):
    """There would be room here if all were free: the node of each bundle; empty where none was found, nor ruled out."""

    nodes: tuple[bytes, ...]


def place_bundles(
    bundles: Sequence[ResourceSet],
    strategy: str,
    nodes: Sequence[NodeView],
    selectors: Sequence[LabelSelector] = (),
    used: frozenset[bytes] = frozenset(),
) -> Fits | FitsLater | Infeasible:
    """Returns where bundles can be reserved.

    Args:
        bundles: what each reserves.
        strategy: one of STRATEGIES.
        nodes: all nodes, in an order that stays.
        selectors: labels that each bundle's node must have; empty for any.
        used: nodes that have other bundles of the group already.
    """
    selectors = selectors or [()] * len(bundles)
    alive = [node for node in nodes if node.alive]
    now = _Arrangement(bundles, alive, selectors, used, [node.available for node in alive])
    found = now.find(strategy)
    if found:
        return Fits(found)
    some_day = _Arrangement(bundles, alive, selectors, used, [node.total for node in alive])
    found = some_day.find(strategy)
    if found or some_day.gave_up:
        return FitsLater(found)
    return Infeasible(_explain(bundles, strategy, alive, selectors))


class _Arrangement:
    """Bundles on one side, nodes with what is free on them on the other."""

    def __init__(
        self,
        bundles: Sequence[ResourceSet],
        nodes: Sequence[NodeView],
        selectors: Sequence[LabelSelector],
        used: frozenset[bytes],
        free: Sequence[dict[str, int]],
    ) -> None:
        self._bundles = bundles
        self._nodes = nodes
        self._used = used
        self._labels_matter = any(selectors)
        self._free = [dict(amounts) for amounts in free]
        self._options = [
            [
                position
                for position, node in enumerate(nodes)
                if selector_matches(selector, node.labels) and bundle.fits_in(self._free[position])
            ]
            for bundle, selector in zip(bundles, selectors, strict=True)
        ]
        """For each bundle, the positions of the nodes that could take it if it were the only one."""
        self._could_take = [set(positions) for positions in self._options]
        self._loads = [_load(node) for node in nodes]
        self._order = sorted(range(len(bundles)), key=lambda index: (len(self._options[index]), -self._size(index)))
        """Bundles, the most difficult first."""
        self.gave_up = False

    def find(self, strategy: str) -> tuple[bytes, ...]:
        """Returns the node of each bundle; empty where there is no arrangement."""
        if not all(self._options):
            return ()
        if strategy == STRICT_PACK:
            chosen = self._on_one_node()
        elif strategy == STRICT_SPREAD:
            chosen = self._each_on_its_own()
        else:
            chosen = self._packed() if strategy == PACK else self._spread()
            if chosen is None:
                chosen = self._searched()
        if chosen is None:
            return ()
        return tuple(self._nodes[chosen[index]].node_id for index in range(len(self._bundles)))

    def _on_one_node(self) -> dict[int, int] | None:
        whole = ResourceSet()
        for bundle in self._bundles:
            whole = whole.plus(bundle)
        possible = set(self._options[0]).intersection(*self._options[1:])
        fitting = [position for position in possible if whole.fits_in(self._free[position])]
        if not fitting:
            return None
        best = min(fitting, key=lambda position: (not self._is_used(position), self._slack(position, whole), position))
        return dict.fromkeys(range(len(self._bundles)), best)

    def _each_on_its_own(self) -> dict[int, int] | None:
        """A bipartite matching, grown bundle by bundle along augmenting paths."""
        bundle_on: dict[int, int] = {}
        chosen: dict[int, int] = {}
        for first in self._order:
            reached_from: dict[int, int] = {}
            unsettled = deque([first])
            end: int | None = None
            while unsettled and end is None:
                index = unsettled.popleft()
                for position in sorted(self._options[index], key=self._loads.__getitem__):
                    if position in reached_from or self._is_used(position):
                        continue
                    reached_from[position] = index
                    if position not in bundle_on:
                        end = position
                        break
                    unsettled.append(bundle_on[position])
            if end is None:
                return None
            # Along the path, each bundle moves on to the node that was reached from it.
            while end is not None:
                index = reached_from[end]
                left = chosen.get(index)
                bundle_on[end] = index
                chosen[index] = end
                end = left
        return chosen

    def _packed(self) -> dict[int, int] | None:
        """Fills one node after the other, each time the one that takes most of what is left."""
        free = [dict(amounts) for amounts in self._free]
        left = list(self._order)
        chosen: dict[int, int] = {}
        while left:
            best, best_take = -1, list[int]()
            takes: dict[tuple[tuple[str, int], ...], list[int]] = {}
            for position in range(len(self._nodes)):
                # Nodes that have the same free take the same, unless labels tell them apart.
                like = tuple(free[position].items())
                take = takes.get(like)
                if take is None or self._labels_matter:
                    take = takes[like] = self._take_greedily(left, position, free)
                rank = (len(take), self._is_used(position), self._loads[position])
                if best < 0 or rank > (len(best_take), self._is_used(best), self._loads[best]):
                    best, best_take = position, take
            if not best_take:
                return None
            for index in best_take:
                _subtract(free[best], self._bundles[index])
                chosen[index] = best
            left = [index for index in left if index not in chosen]
        return chosen

    def _take_greedily(self, left: Sequence[int], position: int, free: list[dict[str, int]]) -> list[int]:
        room = dict(free[position])
        taken = []
        for index in left:
            if position in self._could_take[index] and self._bundles[index].fits_in(room):
                _subtract(room, self._bundles[index])
                taken.append(index)
        return taken

    def _spread(self) -> dict[int, int] | None:
        """Puts each bundle where the fewest are."""
        free = [dict(amounts) for amounts in self._free]
        count = [int(self._is_used(position)) for position in range(len(self._nodes))]
        chosen: dict[int, int] = {}
        for index in self._order:
            fitting = [position for position in self._options[index] if self._bundles[index].fits_in(free[position])]
            if not fitting:
                return None
            best = min(fitting, key=lambda position: (count[position], self._loads[position], position))
            _subtract(free[best], self._bundles[index])
            count[best] += 1
            chosen[index] = best
        return chosen

    def _searched(self) -> dict[int, int] | None:
        """Tries all arrangements, within limits."""
        whole = ResourceSet()
        together: dict[str, int] = {}
        for bundle in self._bundles:
            whole = whole.plus(bundle)
        for amounts in self._free:
            for name, amount in amounts.items():
                together[name] = together.get(name, 0) + amount
        if not whole.fits_in(together):
            return None
        if len(self._bundles) > SEARCH_BUNDLES:
            self.gave_up = True
            return None
        free = [dict(amounts) for amounts in self._free]
        chosen: dict[int, int] = {}
        steps = 0

        def place(depth: int) -> bool:
            nonlocal steps
            if depth == len(self._order):
                return True
            index = self._order[depth]
            for position in self._options[index]:
                steps += 1
                if steps > SEARCH_STEPS:
                    self.gave_up = True
                    return False
                if self._bundles[index].fits_in(free[position]):
                    _subtract(free[position], self._bundles[index])
                    chosen[index] = position
                    if place(depth + 1):
                        return True
                    _add(free[position], self._bundles[index])
            return False

        return chosen if place(0) else None

    def _is_used(self, position: int) -> bool:
        return self._nodes[position].node_id in self._used

    def _slack(self, position: int, whole: ResourceSet) -> int:
        """How much would be left of what is asked for, in thousandths of the node."""
        total, free = self._nodes[position].total, self._free[position]
        return sum((free[name] - amount) * 1000 // total[name] for name, amount in whole.items())

    def _size(self, index: int) -> int:
        """How large a bundle is, in thousandths of the largest node."""
        return sum(
            amount * 1000 // max(1, *(node.total.get(name, 0) for node in self._nodes), 1)
            for name, amount in self._bundles[index].items()
        )


def _load(node: NodeView) -> int:
    """How much of a node is taken, in thousandths of its scarcest resource."""
    return max(
        ((total - node.available.get(name, 0)) * 1000 // total for name, total in node.total.items() if total),
        default=0,
    )


def _subtract(free: dict[str, int], bundle: ResourceSet) -> None:
    for name, amount in bundle.items():
        free[name] -= amount


def _add(free: dict[str, int], bundle: ResourceSet) -> None:
    for name, amount in bundle.items():
        free[name] += amount


def _explain(
    bundles: Sequence[ResourceSet], strategy: str, nodes: Sequence[NodeView], selectors: Sequence[LabelSelector]
) -> str:
    whole = ResourceSet()
    for index, (bundle, selector) in enumerate(zip(bundles, selectors, strict=True)):
        if not any(bundle.fits_in(node.total) and selector_matches(selector, node.labels) for node in nodes):
            return f"bundle {index} can be reserved nowhere: {explain_infeasible(bundle, nodes, [selector])}"
        whole = whole.plus(bundle)
    if strategy == STRICT_PACK:
        matching = [node for node in nodes if all(selector_matches(selector, node.labels) for selector in selectors)]
        if not matching:
            return "STRICT_PACK wants all bundles on one node, and no node has the labels that all of them ask for"
        return f"STRICT_PACK wants all bundles on one node; {explain_infeasible(whole, matching)}"
    if strategy == STRICT_SPREAD:
        return (
            f"STRICT_SPREAD wants {len(bundles)} different nodes that can each hold one of the bundles; the session has"
            f" {len(nodes)} nodes, and not enough of them can"
        )
    return f"together the bundles need {whole}, and the nodes of the session cannot hold them all"
