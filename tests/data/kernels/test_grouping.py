"""Sums, counts and extremes of groups, by either way, mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.kernels import Reduction, reduced

REDUCTIONS = [
    Reduction("sum", "sum", "v"),
    Reduction("min", "min", "v"),
    Reduction("max", "max", "v"),
    Reduction("n", "count", "v"),
    Reduction("nulls", "nulls", "v"),
    Reduction("rows", "rows"),
]
VALUES = st.one_of(st.none(), st.integers(-9, 9))
ROWS = st.lists(st.tuples(st.integers(-40, 40), VALUES), min_size=1, max_size=60)


def table_of(rows: Sequence[tuple[Any, Any]], key: Any = None, value: Any = None) -> pa.Table:
    keys, values = zip(*rows, strict=True)
    return pa.table({"k": pa.array(keys, key or pa.int64()), "v": pa.array(values, value or pa.int64())})


def expected(rows: Sequence[tuple[Any, Any]]) -> dict[Any, dict[str, Any]]:
    found = {}
    for key in sorted({key for key, _ in rows}):
        values = [value for other, value in rows if other == key]
        there = [value for value in values if value is not None]
        found[key] = {
            "sum": sum(there),
            "n": len(there),
            "nulls": len(values) - len(there),
            "rows": len(values),
            **({"min": min(there), "max": max(there)} if there else {}),
        }
    return found


def shown(table: pa.Table | None) -> dict[Any, dict[str, Any]]:
    """What the groups come to; without the extremes of groups that have no value."""
    assert table is not None
    found = {}
    for row in table.to_pylist():
        key = row.pop("k")
        found[key] = row if row["n"] else {name: value for name, value in row.items() if name not in ("min", "max")}
    return found


@given(ROWS)
def test_groups(rows: list[tuple[int, int | None]]) -> None:
    found = shown(reduced(table_of(rows), ["k"], REDUCTIONS))
    assert found == expected(rows)
    assert list(found) == sorted(found)


@given(ROWS, ROWS)
def test_results_of_blocks_become_one(
    first: list[tuple[int, int | None]], second: list[tuple[int, int | None]]
) -> None:
    blocks = [reduced(table_of(rows), ["k"], REDUCTIONS) for rows in (first, second)]
    both = pa.concat_tables([block for block in blocks if block is not None], promote_options="permissive")
    joined = reduced(both, ["k"], [reduction.of_results for reduction in REDUCTIONS])
    assert shown(joined) == expected([*first, *second])


def test_many_groups_of_chunked_numbers() -> None:
    keys = [(number * 37) % 5000 for number in range(5000)] * 2
    table = pa.table({"k": pa.chunked_array([keys[:7000], keys[7000:]]), "v": [0.5] * 10_000})
    found = reduced(table, ["k"], [Reduction("sum", "sum", "v"), Reduction("n", "count", "v")])
    assert found is not None
    assert found["k"].to_pylist() == list(range(5000))
    assert set(found["sum"].to_pylist()) == {1.0}
    assert set(found["n"].to_pylist()) == {2}


@pytest.mark.parametrize("kind", [pa.int16(), pa.uint64(), pa.float64(), pa.date32(), pa.timestamp("ns", "UTC")])
def test_keys_keep_their_type(kind: Any) -> None:
    keys = pa.array(range(100), pa.int32()).cast(pa.int64() if not pa.types.is_date(kind) else pa.int32()).cast(kind)
    found = reduced(pa.table({"k": keys, "v": range(100)}), ["k"], [Reduction("sum", "sum", "v")])
    assert found is not None
    assert found.schema.field("k").type == kind
    assert found["k"].to_pylist() == keys.to_pylist()


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ([1.0, float("nan")], [1, 2]),
        ([1, None], [1, 2]),
        ([True, False], [1, 2]),
        (["a", "b"], [1, 2]),
    ],
)
def test_polars_does_other_keys(keys: list[Any], values: list[Any]) -> None:
    assert reduced(pa.table({"k": keys, "v": values}), ["k"], REDUCTIONS) is None


@pytest.mark.parametrize("kind", [pa.float64(), pa.int32(), pa.string()])
def test_polars_does_what_depends_on_the_type(kind: Any) -> None:
    table = pa.table({"k": [1, 2], "v": pa.array(["1", "2"]).cast(kind)})
    assert reduced(table, ["k"], [Reduction("min", "min", "v")]) is None
