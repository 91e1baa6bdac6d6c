"""In the driver polars decodes Parquet: the same rows as Arrow's, and what it cannot read is left to Arrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.data._internal.sources import polars_decoding
from shoal.data._internal.sources.parquet import ParquetSource
from shoal.data.exceptions import FileReadError
from shoal.data.expressions import col

ROWS = 30_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    numbers = random.integers(-100, 100, ROWS)
    gone = numbers > 90
    columns: dict[str, Any] = {
        kind: pa.array(numbers, mask=gone).cast(kind) for kind in ("int8", "int16", "int32", "int64", "float32")
    }
    columns["uint64"] = pa.array(random.integers(0, 1 << 63, ROWS, dtype=np.uint64) * 2)
    columns["float64"] = pa.array(np.where(gone, np.nan, random.random(ROWS)), mask=numbers < -90)
    columns["bool"] = pa.array(numbers > 0, mask=gone)
    columns["string"] = pa.array([f"é{number}" for number in numbers], mask=gone)
    columns["a.b"] = pa.array(numbers)
    columns["list"] = pa.array([[number] for number in numbers])
    path = tmp_path / "some[1]*rows.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=4_000)
    return path


def read(path: Path, columns: list[str] | None, in_driver: bool, **options: Any) -> pa.Table:
    source = ParquetSource(str(path), columns=columns, **options)
    tasks = [task.in_driver() if in_driver else task for task in source.read_tasks(1)]
    return pa.concat_tables([table for task in tasks for table in task()])


PLAIN = ["int8", "int16", "int32", "int64", "float32", "uint64", "float64", "bool", "string", "a.b"]


@pytest.mark.parametrize("columns", [PLAIN, ["string", "int64"], None])
def test_rows_are_arrows(columns: list[str] | None, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    decoded = polars_decoding.decoded
    monkeypatch.setattr(polars_decoding, "decoded", lambda *args: used.append(args) or decoded(*args))
    found, expected = read(file, columns, in_driver=True), read(file, columns, in_driver=False)
    assert found.schema == expected.schema
    assert str(found.to_pylist()) == str(expected.to_pylist())
    assert bool(used) == (columns is not None), "lists are Arrow's"


def test_some_row_groups(file: Path) -> None:
    source = ParquetSource(str(file), columns=["int64", "string"])
    rows = [table for task in source.read_tasks(4) for table in task.in_driver()()]
    assert pa.concat_tables(rows).equals(read(file, ["int64", "string"], in_driver=False))


def test_a_filter(tmp_path: Path) -> None:
    path = tmp_path / "sorted.parquet"
    pq.write_table(pa.table({"x": np.arange(ROWS), "y": np.arange(ROWS) / 2}), path, row_group_size=4_000)
    source = ParquetSource(str(path)).with_filter((col("x") >= 9_000) & (col("x") < 21_000))
    assert source is not None
    rows = pa.concat_tables([table for task in source.read_tasks(1) for table in task.in_driver()()])
    assert rows["x"].to_pylist() == list(range(9_000, 21_000))


def test_what_polars_cannot_read_is_left_to_arrow(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[100:2_000] = bytes(1_900)
    file.write_bytes(data)
    with pytest.raises(FileReadError, match="cannot be read as Parquet"):
        read(file, PLAIN, in_driver=True)
