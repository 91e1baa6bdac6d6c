"""Delta Lake tables, written and read, and compared with what deltalake itself makes of them."""

# ruff: noqa: DTZ001 - times without a time zone are what is tested

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError, SchemaMismatchError
from shoal.data.expressions import col

deltalake = pytest.importorskip(
    "deltalake", reason='shoal-data[delta] is not installed: pip install "shoal-data[delta]"'
)

pytestmark = pytest.mark.usefixtures("way")

ROWS = [
    {"id": number, "name": None if number % 7 == 0 else f"n{number}", "kind": "ab/ c"[number % 5]}
    for number in range(100)
]


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A table of two versions, 50 rows each, made by deltalake."""
    path = str(tmp_path / "table")
    for part in (ROWS[:50], ROWS[50:]):
        deltalake.write_deltalake(path, pa.Table.from_pylist(part), mode="append", partition_by=["kind"])
    return path


def by_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["id"])


def of_deltalake(path: str) -> list[dict[str, Any]]:
    """The rows as deltalake's own engine reads them."""
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(path)).execute("SELECT * FROM t ORDER BY id")
    return pa.table(query).to_pylist()


def test_versions(table: str) -> None:
    ds = shoal.data.read_delta(table)
    assert ds.columns() == ["id", "name", "kind"]
    assert ds.count() == 100
    assert by_id(ds.take_all()) == ROWS
    assert by_id(shoal.data.read_delta(table, 0).take_all()) == ROWS[:50]
    for version, seconds in ((0, 1_000_000), (1, 2_000_000)):  # the times of the log's files are those of the versions
        os.utime(f"{table}/_delta_log/{version:020}.json", (seconds, seconds))
    at = datetime.datetime.fromtimestamp(1_500_000, tz=datetime.UTC)
    assert shoal.data.read_delta(table, at.isoformat()).count() == 50
    assert shoal.data.read_delta(table, at).count() == 50
    with pytest.raises(FileReadError, match="'yesterday'"):
        shoal.data.read_delta(table, "yesterday")


def test_a_dataset_keeps_its_version(table: str) -> None:
    ds = shoal.data.read_delta(table)
    deltalake.write_deltalake(table, pa.Table.from_pylist(ROWS[:3]), mode="overwrite")
    assert ds.count() == 100
    assert len(ds.take_all()) == 100


def test_columns_and_filters_are_pushed_into_the_reading(table: str) -> None:
    ds = shoal.data.read_delta(table).filter(expr=(col("kind") == "a") & (col("id") > 80)).select_columns(["name"])
    assert sorted(row["name"] for row in ds.take_all()) == ["n85", "n90", "n95"]
    plan = ds.explain().split("Optimized plan")[1]
    assert "Filter" not in plan
    assert "columns=['name']" in plan
    assert shoal.data.read_delta(table, columns=["kind", "id"]).columns() == ["kind", "id"]


def test_paths_shuffle_and_blocks(table: str) -> None:
    ds = shoal.data.read_delta(table, include_paths=True, shuffle="files", override_num_blocks=3)
    rows = ds.take_all()
    assert [{name: row[name] for name in ROWS[0]} for row in by_id(rows)] == ROWS
    assert {row["path"] for row in rows} == set(ds.input_files())
    assert ds.drop_columns(["path"]).columns() == ["id", "name", "kind"]
    assert set(shoal.data.read_delta(table, include_paths=True).select_columns(["path"]).take(1)[0]) == {"path"}


def test_what_is_not_there(table: str, tmp_path: Path) -> None:
    with pytest.raises(FileReadError, match="no Delta table"):
        shoal.data.read_delta(str(tmp_path))
    with pytest.raises(FileReadError, match="version 9"):
        shoal.data.read_delta(table, 9)
    with pytest.raises(ColumnNotFoundError, match=r"'nam'.*'name'"):
        shoal.data.read_delta(table, columns=["nam"])
    with pytest.raises(InvalidArgumentError, match=r"version is 1\.5"):
        shoal.data.read_delta(table, 1.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="shuffle is 'rows'"):
        shoal.data.read_delta(table, shuffle="rows")
    with pytest.raises(InvalidArgumentError, match=r"catalog.*path"):
        shoal.data.read_delta(table, catalog="unity")


