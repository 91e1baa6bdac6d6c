"""benchmarks/train_rows.py: what figures are held against."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))  # its programs import each other by their file names

from train_rows import Row, is_same_or_less

WHOLE = Row("whole", "a program", "s", "once", {"torchrun": 1.0, "ray": 0.5}, limit=10.0)
STEP = Row("step", "a step", "ms", "step", same_as="torchrun")


def test_the_tightest_bound_of_those_that_were_measured_counts() -> None:
    assert WHOLE.goal({}) == 10.0
    assert WHOLE.goal({"torchrun": [4, 5, 9]}) == 5
    assert WHOLE.goal({"torchrun": [4, 5, 9], "ray": [8]}) == 4


@pytest.mark.parametrize(("ours", "met"), [([1, 5, 9], True), ([6, 6, 6], False), ([], None)])
def test_the_median_meets_it_or_not(ours: list[float], met: bool | None) -> None:
    assert WHOLE.is_met({"shoal": ours, "torchrun": [4, 5, 9]}) is met


@pytest.mark.parametrize(
    ("ours", "same"),
    [
        ([1.0, 1.1, 1.2, 1.3, 1.4, 1.5], True),
        ([1.05, 1.15, 1.25, 1.35, 1.45, 1.55], True),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], True),
        ([1.5, 1.6, 1.7, 1.8, 1.9, 2.0], False),
    ],
)
def test_steps_are_the_same_unless_chance_cannot_explain_that_ours_are_slower(ours: list[float], same: bool) -> None:
    theirs = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert is_same_or_less(ours, theirs) is same
    assert STEP.is_met({"shoal": ours, "torchrun": theirs}) is same
    assert STEP.is_met({"shoal": ours}) is None
