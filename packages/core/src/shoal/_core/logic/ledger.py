"""What a node has, what is taken of it, and by whom: exact to the last ten-thousandth.

A *pot* is something that leases take from: the node itself, or a bundle that a placement group has reserved on it. A bundle is
carved out of the node's pot and becomes a pot of its own; its GPUs go along. When a bundle is returned its leases, if any are
left, live on in the node's pot.

    prepare -> a bundle is reserved, nobody can use it yet
    commit  -> leases can be taken from it
    return  -> what is free goes back to the node at once, the rest as its leases end

Of each pot, at any time: total = available + held by leases (+ bundles, for the node). `available` may be negative while a task
that lent its CPU to others has taken it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from shoal._core.schema.resources import CPU, GPU, UNIT, ResourceSet

if TYPE_CHECKING:
    from shoal._core.logic.lease_queue import Lease

Amounts = tuple[tuple[str, int], ...]
"""(resource name, ten-thousandths)"""
GpuShares = tuple[tuple[int, int], ...]
"""(GPU id, ten-thousandths of it)"""


class Pot:
    """Something that leases take from."""

    __slots__ = ("available", "committed", "gpus", "group_id", "index", "leases", "total", "total_gpus")

    def __init__(
        self, total: Mapping[str, int], gpus: Mapping[int, int], group_id: bytes = b"", index: int = -1
    ) -> None:
        self.total = dict(total)
        self.available = dict(total)
        self.total_gpus = dict(gpus)
        self.gpus = dict(gpus)
        """What is free of each GPU."""
        self.group_id = group_id
        """Empty for the node itself."""
        self.index = index
        self.committed = not group_id
        self.leases: dict[int, Lease] = {}

    def __repr__(self) -> str:
        return f"<Pot of {self.describe()}: {self.available} of {self.total}>"

    def describe(self) -> str:
        return f"bundle {self.index} of placement group {self.group_id.hex()[:8]}" if self.group_id else "this node"

    def fits(self, amounts: Amounts) -> bool:
        available = self.available
        for name, amount in amounts:
            if available.get(name, 0) < amount:
                return False
            if name == GPU and not self._gpus_fit(amount):
                return False
        return True

    def fits_all(self, parts: Iterable[Amounts]) -> bool:
        """Returns whether all of these could be taken, one after the other."""
        trial = self.copy()
        for amounts in parts:
            if not trial.fits(amounts):
                return False
            trial.take(amounts)
        return True

    def lacks(self, amounts: Amounts) -> list[str]:
        """Returns the names of the resources of which there is not enough."""
        available = self.available
        return [
            name
            for name, amount in amounts
            if available.get(name, 0) < amount or (name == GPU and not self._gpus_fit(amount))
        ]

    def could_hold(self, amounts: Amounts) -> bool:
        """Returns whether so much is there when nothing is taken."""
        total = self.total
        return all(total.get(name, 0) >= amount for name, amount in amounts)

    def take(self, amounts: Amounts) -> GpuShares:
        """Takes what `fits`. Returns which GPUs."""
        available = self.available
        shares: GpuShares = ()
        for name, amount in amounts:
            available[name] -= amount
            if name == GPU:
                shares = self._take_gpus(amount)
        return shares

    def give(self, amounts: Amounts, shares: GpuShares) -> None:
        """Puts back what was taken."""
        available = self.available
        for name, amount in amounts:
            available[name] = available.get(name, 0) + amount
        for gpu, amount in shares:
            self.gpus[gpu] = self.gpus.get(gpu, 0) + amount

    def lend_cpu(self, amount: int) -> None:
        """Others may use this much of a lease's CPU while its task waits."""
        self.available[CPU] += amount

    def take_back_cpu(self, amount: int) -> None:
        """The task goes on, whether the CPU is free or not: it cannot be stopped."""
        self.available[CPU] -= amount

    def copy(self) -> Pot:
        """Returns a pot with the same free amounts and no leases, to try things out on."""
        other = Pot.__new__(Pot)
        other.total = self.total
        other.available = dict(self.available)
        other.total_gpus = self.total_gpus
        other.gpus = dict(self.gpus)
        other.group_id = self.group_id
        other.index = self.index
        other.committed = self.committed
        other.leases = {}
        return other

    def _gpus_fit(self, amount: int) -> bool:
        if amount < UNIT:
            return any(free >= amount for free in self.gpus.values())
        return sum(free >= UNIT for free in self.gpus.values()) * UNIT >= amount

    def _take_gpus(self, amount: int) -> GpuShares:
        gpus = self.gpus
        if amount < UNIT:
            # Best fit: fill a GPU that is shared already before breaking into a whole one.
            gpu = min((gpu for gpu, free in gpus.items() if free >= amount), key=lambda gpu: (gpus[gpu], gpu))
            gpus[gpu] -= amount
            return ((gpu, amount),)
        taken = sorted(gpu for gpu, free in gpus.items() if free >= UNIT)[: amount // UNIT]
        for gpu in taken:
            gpus[gpu] -= UNIT
        return tuple((gpu, UNIT) for gpu in taken)

    def check(self, reserved: Iterable[Pot] = ()) -> None:
        """Raises AssertionError where available + held (+ reserved for bundles) is not the total."""
        sums = dict(self.available)
        gpus = dict(self.gpus)
        for lease in self.leases.values():
            for name, amount in lease.held():
                sums[name] = sums.get(name, 0) + amount
            for gpu, amount in lease.shares:
                gpus[gpu] = gpus.get(gpu, 0) + amount
        for pot in reserved:
            for name, amount in pot.total.items():
                sums[name] = sums.get(name, 0) + amount
            for gpu, amount in pot.total_gpus.items():
                gpus[gpu] = gpus.get(gpu, 0) + amount
        assert {name: amount for name, amount in sums.items() if amount} == {
            name: amount for name, amount in self.total.items() if amount
        }, f"{self!r} does not add up: {sums}"
        assert gpus == self.total_gpus, f"GPUs of {self!r} do not add up: {gpus} of {self.total_gpus}"
        for gpu, free in self.gpus.items():
            assert 0 <= free <= self.total_gpus[gpu], f"GPU {gpu} of {self!r} has {free} free"
        for name, amount in self.available.items():
            assert amount >= 0 or name == CPU, f"{self!r}: only CPU can be owed"


class Ledger:
    """All pots of one node."""

    def __init__(self, total: Mapping[str, int]) -> None:
        whole, part = divmod(total.get(GPU, 0), UNIT)
        gpus = dict.fromkeys(range(whole), UNIT)
        if part:
            gpus[whole] = part
        self.node = Pot(total, gpus)
        self.groups: dict[bytes, dict[int, Pot]] = {}
        """Placement group id -> bundle index -> pot, of what is prepared or committed here."""

    def pots(self) -> Iterator[Pot]:
        yield self.node
        for bundles in self.groups.values():
            yield from bundles.values()

    def candidates(self, group_id: bytes, index: int) -> Iterable[Pot]:
        """Returns the pots that a request may take from; `index` -1 means any bundle of the group."""
        if not group_id:
            return (self.node,)
        bundles = self.groups.get(group_id, {})
        if index >= 0:
            return (bundles[index],) if index in bundles and bundles[index].committed else ()
        return [pot for pot in bundles.values() if pot.committed]

    def prepare(self, group_id: bytes, bundles: Mapping[int, ResourceSet]) -> bool:
        """Reserves bundles: all of them, or none (False). Those that are reserved already stay as they are."""
        made: list[Pot] = []
        known = self.groups.get(group_id, {})
        for index, resources in bundles.items():
            if index in known:
                continue
            if not self.node.fits(resources.amounts):
                for pot in made:
                    self._melt(pot)
                return False
            shares = self.node.take(resources.amounts)
            made.append(Pot(dict(resources.amounts), dict(shares), group_id, index))
        if made:
            self.groups.setdefault(group_id, {}).update((pot.index, pot) for pot in made)
        return True

    def commit(self, group_id: bytes, indices: Iterable[int]) -> None:
        bundles = self.groups.get(group_id, {})
        for index in indices:
            if index in bundles:
                bundles[index].committed = True

    def return_bundles(self, group_id: bytes, indices: Iterable[int]) -> list[Lease]:
        """Ends reservations. Returns the leases that were inside, and now are the node's."""
        bundles = self.groups.get(group_id, {})
        inside: list[Lease] = []
        for index in indices:
            pot = bundles.pop(index, None)
            if pot is not None:
                inside.extend(pot.leases.values())
                self._melt(pot)
        if not bundles:
            self.groups.pop(group_id, None)
        return inside

    def _melt(self, pot: Pot) -> None:
        """What is free (or owed) of a bundle becomes the node's; so do its leases, with what they hold."""
        self.node.give(tuple(pot.available.items()), tuple(pot.gpus.items()))
        for lease in pot.leases.values():
            lease.pot = self.node
            self.node.leases[lease.id] = lease
        pot.leases = {}

    def check(self) -> None:
        """Raises AssertionError where anything does not add up."""
        bundles = [pot for group in self.groups.values() for pot in group.values()]
        self.node.check(bundles)
        for pot in bundles:
            pot.check()
            for lease in pot.leases.values():
                assert lease.pot is pot
