"""Lance datasets, written and read, and compared with what lance itself makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import shoal
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError, SchemaMismatchError
from shoal.data.expressions import col

lance = pytest.importorskip("lance", reason='shoal-data[lance] is not installed: pip install "shoal-data[lance]"')

pytestmark = pytest.mark.usefixtures("way")

TABLE = pa.table(
    {
        "id": pa.array(range(100), pa.int64()),
        "small": pa.array([None if number % 9 == 0 else number % 4 for number in range(100)], pa.int32()),
        "name": [None if number % 7 == 0 else f"n{number}" for number in range(100)],
        "half": [float("nan") if number == 5 else number / 2 for number in range(100)],
        "vector": pa.array([[float(number)] * 4 for number in range(100)], pa.list_(pa.float32(), 4)),
    }
)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    """A dataset of four fragments, from which row 50 was deleted."""
    uri = str(tmp_path / "set.lance")
    lance.write_dataset(TABLE, uri, max_rows_per_file=25).delete("id = 50")
    return uri


KEPT = [number for number in range(100) if number != 50]


def test_rows(uri: str) -> None:
    ds = shoal.data.read_lance(uri, override_num_blocks=3)
    assert ds.count() == 99
    assert [row["id"] for row in ds.take_all()] == KEPT
    assert ds.schema().base_schema == TABLE.schema
    assert [row["id"] for row in ds.take(30)] == list(range(30))


def test_versions(uri: str) -> None:
    assert shoal.data.read_lance(uri, version=1).count() == 100
    lance.dataset(uri).tags.create("whole", 1)
    assert shoal.data.read_lance(uri, version="whole").count() == 100
    ds = shoal.data.read_lance(uri)
    lance.write_dataset(TABLE.slice(0, 2), uri, mode="overwrite")
    assert len(ds.take_all()) == 99


CONDITIONS = [
    col("id") > 90,
    (col("id") >= 10) & (col("id") <= 12),
    (col("small") == 1) | col("name").is_null(),
    col("small") != 2,
    col("name").is_in(["n1", "n20"]),
    col("name") >= "n9",
    col("small").is_not_null() & (col("id") < 5),
    col("id") < 2**70,
    col("id") > 3.5,
    col("half") > 40.0,
    ~(col("small") == 2),
    col("name").not_in(["n1"]),
    col("id") + 1 == 8,
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=repr)
def test_filters_give_what_they_give_without_pushing(uri: str, condition: Any) -> None:
    if repr(condition).endswith(str(2**70) + ")"):
        with pytest.raises(Exception, match=r"1180591620717411303424|too large|overflow|convert"):
            shoal.data.read_lance(uri).filter(expr=condition).take_all()
        return
    rows = shoal.data.read_lance(uri, override_num_blocks=2).filter(expr=condition).take_all()
    expected = shoal.data.from_arrow(TABLE.take(KEPT)).filter(expr=condition).take_all()
    assert [row["id"] for row in rows] == [row["id"] for row in expected]


def test_columns_and_simple_filters_are_pushed_into_the_reading(uri: str) -> None:
    ds = shoal.data.read_lance(uri).filter(expr=(col("name") == "n9") & (col("half") < 9)).select_columns(["small"])
    assert ds.take_all() == [{"small": None}]
    plan = ds.explain().split("Optimized plan")[1].split("Physical plan")[0]
    assert "Filter [(col('half') < 9)]" in plan
    assert "columns=['small', 'half']" in plan


def test_own_filter_and_options(uri: str) -> None:
    ds = shoal.data.read_lance(uri, columns=["id"], filter="id < 4 and small is not null")
    assert ds.filter(expr=col("id") > 1).take_all() == [{"id": 2}, {"id": 3}]
    assert shoal.data.read_lance(uri, filter=pc.field("id") == 7, columns=["name"]).take_all() == [{"name": None}]
    nearest = {"column": "vector", "q": [7.2] * 4, "k": 2}
    found = shoal.data.read_lance(uri, columns=["id"], scanner_options={"nearest": nearest}, override_num_blocks=4)
    assert sorted(row["id"] for row in found.select_columns(["id"]).take_all()) == [7, 8]
    with pytest.raises(InvalidArgumentError, match="scanner_options has 'filter'"):
        shoal.data.read_lance(uri, scanner_options={"filter": "id < 4"})


def test_what_is_not_there(uri: str, tmp_path: Path) -> None:
    with pytest.raises(FileReadError, match="no Lance dataset"):
        shoal.data.read_lance(str(tmp_path / "nothing"))
    with pytest.raises(FileReadError, match="version 77"):
        shoal.data.read_lance(uri, version=77)
    with pytest.raises(ColumnNotFoundError, match=r"'ids'.*'id'"):
        shoal.data.read_lance(uri, columns=["ids"])


def test_writing(tmp_path: Path) -> None:
    uri = str(tmp_path / "new.lance")
    shoal.data.from_arrow(TABLE, override_num_blocks=4).write_lance(uri, min_rows_per_file=1)
    assert lance.dataset(uri).to_table().select(["id", "small", "name", "vector"]) == TABLE.drop_columns(["half"])
    with pytest.raises(InvalidArgumentError, match="mode is CREATE"):
        shoal.data.from_arrow(TABLE).write_lance(uri)
    shoal.data.from_arrow(TABLE.slice(0, 1)).write_lance(uri, mode="ignore")
    shoal.data.from_items([{"id": 100, "small": 3}]).write_lance(uri, mode="append")
    assert lance.dataset(uri).count_rows() == 101
    assert lance.dataset(uri).to_table(filter="id = 100", columns=["small", "name"]).to_pylist() == [
        {"small": 3, "name": None}
    ]
    shoal.data.range(3).write_lance(uri, mode="overwrite")
    assert lance.dataset(uri).to_table().to_pylist() == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert lance.dataset(uri, version=1).count_rows() == 100


def test_what_does_not_fit(tmp_path: Path) -> None:
    uri = str(tmp_path / "new.lance")
    with pytest.raises(InvalidArgumentError, match="max_rows_per_file is 0"):
        shoal.data.range(3).write_lance(uri, max_rows_per_file=0)
    with pytest.raises(SchemaMismatchError, match="no column 'id'"):
        shoal.data.range(3).write_lance(uri, schema=pa.schema([("other", pa.int64())]))
    with pytest.raises(InvalidArgumentError, match="nothing to write"):
        shoal.data.from_items([]).write_lance(uri)
    shoal.data.range(3).map(lambda row: {"n": row["id"]}).write_lance(uri, schema=pa.schema([("n", pa.float32())]))
    assert lance.dataset(uri).to_table().to_pylist() == [{"n": 0.0}, {"n": 1.0}, {"n": 2.0}]
