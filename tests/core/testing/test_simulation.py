"""The logic of a whole session under seeded chance: message delays, kills, retries. `python -m shoal.testing.simulation` runs more."""

from __future__ import annotations

import pytest

from shoal.testing.simulation import World, simulate
from shoal.testing.simulation.witness import Violation

SEEDS = 1000
CHUNK = 100


@pytest.mark.parametrize("start", range(0, SEEDS, CHUNK))
def test_no_invariant_breaks_in_a_thousand_sessions(start: int) -> None:
    for seed in range(start, start + CHUNK):
        outcome = simulate(seed)
        assert not outcome.problem, f"seed {seed}: {outcome.problem}\n{outcome.story}"


def test_sessions_do_real_work() -> None:
    outcomes = [simulate(seed) for seed in range(40)]
    assert sum(outcome.tasks for outcome in outcomes) > 200
    assert sum(outcome.gets for outcome in outcomes) > 200


def test_the_same_seed_gives_the_same_trace() -> None:
    first, second, other = simulate(7), simulate(7), simulate(8)
    assert first.digest == second.digest
    assert first.digest != other.digest


def test_a_reference_that_is_not_counted_is_noticed() -> None:
    """The witness itself: where owners hear nothing of borrowers, it has to complain."""
    found = 0
    for seed in range(0, 60, 2):
        world = World(seed)
        for client in world.clients.values():
            client.objects.table.borrowed = lambda *_: []  # type: ignore[method-assign]
        try:
            world.run()
        except Violation as violation:
            found += "freed" in str(violation) or "fails" in str(violation)
    assert found > 0
