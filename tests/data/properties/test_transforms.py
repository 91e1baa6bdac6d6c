"""Every transform means what it means for a list of rows, whatever the blocks, in the driver and in tasks."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoal
from shoal.data.aggregate import Count, Max, Mean, Min, Std, Sum
from shoal.data.expressions import col

pytestmark = [pytest.mark.usefixtures("way"), pytest.mark.timeout(180)]
Made = tuple[list[dict[str, Any]], Any]

SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""Each example is some datasets, and each test runs in the driver and in tasks."""

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "k": (pa.int64(), st.integers(0, 4) | st.none()),
    "i": (pa.int64(), st.integers(-(2**40), 2**40)),
    "f": (pa.float64(), st.floats(-1e6, 1e6) | st.none()),
    "s": (pa.string(), st.sampled_from(["", "a", "ä", "zz", "b c"]) | st.none()),
    "b": (pa.bool_(), st.booleans() | st.none()),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in KINDS.items()])


def rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({name: values for name, (_, values) in KINDS.items()}), max_size=30)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Any]:
    """Rows, and a dataset of them in up to five blocks, some of them empty."""
    drawn = draw(rows())
    cuts = sorted(draw(st.lists(st.integers(0, len(drawn)), max_size=4)))
    bounds = [0, *cuts, len(drawn)]
    blocks = [pa.Table.from_pylist(drawn[start:end], SCHEMA) for start, end in pairwise(bounds)]
    return drawn, shoal.data.from_arrow(blocks)


def as_items(rows: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(sorted(row.items())) for row in rows)


@SETTINGS
@given(datasets())
def test_rows_come_back_as_they_are(made: Made) -> None:
    rows, ds = made
    assert ds.take_all() == rows
    assert ds.count() == len(rows)
    assert list(ds.iter_rows()) == rows


@SETTINGS
@given(datasets(), st.sampled_from(["numpy", "pandas", "pyarrow", None]), st.none() | st.integers(1, 7))
def test_batches_keep_rows_and_order(made: Made, batch_format: Any, batch_size: int | None) -> None:
    rows, ds = made
    found = ds.map_batches(lambda batch: batch, batch_format=batch_format, batch_size=batch_size)
    # numpy has no null for numbers and booleans, and pandas none that is not NaN.
    exact = ["i"] if batch_format in ("numpy", "pandas") else list(rows[0]) if rows else []
    assert [{name: row[name] for name in exact} for row in found.take_all()] == [
        {name: row[name] for name in exact} for row in rows
    ]


@SETTINGS
@given(datasets(), st.integers(1, 6), st.booleans())
def test_loops_over_batches(made: Made, size: int, drop_last: bool) -> None:
    rows, ds = made
    sizes = [batch.num_rows for batch in ds.iter_batches(batch_size=size, batch_format="pyarrow", drop_last=drop_last)]
    whole, rest = divmod(len(rows), size)
    assert sizes == [size] * whole + ([rest] if rest and not drop_last else [])


@SETTINGS
@given(datasets())
def test_functions_of_rows(made: Made) -> None:
    rows, ds = made
    assert ds.map(lambda row: {"n": row["i"] * 2}).take_all() == [{"n": row["i"] * 2} for row in rows]
    assert ds.filter(lambda row: row["k"] == 1).take_all() == [row for row in rows if row["k"] == 1]
    assert ds.flat_map(lambda row: [{"n": n} for n in range(row["k"] or 0)]).take_all() == [
        {"n": n} for row in rows for n in range(row["k"] or 0)
    ]


