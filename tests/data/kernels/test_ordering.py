"""Orders within one table: stable, nulls last, NaN after all numbers."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.kernels import group_slices, merge_sorted, order_of_numbers, sort
from shoal.data._internal.kernels.ordering import sort_order

DAYS = st.dates(dt.date(1960, 1, 1), dt.date(1980, 1, 1))
INTEGERS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2), max_size=60)


@given(INTEGERS)
def test_equal_numbers_stay_in_their_order(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.int64)
    assert order_of_numbers(values).tolist() == np.argsort(values, kind="stable").tolist()


def expected_order(values: list[Any], descending: bool) -> list[int]:
    """By Python's stable sort: nulls last, before them NaN."""

    def rank(value: Any) -> int:
        return 2 if value is None else 1 if isinstance(value, float) and math.isnan(value) else 0

    ordered = sorted(
        (n for n, value in enumerate(values) if rank(value) == 0), key=lambda n: values[n], reverse=descending
    )
    return ordered + [n for kind in (1, 2) for n, value in enumerate(values) if rank(value) == kind]


KINDS = {
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1) | st.integers(0, 2)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "double": (pa.float64(), st.floats() | st.sampled_from([0.0, -0.0, 1.0])),
    "date": (pa.date32(), DAYS),
    "timestamp": (pa.timestamp("us"), DAYS.map(lambda day: dt.datetime.combine(day, dt.time(1, 2, 3)))),
    "string": (pa.string(), st.text(max_size=3)),
    "bool": (pa.bool_(), st.booleans()),
}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), descending=st.booleans())
def test_one_key_of_any_type(kind: str, data: st.DataObject, descending: bool) -> None:
    arrow_type, values = KINDS[kind]
    column = data.draw(st.lists(values, max_size=30) | st.lists(values | st.none(), max_size=30))
    table = pa.table({"k": pa.array(column, arrow_type)})
    assert sort_order(table, ["k"], [descending]).to_pylist() == expected_order(column, descending)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2) | st.none()), max_size=30))
def test_the_second_key_decides_among_equal_first_ones(rows: list[tuple[int, int | None]]) -> None:
    table = pa.table({"a": [a for a, _ in rows], "b": pa.array([b for _, b in rows], pa.int64())})
    found = sort_order(table, ["a", "b"], [True, False]).to_pylist()
    assert found == sorted(range(len(rows)), key=lambda n: (-rows[n][0], rows[n][1] is None, rows[n][1] or 0))


def test_merging_keeps_equal_rows_in_the_order_of_the_tables() -> None:
    tables = [pa.table({"k": [1, 1, 3], "t": [n] * 3}) for n in range(3)]
    merged = merge_sorted(tables, ["k"], [False])
    assert merged.column("k").to_pylist() == [1] * 6 + [3] * 3
    assert merged.column("t").to_pylist() == [0, 0, 1, 1, 2, 2, 0, 1, 2]


def test_a_chunked_column_is_sorted_as_a_whole() -> None:
    table = pa.table({"k": pa.chunked_array([[3, 1], [], [2]])})
    assert sort(table, ["k"], [False]).column("k").to_pylist() == [1, 2, 3]


@given(st.lists(st.tuples(st.integers(0, 2) | st.none(), st.sampled_from(["", "a", "b"])), min_size=1, max_size=30))
def test_groups_are_runs_of_equal_keys(rows: list[tuple[int | None, str]]) -> None:
    table = pa.table({"a": pa.array([a for a, _ in rows], pa.int64()), "b": [b for _, b in rows]})
    ordered, slices = group_slices(table, ["a", "b"])
    keys = list(zip(ordered.column("a").to_pylist(), ordered.column("b").to_pylist(), strict=True))
    groups = [set(keys[start : start + length]) for start, length in slices]
    assert all(len(group) == 1 for group in groups)
    assert sorted(map(str, (key for group in groups for key in group))) == sorted(map(str, set(rows)))
    assert sum(length for _, length in slices) == len(rows)
