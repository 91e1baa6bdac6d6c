"""Whatever is reported becomes a line that can be read again."""

from __future__ import annotations

import datetime as dt
import json
import math
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune.logger.encoding import json_line, parsed_line, plain

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


class Broken:
    """Has no text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_what_json_has_comes_back(result: dict[str, Any]) -> None:
    line = json_line(result)
    assert line.count(b"\n") == 1
    assert parsed_line(line) == result
    assert json.loads(line) == result


def test_numbers_that_are_none_come_back() -> None:
    found = parsed_line(
        json_line({"a": math.nan, "b": [math.inf, -math.inf], "c": {"d": np.float32("nan")}, "e": None})
    )
    assert math.isnan(found["a"])
    assert found["b"] == [math.inf, -math.inf]
    assert math.isnan(found["c"]["d"])
    assert found["e"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor(1.5), 1.5),
        (torch.ones(2, requires_grad=True), [1.0, 1.0]),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        ((1, 2), [1, 2]),
        ({1: {2: 3}}, {"1": {"2": 3}}),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        (2**100, 2**100),
        (float, "<class 'float'>"),
        (Broken(), "Broken"),
        (threading.Lock(), "lock"),
        (b"abc", "YWJj"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_not_is_text_or_the_like(value: Any, expected: Any) -> None:
    found = parsed_line(json_line({"x": value}))["x"]
    if isinstance(expected, str):
        assert expected in found
    else:
        assert found == expected


def test_what_holds_itself_ends() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert b"again" in json_line(endless)


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_plain_values_are_left_alone(result: dict[str, Any]) -> None:
    assert plain(result) == result
