"""Joins with unique keys are lookups, those of numbers go by their order, and both find what any join finds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.kernels.joining import _matching_numbers, _matching_rows, join

NUMBERS = st.one_of(st.integers(-5, 30), st.sampled_from([-(1 << 63), (1 << 63) - 1, 70_000, 1 << 40]))


@given(st.lists(NUMBERS, min_size=1), st.sets(NUMBERS, min_size=1), st.sampled_from(["inner", "left_outer"]))
def test_whole_numbers(keys: list[int], values: set[int], how: str) -> None:
    right = {value: number for number, value in enumerate(sorted(values))}
    left = pa.table({"k": pa.chunked_array([keys[:3], keys[3:]], pa.int64()), "row": range(len(keys))})
    made = join(left, pa.table({"k": list(right), "n": list(right.values())}), how, ["k"], ["k"], "", "")
    expected = [
        {"k": key, "row": row, "n": right.get(key)}
        for row, key in enumerate(keys)
        if how == "left_outer" or key in right
    ]
    assert made.to_pylist() == expected


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.uint64()])
def test_narrow_and_unsigned_numbers(kind: Any) -> None:
    left = pa.table({"k": pa.array([0, 100, 127, 3, 5] * 20, kind)})
    right = pa.table({"k": pa.array([127, 3, 0], kind), "n": ["a", "b", "c"]})
    made = join(left, right, "left_outer", ["k"], ["k"], "", "")
    assert made["n"].to_pylist() == ["c", None, "a", "b", None] * 20


def test_large_unsigned_numbers() -> None:
    top = (1 << 64) - 1
    left = pa.table({"k": pa.array([top, 0, top - 1], pa.uint64())})
    made = join(left, pa.table({"k": pa.array([top, 0], pa.uint64()), "n": [1, 2]}), "inner", ["k"], ["k"], "", "")
    assert made["n"].to_pylist() == [1, 2]


JOINS = ["inner", "left_outer", "right_outer", "full_outer", "left_semi", "left_anti"]


@given(
    st.lists(st.integers(-3, 4), max_size=30),
    st.lists(st.integers(-3, 4), max_size=30),
    st.sampled_from(JOINS),
    st.sampled_from([pa.int64(), pa.int8(), pa.float64(), pa.timestamp("us"), pa.date32()]),
)
def test_numbers_find_the_same_partners_in_the_same_order(
    lefts: list[int], rights: list[int], how: str, kind: Any
) -> None:
    exact = pa.int32() if pa.types.is_date(kind) else pa.int64()
    left, right = (pa.table({"k": pa.array(keys, exact).cast(kind)}) for keys in (lefts, rights))
    by_order, by_polars = (
        _matching_numbers(left, right, how, ["k"], ["k"]),
        _matching_rows(left, right, how, ["k"], ["k"]),
    )
    assert by_order is not None
    assert by_order.select(by_polars.column_names).to_pydict() == by_polars.to_pydict()


@pytest.mark.parametrize(
    "keys",
    [
        pa.array([1.0, float("nan")]),
        pa.array([1, None], pa.float64()),
        pa.array(["a", "b"]),
        pa.array([1, 2], pa.int32()),
    ],
)
def test_other_keys_are_none_of_its_business(keys: Any) -> None:
    left = pa.table({"k": pa.array([1.0, 2.0])})
    assert _matching_numbers(left, pa.table({"k": keys}), "inner", ["k"], ["k"]) is None
