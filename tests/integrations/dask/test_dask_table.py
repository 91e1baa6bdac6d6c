"""Typical work with Dask's collections: the same on shoal as on Dask's own threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from shoal.util.dask import enable_dask_on_shoal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def _scheduler() -> Iterator[None]:
    with enable_dask_on_shoal():
        yield


def numbers() -> Any:
    return da.random.default_rng(5).random((240, 180), chunks=(60, 60))


def table() -> Any:
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2026-01-01", periods=2000, freq="h"),
            "key": random.integers(0, 9, 2000),
            "name": random.choice(["a", "b", "c"], 2000),
            "value": random.random(2000),
        }
    )
    return dd.from_pandas(frame, npartitions=6)


ARRAYS: dict[str, Callable[[], Any]] = {
    "reductions": lambda: [
        numbers().sum(),
        numbers().var(axis=1),
        numbers().argmax(axis=0),
        da.median(numbers(), axis=0),
    ],
    "rechunk": lambda: numbers().rechunk((100, 45)).T,
    "slices": lambda: [numbers()[::-3, 7:99], numbers()[np.array([3, 200, 4])], numbers()[numbers()[:, 0] > 0.5].sum()],
    "products": lambda: [
        numbers() @ numbers().T,
        da.tensordot(numbers(), numbers(), axes=([0], [0])),
        da.einsum("ij,ij->i", numbers(), numbers()),
    ],
    "decompositions": lambda: [
        da.linalg.svd(numbers().rechunk((60, 180)))[1],
        da.linalg.qr(numbers().rechunk((60, 180)))[1],
    ],
    "neighbours": lambda: da.map_overlap(
        lambda block: block + np.roll(block, 1, axis=0), numbers(), depth=1, boundary="reflect"
    ),
    "cumulative": lambda: [numbers().cumsum(axis=0), da.diff(numbers(), axis=1)],
    "joined": lambda: [da.stack([numbers(), numbers()]).mean(axis=0), da.concatenate([numbers(), numbers()], axis=1)],
    "histogram": lambda: da.histogram(numbers(), bins=10, range=(0, 1))[0],
    "blocks": lambda: numbers().map_blocks(lambda block, block_id: block * sum(block_id), dtype=float),
    "unique": lambda: da.unique((numbers() * 10).astype(int)),
    "fft": lambda: da.fft.fft(numbers().rechunk((60, 180)), axis=1).real,
}

TABLES: dict[str, Callable[[], Any]] = {
    "groups": lambda: table().groupby("key").agg({"value": ["sum", "mean", "std"], "name": "count"}),
    "groups by function": lambda: (
        table().groupby("key")[["value"]].apply(lambda part: part.value.max(), meta=("value", "f8"))
    ),
    "join": lambda: table().merge(table().groupby("key").value.mean().reset_index(), on="key", suffixes=("", "_mean"))[
        "value_mean"
    ],
    "index": lambda: table().set_index("value").key,
    "rolling": lambda: table().value.rolling(5).mean(),
    "counts": lambda: table().name.value_counts(),
    "quantiles": lambda: table().describe()[["value"]],
    "drop": lambda: table().drop_duplicates("name").name.count(),
    "strings": lambda: table().name.str.upper().nunique(),
    "partitions": lambda: table().map_partitions(lambda part: part.assign(double=part.value * 2)),
    "days": lambda: table().set_index("day").value.resample("D").sum(),
    "columns": lambda: table().eval("other = value * key").other.sum(),
}

BAGS: dict[str, Callable[[], Any]] = {
    "fold": lambda: db.from_sequence(range(100), npartitions=5).foldby(lambda number: number % 3, max, 0),
    "groups": lambda: (
        db.from_sequence(range(60), npartitions=4)
        .groupby(lambda number: number % 4, shuffle="tasks")
        .map(lambda group: (group[0], sorted(group[1])))
    ),
    "product": lambda: db.from_sequence(range(6), npartitions=2).product(db.from_sequence("ab", npartitions=2)),
    "largest": lambda: db.from_sequence(range(100), npartitions=5).topk(4),
    "table": lambda: db.from_sequence([{"a": number} for number in range(10)], npartitions=2).to_dataframe().a.sum(),
}


def ordered(table: pd.DataFrame | pd.Series) -> pd.DataFrame:
    flat = table.reset_index()
    return flat.sort_values(list(flat.columns), ignore_index=True)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{kind}-{name}")
        for kind, table in [("array", ARRAYS), ("table", TABLES), ("bag", BAGS)]
        for name, make in table.items()
    ],
)
def test_the_result_is_that_of_threads(make: Callable[[], Any]) -> None:
    collections = make()
    collections = collections if isinstance(collections, list) else [collections]
    for found, expected in zip(
        dask.compute(*collections), dask.compute(*collections, scheduler="threads"), strict=True
    ):
        if isinstance(expected, np.ndarray):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        elif isinstance(expected, (pd.DataFrame, pd.Series)):
            pd.testing.assert_frame_equal(ordered(found), ordered(expected))
        elif isinstance(expected, list):
            assert sorted(found) == sorted(expected)
        else:
            assert found == expected


def test_files_are_written_and_read(tmp_path: Path) -> None:
    table().to_parquet(tmp_path / "table")
    table().to_csv(str(tmp_path / "table-*.csv"), index=False)
    whole = table().compute(scheduler="threads").reset_index(drop=True)
    from_parquet = dd.read_parquet(tmp_path / "table").compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(from_parquet, whole, check_dtype=False)
    from_csv = dd.read_csv(str(tmp_path / "table-*.csv"), parse_dates=["day"]).compute().reset_index(drop=True)
    pd.testing.assert_frame_equal(from_csv, whole, check_dtype=False)


def test_functions_in_any_shape() -> None:
    @dask.delayed(nout=2)  # type: ignore[misc] # dask ships few types
    def halves(number: int) -> tuple[int, int]:
        return number // 2, number - number // 2

    one, other = halves(9)
    nested = {"a": [one, (other, {"b": one})], "c": one + other * 2, "d": dask.delayed(dict)(x=one)["x"]}
    found, expected = dask.compute(nested), dask.compute(nested, scheduler="threads")
    assert found == expected == ({"a": [4, (5, {"b": 4})], "c": 14, "d": 4},)


def test_a_graph_of_ten_thousand_tasks() -> None:
    layer = [dask.delayed(number) for number in range(4096)]
    while len(layer) > 1:
        layer = [dask.delayed(sum)(pair) for pair in zip(layer[::2], layer[1::2], strict=True)]
    chain = layer[0]
    for _ in range(1000):
        chain = chain + 1
    wide = dask.delayed(sum)([dask.delayed(abs)(-number) for number in range(5000)])
    assert dask.compute(chain, wide) == (4096 * 4095 // 2 + 1000, 5000 * 4999 // 2)
