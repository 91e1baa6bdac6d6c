"""Exchanges of more data than the object store holds: blocks are split as they come, and what is too large is split once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from shoal.data import DataContext, Dataset

ROWS = 2_000_000
FILES = 8


@pytest.fixture(scope="module", autouse=True)
def small_store(no_session_of_other_modules: None) -> Iterator[None]:
    context = DataContext.get_current()
    before = context.small_data_size, context.columnar_data_size
    context.small_data_size = context.columnar_data_size = -1
    shoal.init(num_cpus=2, object_store_memory=48 << 20, log_to_driver=False)
    yield
    shoal.shutdown()
    context.small_data_size, context.columnar_data_size = before


@pytest.fixture(scope="module")
def key() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1 << 40, ROWS)


def files_of(folder: Path, key: np.ndarray) -> Dataset:
    for number, rows in enumerate(np.split(np.arange(ROWS), FILES)):
        table = pa.table({"row": rows, "key": key[rows], "value": key[rows] * 0.5})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=25_000)
    return shoal.data.read_parquet(str(folder))


@pytest.fixture(scope="module")
def rows_of_files(tmp_path_factory: pytest.TempPathFactory, key: np.ndarray) -> Dataset:
    return files_of(tmp_path_factory.mktemp("random"), key)


def columns(dataset: Dataset, *names: str) -> list[np.ndarray]:
    """All values, copied: blocks do not stay in the store."""
    found: list[list[np.ndarray]] = [[] for _ in names]
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
        for values, name in zip(found, names, strict=True):
            values.append(batch[name].to_numpy().copy())
    return [np.concatenate(values) for values in found]


@pytest.mark.parametrize("descending", [False, True])
def test_sort(rows_of_files: Dataset, key: np.ndarray, descending: bool) -> None:
    keys, rows = columns(rows_of_files.sort("key", descending=descending), "key", "row")
    order = np.argsort(-key if descending else key, kind="stable")
    assert (rows == order).all()
    assert (keys == key[order]).all()


@pytest.mark.parametrize("descending", [False, True])
def test_sort_of_what_is_sorted(tmp_path: Path, key: np.ndarray, descending: bool) -> None:
    """The first blocks say nothing of the keys that follow: one partition gets nearly all, and is split once more."""
    dataset = files_of(tmp_path, np.sort(key))
    (keys,) = columns(dataset.sort("key", descending=descending), "key")
    expected = np.sort(key)
    assert (keys == (expected[::-1] if descending else expected)).all()


def test_sort_of_few_keys_keeps_the_order_of_equal_ones(tmp_path: Path, key: np.ndarray) -> None:
    few = key % 3
    (rows,) = columns(files_of(tmp_path, few).sort("key"), "row")
    assert (rows == np.argsort(few, kind="stable")).all()


def test_sort_after_a_step_that_makes_more_rows(rows_of_files: Dataset, key: np.ndarray) -> None:
    twice = rows_of_files.map_batches(lambda table: pa.concat_tables([table, table]), batch_format="pyarrow")
    (keys,) = columns(twice.sort("key"), "key")
    assert (keys == np.sort(np.concatenate([key, key]))).all()


def test_shuffle_is_the_same_as_where_all_fits(rows_of_files: Dataset) -> None:
    (rows,) = columns(rows_of_files.random_shuffle(seed=7), "row")
    assert (np.sort(rows) == np.arange(ROWS)).all()
    (again,) = columns(rows_of_files.random_shuffle(seed=7, num_blocks=5), "row")
    assert (rows == again).all()


def test_groupby(rows_of_files: Dataset, key: np.ndarray) -> None:
    grouped = rows_of_files.groupby("key").count()
    keys, counts = columns(grouped, "key", "count()")
    expected = dict(zip(*np.unique(key, return_counts=True), strict=True))
    assert dict(zip(keys.tolist(), counts.tolist(), strict=True)) == expected


def test_map_groups(rows_of_files: Dataset, key: np.ndarray) -> None:
    small = rows_of_files.map_batches(lambda batch: {"group": batch["key"] % 50, "row": batch["row"]})
    sums = small.groupby("group").map_groups(lambda g: {"group": g["group"][:1], "sum": g["row"].sum(keepdims=True)})
    groups, found = columns(sums, "group", "sum")
    expected = np.bincount(key % 50, weights=np.arange(ROWS))
    assert dict(zip(groups.tolist(), found.tolist(), strict=True)) == dict(enumerate(expected))


def test_join(rows_of_files: Dataset) -> None:
    other = rows_of_files.select_columns(["row", "value"]).rename_columns({"value": "other"})
    rows, left, right = columns(rows_of_files.join(other, "inner", None, on=("row",)), "row", "value", "other")
    assert (np.sort(rows) == np.arange(ROWS)).all()
    assert (left == right).all()


def test_the_layout_of_blocks_is_the_same_each_time(rows_of_files: Dataset) -> None:
    def layout() -> list[int]:
        blocks = rows_of_files.sort("key").iter_batches(batch_size=None, batch_format="pyarrow")
        return [batch.num_rows for batch in blocks]

    assert layout() == layout()
