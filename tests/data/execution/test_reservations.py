"""What stages reserve: any mix fits, or is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.execution.reservations import Demand, Reservations, reserve
from shoal.data.exceptions import InvalidArgumentError

TASKS = Demand("Read", 1)


def of(*demands: Demand, cpus: float = 2, free: float | None = None, **there: float) -> Reservations:
    return reserve(demands, {"CPU": cpus, **there}, cpus, cpus if free is None else free)


def test_what_fits_reserves_its_processors() -> None:
    assert of(TASKS, Demand("Pool", 1, actors=1)) == Reservations(True, (0, 1), (0, None))


def test_pools_that_leave_no_processor_reserve_none() -> None:
    assert of(TASKS, Demand("Pool", 1, actors=2)) == Reservations(False, (0, 2), (0, None))
    assert of(TASKS, Demand("Pool", 1, True, actors=1), cpus=1) == Reservations(False, (0, 1), (0, None))


def test_what_others_hold_cannot_be_reserved() -> None:
    assert not of(TASKS, free=0).reserves_cpus


def test_a_pool_begins_with_as_many_as_fit() -> None:
    assert of(TASKS, Demand("Pool", 1, True, actors=5)).first_actors == (0, 2)
    assert of(Demand("Pool", 0, True, {"GPU": 1}, actors=5), GPU=3).first_actors == (3,)


def test_pools_get_actors_in_turn() -> None:
    pools = [Demand(name, 0, True, {"GPU": 1}, actors=3) for name in "ab"]
    assert of(*pools, GPU=4).first_actors == (2, 2)


def test_a_pool_grows_no_further_than_devices_go() -> None:
    pool = Demand("Pool", 0, True, {"GPU": 1}, actors=1)
    assert of(pool, GPU=3).most_actors == (3,)
    assert of(Demand("Pool", 0, True, {"GPU": 1}, actors=1, most_actors=2), GPU=3).most_actors == (2,)


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        (Demand("Map(f)", 8, True), r"Map\(f\) can never run: it asks for 8 CPU, and there are 2 CPU"),
        (Demand("Map(f)", 1, others={"GPU": 1}), "1 GPU, and there are 0 GPU"),
        (Demand("Map(f)", 1, others={"memory": 2 << 30}), "2.0 GiB of memory, and there are 0.0 GiB"),
    ],
)
def test_what_can_never_run_is_named(demand: Demand, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        of(TASKS, demand)


def test_pools_that_cannot_share_a_device_are_named() -> None:
    with pytest.raises(InvalidArgumentError, match="A and B can never run together"):
        of(Demand("A", 0, True, {"GPU": 1}, actors=1), Demand("B", 0, True, {"GPU": 1}, actors=1), GPU=1)
    with pytest.raises(InvalidArgumentError, match="A and B can never run together"):
        of(Demand("A", 0, True, {"GPU": 1}, actors=1), Demand("B", 0, True, {"GPU": 1}), GPU=1)


@given(
    st.lists(
        st.builds(
            Demand,
            st.just("Stage"),
            st.sampled_from([0.0, 0.5, 1.0]),
            st.booleans(),
            st.sampled_from([{}, {"GPU": 0.5}]),
            st.sampled_from([None, 1, 3]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([1.0, 2.0, 8.0]),
)
def test_any_mix_fits_side_by_side(demands: list[Demand], cpus: float) -> None:
    found = reserve(demands, {"CPU": cpus, "GPU": 4.0}, cpus, cpus)
    pairs = list(zip(demands, found.first_actors, strict=True))
    for demand, count in pairs:
        assert (count == 0) if demand.actors is None else (1 <= count <= demand.actors)
    tasks = [demand for demand in demands if demand.actors is None]
    gpus = sum(demand.others.get("GPU", 0.0) * count for demand, count in pairs)
    assert gpus + max((demand.others.get("GPU", 0.0) for demand in tasks), default=0.0) <= 4
    if found.reserves_cpus:
        held = sum(demand.cpus * count for demand, count in pairs)
        assert held + max((demand.cpus for demand in tasks), default=0.0) <= cpus
