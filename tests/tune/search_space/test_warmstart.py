"""Points to begin with are checked before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.utils.util import validate_warmstart


def test_what_fits() -> None:
    validate_warmstart(["x", "y"], [{"x": 1, "y": 2}, [3, 4]], [0.1, 0.2])
    validate_warmstart(["x", "y"], None, None)
    validate_warmstart(["x", "y"], [{"x": 1}], None, validate_point_name_lengths=False)


@pytest.mark.parametrize(
    ("points", "rewards", "says"),
    [
        ({"x": 1}, None, "points_to_evaluate is .*; give a list"),
        ([3], None, r"points_to_evaluate\[0\] is 3"),
        ([{"x": 1}], None, r"has 1 values: .*there are 2 parameters: \['x', 'y'\]"),
        ([{"x": 1, "y": 2}], 3, "evaluated_rewards is 3; give a list"),
        ([{"x": 1, "y": 2}], [1, 2], "evaluated_rewards has 2 values for 1"),
        (None, [1], "evaluated_rewards has 1 values for 0"),
    ],
)
def test_what_does_not(points: Any, rewards: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        validate_warmstart(["x", "y"], points, rewards)
