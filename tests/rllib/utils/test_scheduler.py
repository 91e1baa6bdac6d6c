"""Values that follow a schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.schedules.scheduler import Scheduler


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(-10, 10), min_size=6, max_size=6),
    st.integers(0, 1500),
)
def test_values_lie_on_straight_lines(times: list[int], values: list[float], timestep: int) -> None:
    points = list(zip([0, *times], values, strict=False))
    expected = np.interp(timestep, [0, *times], values[: len(points)])
    assert Scheduler(points, framework=None).update(timestep) == pytest.approx(expected)


def test_a_schedule_in_torch_is_one_tensor_that_changes() -> None:
    scheduler = Scheduler([[0, 1.0], [10, 0.0]])
    value = scheduler.get_current_value()
    assert scheduler.update(5) == 0.5
    assert value is scheduler.get_current_value()
    assert torch.equal(value, torch.tensor(0.5))


def test_a_fixed_value_stays_what_it_is() -> None:
    scheduler = Scheduler(0.3)
    assert scheduler.update(1000) == scheduler.get_current_value() == 0.3
    assert Scheduler(None).get_current_value() is None


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ([[0, 1.0]], "two points"),
        ([[5, 1.0], [10, 2.0]], "at 0"),
        ([[0, 1.0], [10, 2.0], [10, 3.0]], "must rise"),
        ([[0, 1.0], [10]], "pairs of numbers"),
        ([[0, 1.0], [10, float("nan")]], "pairs of numbers"),
        ("0.1", "give a number"),
        (True, "give a number"),
    ],
)
def test_what_is_no_schedule_is_named(points: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as raised:
        Scheduler.validate(fixed_value_or_schedule=points, setting_name="lr", description="learning rate")
    assert "lr" in str(raised.value)
