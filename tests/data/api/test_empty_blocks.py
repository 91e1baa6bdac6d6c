"""Blocks without rows go through every operator, and so do datasets without rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.data import Dataset
from shoal.data.aggregate import AbsMax, AggregateFn, Count, Max, Mean, Min, Quantile, Std, Sum, Unique
from shoal.data.exceptions import ColumnNotFoundError
from shoal.data.expressions import col, lit

pytestmark = pytest.mark.usefixtures("way")

ROWS = {"k": [2, 1, 2], "x": [1.0, 2.0, 3.0], "s": ["a", "b", None]}
SCHEMA = pa.schema([("k", pa.int64()), ("x", pa.float64()), ("s", pa.string())])


class Same:
    def __call__(self, batch: Any) -> Any:
        return batch


def counted() -> AggregateFn:
    return AggregateFn(
        init=lambda key: 0, accumulate_row=lambda state, row: state + 1, merge=lambda a, b: a + b, name="n"
    )


def every() -> list[AggregateFn]:
    kinds = (Sum, Min, Max, Mean, Std, AbsMax, Quantile)
    return [Count(), *(kind("x") for kind in kinds), Unique("s"), counted()]


def halves(parts: list[Any]) -> list[int]:
    return [part.count() for part in parts]


def rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    return dataset.take_all()


OPERATIONS: dict[str, Callable[[Dataset], Any]] = {
    "map": lambda ds: rows_of(ds.map(lambda row: {**row, "z": 1})),
    "map_batches": lambda ds: rows_of(ds.map_batches(lambda batch: batch, batch_size=2)),
    "map_batches of pandas": lambda ds: rows_of(ds.map_batches(lambda frame: frame, batch_format="pandas")),
    "map_batches of a class": lambda ds: rows_of(ds.map_batches(Same, concurrency=1)),
    "flat_map": lambda ds: rows_of(ds.flat_map(lambda row: [row, row])),
    "filter": lambda ds: rows_of(ds.filter(lambda row: row["k"] > 1)),
    "filter by an expression": lambda ds: rows_of(ds.filter(expr=col("k") > 1)),
    "columns": lambda ds: rows_of(ds.select_columns(["k", "x"]).drop_columns(["x"]).rename_columns({"k": "key"})),
    "with_column": lambda ds: rows_of(ds.with_column("z", col("k") * 2)),
    "add_column": lambda ds: rows_of(ds.add_column("z", lambda frame: frame["k"])),
    "limit": lambda ds: rows_of(ds.limit(2)),
    "random_sample": lambda ds: rows_of(ds.random_sample(0.5, seed=1)),
    "sort": lambda ds: rows_of(ds.sort(["k", "x"], descending=[True, False])),
    "random_shuffle": lambda ds: rows_of(ds.random_shuffle(seed=1)),
    "repartition": lambda ds: rows_of(ds.repartition(5)),
    "repartition by rows": lambda ds: rows_of(ds.repartition(target_num_rows_per_block=2)),
    "repartition by keys": lambda ds: sorted(map(str, rows_of(ds.repartition(3, keys=["k"])))),
    "union": lambda ds: rows_of(ds.union(ds)),
    "zip": lambda ds: rows_of(ds.zip(ds)),
    "inner join": lambda ds: rows_of(ds.join(ds.select_columns("k"), "inner", 2, on="k").sort("x")),
    "full join": lambda ds: rows_of(ds.join(ds, "full_outer", 2, on="k", right_suffix="_r").sort(["k", "x", "x_r"])),
    "anti join": lambda ds: rows_of(ds.join(ds, "left_anti", 2, on="k")),
    "groups": lambda ds: rows_of(ds.groupby("k").aggregate(*every())),
    "groups of text": lambda ds: rows_of(ds.groupby("s").count()),
    "map_groups": lambda ds: rows_of(ds.groupby("k").map_groups(lambda group: {"n": [len(group["k"])]})),
    "aggregate": lambda ds: ds.aggregate(*every()),
    "unique": lambda ds: ds.unique("s"),
    "split": lambda ds: halves(ds.split(2)),
    "equal split": lambda ds: halves(ds.split(2, equal=True)),
    "split_at_indices": lambda ds: halves(ds.split_at_indices([1])),
    "train_test_split": lambda ds: halves(ds.train_test_split(0.5)),
    "stratified split": lambda ds: halves(ds.train_test_split(0.5, stratify="k")),
    "streaming_split": lambda ds: [len(list(part.iter_rows())) for part in ds.streaming_split(1)],
    "iter_batches": lambda ds: [len(batch["k"]) for batch in ds.iter_batches(batch_size=2)],
    "to_pandas": lambda ds: ds.to_pandas().to_dict("list"),
    "count": lambda ds: ds.count(),
}


def with_blocks(*sizes: int) -> Dataset:
    """The rows, in blocks of such sizes."""
    table, tables, start = pa.table(ROWS, schema=SCHEMA), [], 0
    for size in sizes:
        tables.append(table.slice(start, size))
        start += size
    return shoal.data.from_arrow(tables)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_blocks_without_rows_change_nothing(operation: str) -> None:
    done = OPERATIONS[operation]
    assert str(done(with_blocks(0, 2, 0, 0, 1, 0))) == str(done(with_blocks(3)))


NOTHING: dict[str, Callable[[], Dataset]] = {
    "by a function": lambda: with_blocks(3).filter(lambda row: False),
    "of flat_map": lambda: with_blocks(0, 3).flat_map(lambda row: []),
    "of a range": lambda: (
        shoal.data.range(0).with_columns({"k": col("id"), "x": col("id") * 1.5, "s": lit("a")}).drop_columns("id")
    ),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("nothing", NOTHING)
def test_nothing_comes_of_nothing(nothing: str, operation: str) -> None:
    if (nothing, operation) == ("of flat_map", "stratified split"):
        with pytest.raises(ColumnNotFoundError):  # the columns were never seen
            OPERATIONS[operation](NOTHING[nothing]())
        return
    found = OPERATIONS[operation](NOTHING[nothing]())
    if operation == "aggregate":
        assert found["count()"] == 0 and found["n"] == 0
        assert all(found[f"{name}(x)"] is None for name in ("sum", "min", "max", "mean", "std", "quantile", "abs_max"))
    elif isinstance(found, list):
        assert not any(found)
    elif isinstance(found, dict):
        assert not any(map(len, found.values()))
    else:
        assert found == 0


@pytest.mark.parametrize("how", ["inner", "left_outer", "right_outer", "full_outer", "left_semi", "left_anti"])
@pytest.mark.parametrize("nothing", NOTHING)
def test_joins_with_nothing(nothing: str, how: str) -> None:
    everything = with_blocks(1, 0, 2)
    expected = {"left_outer": 3, "full_outer": 3, "left_anti": 3}.get(how, 0)
    assert everything.join(NOTHING[nothing](), how, 2, on="k", right_suffix="_r").count() == expected
    expected = {"right_outer": 3, "full_outer": 3}.get(how, 0)
    assert NOTHING[nothing]().join(everything, how, 2, on="k", right_suffix="_r").count() == expected


@pytest.mark.parametrize("nothing", NOTHING)
def test_nothing_is_written(nothing: str, tmp_path: Path) -> None:
    for number, write in enumerate((Dataset.write_parquet, Dataset.write_csv, Dataset.write_json)):
        write(NOTHING[nothing](), str(tmp_path / str(number)))
        assert not any(path.stat().st_size for path in (tmp_path / str(number)).rglob("*.json"))


def test_a_key_that_is_missing_after_a_function_is_named_with_those_alike() -> None:
    renamed = shoal.data.range(3).map(lambda row: {"idx": row["id"]})
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'idx'"):
        renamed.join(shoal.data.range(3), "inner", 2).take_all()