@SETTINGS
@given(datasets(), st.integers(-10, 10))
def test_expressions(made: Made, bound: int) -> None:
    rows, ds = made
    assert ds.filter(expr=col("i") > bound).take_all() == [row for row in rows if row["i"] > bound]
    assert ds.filter(expr=(col("k") == 1) | col("s").is_null()).take_all() == [
        row for row in rows if row["k"] == 1 or (row["s"] is None and row["k"] is not None) or row["s"] is None
    ]
    found = ds.with_column("t", col("i") + 1).select_columns(["t", "s"]).rename_columns({"s": "u"})
    assert found.take_all() == [{"t": row["i"] + 1, "u": row["s"]} for row in rows]
    assert ds.drop_columns(["f", "b"]).take_all() == [{name: row[name] for name in "kis"} for row in rows]


@SETTINGS
@given(datasets(), st.integers(0, 35))
def test_limits(made: Made, count: int) -> None:
    rows, ds = made
    assert ds.limit(count).take_all() == rows[:count]
    assert ds.take(count) == rows[:count]


@SETTINGS
@given(datasets(), st.booleans(), st.booleans())
def test_sorting_by_two_keys(made: Made, first_down: bool, second_down: bool) -> None:
    rows, ds = made
    expected = sorted(rows, key=lambda row: -row["i"] if second_down else row["i"])
    expected = sorted(
        expected, key=lambda row: (row["k"] is None, 0 if row["k"] is None else -row["k"] if first_down else row["k"])
    )
    assert ds.sort(["k", "i"], descending=[first_down, second_down]).take_all() == expected


@SETTINGS
@given(datasets(), st.integers(0, 3))
def test_shuffles_are_orders_that_only_the_seed_decides(made: Made, seed: int) -> None:
    rows, ds = made
    found = ds.random_shuffle(seed=seed).take_all()
    assert as_items(found) == as_items(rows)
    assert ds.repartition(3).random_shuffle(seed=seed).take_all() == found


@SETTINGS
@given(datasets(), st.integers(1, 6))
def test_repartitions(made: Made, blocks: int) -> None:
    rows, ds = made
    again = ds.repartition(blocks)
    assert again.take_all() == rows
    if rows:
        assert again.materialize().num_blocks() == blocks
    sizes = [
        batch.num_rows
        for batch in ds.repartition(target_num_rows_per_block=4).iter_batches(batch_size=None, batch_format="pyarrow")
    ]
    assert sum(sizes) == len(rows)
    assert all(size <= 4 for size in sizes)


@SETTINGS
@given(datasets(), datasets())
def test_unions(left: Made, right: Made) -> None:
    assert left[1].union(right[1]).take_all() == left[0] + right[0]


@SETTINGS
@given(datasets(), st.integers(1, 4))
def test_zips(made: Made, blocks: int) -> None:
    rows, ds = made
    other = ds.map(lambda row: {"i": row["i"] + 1}).repartition(blocks)
    assert ds.zip(other).take_all() == [{**row, "i_1": row["i"] + 1} for row in rows]


@SETTINGS
@given(datasets())
def test_aggregations_of_groups(made: Made) -> None:
    rows, ds = made
    aggregations = [Count(), Sum("i"), Min("i"), Max("s"), Mean("f"), Std("f")]
    found = {row["k"]: row for row in ds.groupby("k").aggregate(*aggregations).take_all()}
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["k"]].append(row)
    assert set(found) == set(groups)
    for key, group in groups.items():
        floats = [row["f"] for row in group if row["f"] is not None]
        texts = [row["s"] for row in group if row["s"] is not None]
        assert found[key]["count()"] == len(group)
        assert found[key]["sum(i)"] == sum(row["i"] for row in group)
        assert found[key]["min(i)"] == min(row["i"] for row in group)
        assert found[key]["max(s)"] == max(texts, default=None)
        assert found[key]["mean(f)"] == (pytest.approx(np.mean(floats), rel=1e-12, abs=1e-9) if floats else None)
        if len(floats) > 1:
            assert found[key]["std(f)"] == pytest.approx(np.std(floats, ddof=1), rel=1e-9, abs=1e-6)


