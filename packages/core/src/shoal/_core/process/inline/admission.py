"""Who may run: the resources of the session's one (virtual) node, lent to tasks and actors in the order in which they asked.

Requests of the same kind stand in one line; a line whose first request does not fit lets the other lines pass. All of this belongs
inside of `with turns:`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable

from shoal._core.logic.ledger import Amounts, GpuShares, Ledger, Pot
from shoal._core.logic.scheduling import Infeasible, NodeView, choose_node
from shoal._core.schema.options import ActorOptions, TaskOptions
from shoal._core.schema.resources import (
    CPU,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingClass,
    format_amounts,
    to_floats,
)
from shoal.exceptions import InfeasibleResourcesError, TaskUnschedulableError


class Grant:
    """Resources that somebody has."""

    __slots__ = ("amounts", "blocked", "pot", "shares")

    def __init__(self, pot: Pot, amounts: Amounts, shares: GpuShares) -> None:
        self.pot = pot
        self.amounts = amounts
        self.shares = shares
        self.blocked = 0
        """How many of the holder's threads wait; its CPUs are lent to others while any does."""

    @property
    def cpus(self) -> int:
        return next((amount for name, amount in self.amounts if name == CPU), 0)

    @property
    def gpu_ids(self) -> list[int]:
        return [gpu for gpu, _ in self.shares]

    @property
    def group_id(self) -> bytes:
        return self.pot.group_id


Line = tuple[ResourceSet, ResourceSet, bytes, int]
"""Resources to hold, resources that must be free, placement group, bundle."""


class Admission:
    """The node's resources and who waits for them."""

    def __init__(self, node_id: bytes, totals: ResourceSet, labels: dict[str, str]) -> None:
        self.node_id = node_id
        self.labels = labels
        self.ledger = Ledger(dict(totals))
        self._lines: dict[Line, deque[Hashable]] = {}
        self._waiting: dict[Hashable, tuple[Line, Callable[[Grant], None]]] = {}
        """Who stands in which line, and whom to tell."""
        self.on_free: Callable[[], None] = _nothing
        """Called when something is free that was not, after those in line were served."""

    # --- asking -----------------------------------------------------------------------------------------------------------------

    def obstacle(self, options: TaskOptions | ActorOptions) -> Exception | None:
        """Returns why a request can never be met, as an error; None where it can."""
        if isinstance(options.strategy, PlacementGroupStrategy):
            return None
        needed = options.placement_resources if isinstance(options, ActorOptions) else options.resources
        wanted = SchedulingClass.of(
            options.resources, "", options.strategy, options.label_selector, options.fallback_strategy
        )
        decision = choose_node(wanted, [self._view()], self.node_id, 0, needed)
        if not isinstance(decision, Infeasible):
            return None
        if decision.bound:
            return TaskUnschedulableError(decision.explanation)
        return InfeasibleResourcesError(
            f"This can never run here: {decision.explanation}",
            requested=needed.to_floats(),
            existing=to_floats(self.ledger.node.total),
        )

    def apply(
        self, applicant: Hashable, options: TaskOptions | ActorOptions, admitted: Callable[[Grant], None]
    ) -> None:
        """Stands in line. `admitted` is called with the grant, perhaps now."""
        needed = options.resources
        if isinstance(options, ActorOptions):
            needed = needed.largest_of_each(options.placement_resources)
        strategy = options.strategy
        group_id, index = b"", -1
        if isinstance(strategy, PlacementGroupStrategy):
            group_id, index = strategy.group_id, strategy.bundle_index
        line = (options.resources, needed, group_id, index)
        self._waiting[applicant] = line, admitted
        self._lines.setdefault(line, deque()).append(applicant)
        self._serve(line)

    def withdraw(self, applicant: Hashable) -> None:
        """Leaves the line. Nothing happens where the applicant is in none."""
        if applicant in self._waiting:
            line, _ = self._waiting.pop(applicant)
            self._lines[line].remove(applicant)

    def serve(self) -> None:
        """Something is free that was not: admits who can be admitted."""
        for line in list(self._lines):
            self._serve(line)
        self.on_free()

    def _serve(self, line: Line) -> None:
        applicants = self._lines.get(line)
        if applicants is None:
            return
        resources, needed, group_id, index = line
        while applicants:
            pots = self.ledger.candidates(group_id, index)
            pot = next((pot for pot in pots if pot.fits(needed.amounts)), None)
            if pot is None:
                return
            _, admitted = self._waiting.pop(applicants.popleft())
            admitted(Grant(pot, resources.amounts, pot.take(resources.amounts)))
        self._lines.pop(line, None)

    # --- having -----------------------------------------------------------------------------------------------------------------

    def give_back(self, grant: Grant) -> None:
        if grant.blocked:
            grant.blocked = 0
            if grant.cpus:
                grant.pot.take_back_cpu(grant.cpus)
        grant.pot.give(grant.amounts, grant.shares)
        self.serve()

    def block(self, grant: Grant) -> None:
        """A thread of the holder's waits: its CPUs may serve others."""
        grant.blocked += 1
        if grant.blocked == 1 and grant.cpus:
            grant.pot.lend_cpu(grant.cpus)
            self.serve()

    def unblock(self, grant: Grant) -> None:
        if grant.blocked:
            grant.blocked -= 1
            if grant.blocked == 0 and grant.cpus:
                grant.pot.take_back_cpu(grant.cpus)

    # --- looking ----------------------------------------------------------------------------------------------------------------

    def totals(self) -> dict[str, float]:
        return to_floats(self.ledger.node.total)

    def available(self) -> dict[str, float]:
        """What is free, without what is used up."""
        return to_floats({name: amount for name, amount in self.ledger.node.available.items() if amount > 0})

    def wants(self, applicant: Hashable) -> str:
        """Says what somebody in line lacks."""
        if applicant not in self._waiting:
            return "its turn"
        (_, needed, group_id, _), _ = self._waiting[applicant]
        where = f" in placement group {group_id.hex()[:8]}" if group_id else ""
        free = {name: max(0, self.ledger.node.available.get(name, 0)) for name in needed}
        return f"{needed}{where} (free: {format_amounts(free)})"

    def _view(self) -> NodeView:
        pot = self.ledger.node
        return NodeView(self.node_id, pot.total, pot.available, self.labels)


def _nothing() -> None:
    return
