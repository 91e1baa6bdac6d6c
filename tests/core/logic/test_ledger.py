"""Pots and bundles: what was taken goes back, GPUs keep their identity, bundles melt without a trace."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shoal._core.logic.lease_queue import TASK, ClassQueue, Lease, Party, Request
from shoal._core.logic.ledger import Ledger, Pot
from shoal._core.schema.resources import UNIT, ResourceSet, SchedulingClass

GROUP = b"g" * 16


def units(**amounts: float) -> Any:
    return ResourceSet.parse(amounts).amounts


def take(pot: Pot, number: int, **amounts: float) -> Lease:
    queue = ClassQueue("key", SchedulingClass(ResourceSet.parse(amounts)))
    lease = Lease(number, Request(b"c", number, TASK, "f", 1, 0.0), Party(b"c", queue), pot, queue.amounts, (), 0.0)
    lease.shares = pot.take(queue.amounts)
    pot.leases[number] = lease
    return lease


def test_fractions_share_a_gpu_and_whole_ones_do_not() -> None:
    pot = Ledger({"GPU": 3 * UNIT}).node
    assert pot.take(units(GPU=0.5)) == ((0, 5_000),)
    assert pot.take(units(GPU=0.25)) == ((0, 2_500),)
    assert pot.take(units(GPU=0.5)) == ((1, 5_000),)
    assert pot.take(units(GPU=0.25)) == ((0, 2_500),), "best fit: what is left of GPU 0 is enough"
    assert pot.take(units(GPU=1)) == ((2, 10_000),)
    assert not pot.fits(units(GPU=0.75))
    assert pot.available["GPU"] == 5_000


def test_two_halves_are_no_gpu() -> None:
    pot = Ledger({"GPU": 2 * UNIT}).node
    first = pot.take(units(GPU=0.6))
    second = pot.take(units(GPU=0.6))
    assert first[0][0] != second[0][0]
    assert not pot.fits(units(GPU=0.8)), "0.8 are free, on two GPUs"
    assert pot.lacks(units(GPU=0.8, CPU=0)) == ["GPU"]
    pot.give(units(GPU=0.6), first)
    assert pot.fits(units(GPU=1))


def test_part_of_a_gpu_is_all_there_is() -> None:
    pot = Ledger({"GPU": 5_000}).node
    assert pot.fits(units(GPU=0.5))
    assert not pot.fits(units(GPU=1))
    assert pot.total_gpus == {0: 5_000}


def test_a_bundle_takes_its_gpus_along() -> None:
    ledger = Ledger({"CPU": 4 * UNIT, "GPU": 4 * UNIT})
    ledger.node.take(units(GPU=1))
    assert ledger.prepare(GROUP, {0: ResourceSet.parse({"GPU": 2}), 1: ResourceSet.parse({"CPU": 1, "GPU": 0.5})})
    bundle = ledger.groups[GROUP][0]
    assert bundle.total_gpus == {1: UNIT, 2: UNIT}
    assert ledger.groups[GROUP][1].total_gpus == {3: 5_000}
    assert bundle.take(units(GPU=1)) == ((1, UNIT),)


def test_bundles_are_reserved_together_or_not_at_all() -> None:
    ledger = Ledger({"CPU": 3 * UNIT})
    two = ResourceSet.parse({"CPU": 2})
    assert not ledger.prepare(GROUP, {0: two, 1: two})
    assert ledger.node.available == {"CPU": 3 * UNIT}
    assert not ledger.groups
    assert ledger.prepare(GROUP, {0: two})
    assert ledger.prepare(GROUP, {0: two}), "asked twice, reserved once"
    assert ledger.node.available == {"CPU": UNIT}
    ledger.check()


def test_bundles_are_used_once_committed() -> None:
    ledger = Ledger({"CPU": 3 * UNIT})
    ledger.prepare(GROUP, {0: ResourceSet.parse({"CPU": 1}), 1: ResourceSet.parse({"CPU": 2})})
    assert not list(ledger.candidates(GROUP, -1))
    ledger.commit(GROUP, (1, 7))
    assert [pot.index for pot in ledger.candidates(GROUP, -1)] == [1]
    assert not list(ledger.candidates(GROUP, 0))
    ledger.commit(GROUP, (0,))
    assert [pot.index for pot in ledger.candidates(GROUP, 0)] == [0]
    assert list(ledger.candidates(b"", -1)) == [ledger.node]
    assert not list(ledger.candidates(b"other", -1))


def test_leases_outlive_their_bundle() -> None:
    ledger = Ledger({"CPU": 4 * UNIT, "GPU": 2 * UNIT})
    ledger.prepare(GROUP, {0: ResourceSet.parse({"CPU": 3, "GPU": 1})})
    ledger.commit(GROUP, (0,))
    bundle = ledger.groups[GROUP][0]
    lease = take(bundle, 1, CPU=2, GPU=0.5)
    lease.lent = 2 * UNIT
    bundle.lend_cpu(lease.lent)
    other = take(bundle, 2, CPU=3)
    lease.pot.take_back_cpu(lease.lent)
    lease.lent = 0
    assert bundle.available["CPU"] == -2 * UNIT
    ledger.check()
    assert ledger.return_bundles(GROUP, (0, 5)) == [lease, other]
    ledger.check()
    assert ledger.node.available == {"CPU": -UNIT, "GPU": 15_000}
    lease.release()
    other.release()
    ledger.check()
    assert ledger.node.available == ledger.node.total
    assert not ledger.groups


def test_trying_out_changes_nothing() -> None:
    pot = Ledger({"CPU": 2 * UNIT, "GPU": UNIT}).node
    assert pot.fits_all([units(CPU=1, GPU=0.5), units(CPU=1, GPU=0.5)])
    assert not pot.fits_all([units(CPU=1, GPU=0.6), units(CPU=1, GPU=0.6)])
    assert pot.available == pot.total
    assert pot.could_hold(units(CPU=2))
    assert not pot.could_hold(units(CPU=3))


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.5, 1, 2]), st.booleans()), max_size=30))
def test_gpus_are_never_given_twice(steps: list[tuple[float, bool]]) -> None:
    ledger = Ledger({"GPU": 3 * UNIT})
    held: list[Lease] = []
    for number, (amount, give) in enumerate(steps):
        if give and held:
            held.pop(0).release()
        elif ledger.node.fits(units(GPU=amount)):
            held.append(take(ledger.node, number, GPU=amount))
            assert sum(share for _, share in held[-1].shares) == amount * UNIT
        ledger.check()
    for lease in held:
        lease.release()
    assert ledger.node.gpus == ledger.node.total_gpus
