"""How many replicas there are to be, simulated over minutes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serve._internal.logic.autoscaling import Autoscaling
from shoal.serve.config import AutoscalingConfig

DEFAULT = AutoscalingConfig(min_replicas=1, max_replicas=20)


def simulated(config: AutoscalingConfig, load: Callable[[float], float], seconds: float) -> list[tuple[float, int]]:
    """Returns when there were to be how many, at each change."""
    scaling = Autoscaling(config)
    replicas = config.initial_replicas or config.min_replicas
    changes = [(0.0, replicas)]
    now = 0.0
    while now < seconds:
        scaling.record(load(now), now)
        wanted = scaling.decide(replicas, now)
        if wanted != replicas:
            replicas = wanted
            changes.append((now, replicas))
        now += config.metrics_interval_s
    return changes


def reversals(changes: list[tuple[float, int]]) -> int:
    steps = [after > before for (_, before), (_, after) in itertools.pairwise(changes)]
    return sum(a != b for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize(
    ("older", "factors"),
    [
        ({"smoothing_factor": 0.5}, (0.5, 0.5)),
        ({"smoothing_factor": 1.0, "upscale_smoothing_factor": None, "downscale_smoothing_factor": 2}, (1.0, 2.0)),
        ({"upscale_smoothing_factor": 2, "upscaling_factor": 3}, (3.0, None)),
    ],
)
def test_older_names_of_factors(older: dict[str, float | None], factors: tuple[float, float | None]) -> None:
    config = AutoscalingConfig.model_validate(older)
    assert (config.upscaling_factor, config.downscaling_factor) == factors


def test_a_step_goes_up_and_stays() -> None:
    changes = simulated(DEFAULT, lambda now: 0 if now < 100 else 20, 2000)
    assert changes[-1][1] == 10
    assert reversals(changes) == 0


def test_a_step_back_comes_down_once_the_delay_is_over() -> None:
    changes = simulated(DEFAULT, lambda now: 20 if now < 1000 else 0, 4000)
    assert [replicas for _, replicas in changes][-1] == 1
    assert max(replicas for _, replicas in changes) == 10
    assert reversals(changes) == 1
    assert next(at for at, replicas in changes if at > 1000) >= 1600


def test_a_saw_tooth_keeps_what_its_peaks_need() -> None:
    changes = simulated(DEFAULT, lambda now: 40 * (now % 200) / 200, 6000)
    assert reversals(changes) == 0


def test_a_spike_shorter_than_the_delay_changes_nothing() -> None:
    config = AutoscalingConfig(min_replicas=1, max_replicas=20, metrics_interval_s=1, look_back_period_s=5)
    assert simulated(config, lambda now: 100 if 50 <= now < 60 else 1, 500) == [(0.0, 1)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_at_most_one_reversal_for_each_change_of_the_load(levels: list[int]) -> None:
    changes = simulated(DEFAULT, lambda now: levels[min(int(now / 1000), len(levels) - 1)], 1000 * len(levels) + 1000)
    assert reversals(changes) <= len(levels)
    assert changes[-1][1] == max(1, min(20, -(-levels[-1] // 2)))


def test_to_zero_and_back_at_once() -> None:
    config = AutoscalingConfig(
        min_replicas=0,
        initial_replicas=2,
        max_replicas=4,
        metrics_interval_s=1,
        look_back_period_s=2,
        downscale_delay_s=10,
        downscale_to_zero_delay_s=50,
    )
    changes = simulated(config, lambda now: 0 if now < 200 else 8, 300)
    assert [replicas for _, replicas in changes] == [2, 1, 0, 2, 4] or [r for _, r in changes][:3] == [2, 1, 0]
    assert changes[1][0] >= 10
    assert changes[2][0] - changes[1][0] >= 50
    assert changes[3][0] == 200
    assert changes[-1][1] == 4


@pytest.mark.parametrize(("aggregation", "wanted"), [("mean", 5), ("max", 10), ("min", 1)])
def test_what_the_period_is_summed_up_to(aggregation: str, wanted: int) -> None:
    config = AutoscalingConfig(max_replicas=20, aggregation_function=aggregation, target_ongoing_requests=1)
    scaling = Autoscaling(config)
    for now, load in enumerate([0, 5, 10]):
        scaling.record(load, now)
    assert scaling.desired(3, 3) == wanted


def test_factors_make_steps_larger_or_smaller() -> None:
    config = AutoscalingConfig(
        max_replicas=100, target_ongoing_requests=1, upscaling_factor=2.0, downscaling_factor=0.5
    )
    scaling = Autoscaling(config)
    scaling.record(20, 0)
    assert scaling.desired(10, 0) == 30
    assert scaling.desired(40, 0) == 30


@given(
    loads=st.lists(st.floats(0, 1000), max_size=100),
    least=st.integers(0, 5),
    more=st.integers(0, 20),
    target=st.floats(0.5, 10),
)
def test_limits_hold(loads: list[float], least: int, more: int, target: float) -> None:
    config = AutoscalingConfig(
        min_replicas=least,
        max_replicas=max(1, least + more),
        target_ongoing_requests=target,
        metrics_interval_s=1,
        look_back_period_s=3,
        upscale_delay_s=2,
        downscale_delay_s=4,
    )
    changes = simulated(config, lambda now: loads[int(now)], len(loads))
    assert all(least <= replicas <= config.max_replicas for _, replicas in changes)
    enough = [at for at, _ in changes[1:]]
    assert enough == sorted(set(enough))
