"""Objects of a space that are made anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shoal import tune
from shoal.tune._internal.logic.renewed_objects import is_same_grid, with_renewed_objects


class Reference:
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


OLD, OTHER, NEW = Reference("old"), Reference("other"), Reference("new")


@pytest.mark.parametrize(
    ("config", "stored", "given", "expected"),
    [
        (OLD, OLD, NEW, NEW),
        (10, 10, 20, 10),
        (
            {"a": {"b": OLD}, "x": 0.5},
            {"a": {"b": OLD}, "x": tune.uniform(0, 1)},
            {"a": {"b": NEW}, "x": 1},
            {"a": {"b": NEW}, "x": 0.5},
        ),
        ({"a": OTHER}, {"a": tune.grid_search([OLD, OTHER])}, {"a": tune.grid_search([NEW, OLD])}, {"a": OLD}),
        ({"a": 2}, {"a": tune.grid_search([1, 2])}, {"a": tune.grid_search([1, 2])}, {"a": 2}),
        ([16, OLD], [tune.grid_search([16]), OLD], [tune.grid_search([16]), NEW], [16, NEW]),
        ({"a": 1, "more": 2}, {"a": 1}, {"a": 1}, {"a": 1, "more": 2}),
    ],
)
def test_objects_are_those_of_the_new_space(config: Any, stored: Any, given: Any, expected: Any) -> None:
    assert with_renewed_objects(config, stored, given) == expected


def test_grids_may_differ_in_objects_only() -> None:
    assert is_same_grid(tune.grid_search([OLD, 1]), tune.grid_search([NEW, 1]))
    assert is_same_grid(tune.grid_search([np.zeros(2)]), tune.grid_search([np.zeros(2)]))
    assert not is_same_grid(tune.grid_search([OLD, 1]), tune.grid_search([NEW, 2]))
    assert not is_same_grid(tune.grid_search([OLD]), tune.grid_search([OLD, NEW]))
    assert not is_same_grid(tune.grid_search([OLD]), tune.grid_search([1]))