def test_writing_makes_a_table_and_adds_to_it(tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    shoal.data.from_items(ROWS[:60], override_num_blocks=3).write_delta(path, partition_by="kind")
    shoal.data.from_items(ROWS[60:]).write_delta(path)
    assert by_id(of_deltalake(path)) == ROWS
    assert by_id(shoal.data.read_delta(path).take_all()) == ROWS
    assert shoal.data.read_delta(path).count() == 100
    assert deltalake.DeltaTable(path).metadata().partition_columns == ["kind"]
    assert deltalake.DeltaTable(path).version() == 1


def test_modes(tmp_path: Path) -> None:
    path = str(tmp_path / "new")
    few, more = shoal.data.range(3), shoal.data.range(5)
    more.write_delta(path, mode="create")
    with pytest.raises(InvalidArgumentError, match="mode is ERROR"):
        few.write_delta(path, mode="error")
    few.write_delta(path, mode="ignore")
    assert shoal.data.read_delta(path).count() == 5
    few.write_delta(path, mode="overwrite")
    assert [row["id"] for row in of_deltalake(path)] == [0, 1, 2]
    assert shoal.data.read_delta(path, 0).count() == 5
    few.filter(expr=col("id") > 9).write_delta(path, mode="overwrite")
    assert of_deltalake(path) == []
    with pytest.raises(InvalidArgumentError, match="UPSERT"):
        few.write_delta(path, mode="upsert")


def test_types(tmp_path: Path) -> None:
    path = str(tmp_path / "types")
    written = pa.table(
        {
            "small": pa.array([1, None], pa.uint8()),
            "at": pa.array([datetime.datetime(2026, 1, 1), None], pa.timestamp("ns")),
            "day": [datetime.date(2026, 1, 1), None],
            "data": [b"x", None],
            "list": [[1, 2], []],
            "struct": [{"a": 1}, None],
        }
    )
    shoal.data.from_arrow(written).write_delta(path)
    assert shoal.data.read_delta(path).take_all() == written.to_pylist()
    with pytest.raises(SchemaMismatchError, match=r"'span' is duration"):
        shoal.data.from_arrow(pa.table({"span": pa.array([1], pa.duration("s"))})).write_delta(str(tmp_path / "span"))


def test_other_columns(tmp_path: Path) -> None:
    path = str(tmp_path / "columns")
    shoal.data.range(2).write_delta(path)
    shoal.data.from_items([{"id": 2, "name": "two"}]).write_delta(path)
    assert by_id(shoal.data.read_delta(path).take_all()) == [
        {"id": 0, "name": None},
        {"id": 1, "name": None},
        {"id": 2, "name": "two"},
    ]
    with pytest.raises(SchemaMismatchError, match=r"'size'.*schema_mode"):
        shoal.data.from_items([{"id": 3, "size": 1}]).write_delta(path, schema_mode="error")
    with pytest.raises(SchemaMismatchError, match="'id' is string, and int64"):
        shoal.data.from_items([{"id": "three"}]).write_delta(path)
    assert deltalake.DeltaTable(path).to_pyarrow_dataset().count_rows() == 3


def test_partitions_of_any_value(tmp_path: Path) -> None:
    path = str(tmp_path / "partitions")
    rows = [
        {"id": number, "p": value, "day": datetime.date(2026, 1, 1 + number)}
        for number, value in enumerate(["a b", "c/d", "e=f", "50%", None, "ü"])
    ]
    shoal.data.from_items(rows).write_delta(path, partition_by=["p", "day"])
    assert by_id(of_deltalake(path)) == rows
    assert by_id(shoal.data.read_delta(path).take_all()) == rows
    assert shoal.data.read_delta(path).filter(expr=col("p") == "c/d").take_all() == [rows[1]]
    with pytest.raises(InvalidArgumentError, match=r"partition_by=\['id'\].*\['p', 'day'\]"):
        shoal.data.from_items(rows).write_delta(path, partition_by=["id"])
    with pytest.raises(ColumnNotFoundError, match="'q'"):
        shoal.data.from_items(rows).write_delta(str(tmp_path / "other"), partition_by=["q"])


def test_a_failed_write_is_not_seen(tmp_path: Path) -> None:
    path = str(tmp_path / "failed")
    shoal.data.range(2).write_delta(path)

    def broken(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 9:
            raise RuntimeError("broken")
        return row

    with pytest.raises(RuntimeError, match="broken"):
        shoal.data.range(10, override_num_blocks=5).map(broken).write_delta(path)
    assert shoal.data.read_delta(path).count() == 2