@SETTINGS
@given(datasets())
def test_functions_of_groups(made: Made) -> None:
    rows, ds = made
    found = ds.groupby("k").map_groups(
        lambda group: {"k": group["k"][:1], "n": [group.num_rows]}, batch_format="pyarrow"
    )
    assert {row["k"]: row["n"] for row in found.take_all()} == Counter(row["k"] for row in rows)


HOW = ["inner", "left_outer", "right_outer", "full_outer", "left_semi", "left_anti", "right_semi", "right_anti"]


def joined(left: list[dict[str, Any]], right: list[dict[str, Any]], how: str) -> list[dict[str, Any]]:
    """By nested loops: null keys are equal to nothing."""

    def partners(row: dict[str, Any], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [other for other in others if row["k"] is not None and row["k"] == other["k"]]

    if how == "left_semi":
        return [row for row in left if partners(row, right)]
    if how == "left_anti":
        return [row for row in left if not partners(row, right)]
    if how.startswith("right_") and how != "right_outer":
        return joined(right, left, how.replace("right", "left"))
    both = [{"k": row["k"], "x": row["x"], "y": other["y"]} for row in left for other in partners(row, right)]
    if how in ("left_outer", "full_outer"):
        both += [{**row, "y": None} for row in left if not partners(row, right)]
    if how in ("right_outer", "full_outer"):
        both += [{"k": row["k"], "x": None, "y": row["y"]} for row in right if not partners(row, left)]
    return both


@pytest.mark.parametrize("how", HOW)
@SETTINGS
@given(datasets(), datasets(), st.none() | st.integers(1, 3))
def test_joins(how: str, left: Made, right: Made, partitions: int | None) -> None:
    schemas = [pa.schema([("k", pa.int64()), (name, pa.int64())]) for name in ("x", "y")]
    sides = [
        [{"k": row["k"], name: row["i"]} for row in rows] for (rows, _), name in zip((left, right), "xy", strict=True)
    ]
    one, other = (
        shoal.data.from_arrow([pa.Table.from_pylist(rows[::2], schema), pa.Table.from_pylist(rows[1::2], schema)])
        for rows, schema in zip(sides, schemas, strict=True)
    )
    found = one.join(other, how, partitions, on=("k",)).take_all()
    assert as_items(found) == as_items(joined(*sides, how))


@SETTINGS
@given(datasets(), st.lists(st.integers(0, 30), max_size=3).map(sorted))
def test_splits(made: Made, indices: list[int]) -> None:
    rows, ds = made
    bounds = [0, *indices, max([len(rows), *indices])]
    if indices:
        parts = [part.take_all() for part in ds.split_at_indices(indices)]
        assert parts == [rows[start:end] for start, end in pairwise(bounds)]
    parts = [part.take_all() for part in ds.split(3)]
    assert [row for part in parts for row in part] == rows
    equal = [part.count() for part in ds.split(3, equal=True)]
    assert equal == [len(rows) // 3] * 3


@SETTINGS
@given(datasets(), st.floats(0, 1), st.integers(0, 3))
def test_samples_are_rows_in_their_order(made: Made, fraction: float, seed: int) -> None:
    rows, ds = made
    found = ds.random_sample(fraction, seed=seed).take_all()
    remaining = iter(rows)
    assert all(any(row == other for other in remaining) for row in found)
    assert ds.repartition(2).random_sample(fraction, seed=seed).take_all() == found


@SETTINGS
@given(datasets())
def test_different_values(made: Made) -> None:
    rows, ds = made
    found = ds.unique("s")
    assert sorted(found, key=str) == sorted({row["s"] for row in rows}, key=str)
    assert sorted(ds.unique("k", ignore_nulls=True)) == sorted({row["k"] for row in rows} - {None})


@SETTINGS
@given(datasets())
def test_whole_frames(made: Made) -> None:
    rows, ds = made
    frame = ds.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["i"].tolist() == [row["i"] for row in rows]
    assert [
        None if value is None or (isinstance(value, float) and math.isnan(value)) else value for value in frame["s"]
    ] == [row["s"] for row in rows]
