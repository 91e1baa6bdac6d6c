"""Iceberg tables in a catalog of SQLite, written and read, and compared with what pyiceberg itself makes of them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError, SchemaMismatchError
from shoal.data.expressions import col

REASON = 'shoal-data[iceberg] is not installed: pip install "shoal-data[iceberg]"'
pyiceberg = pytest.importorskip("pyiceberg", reason=REASON)
catalogs = pytest.importorskip("pyiceberg.catalog.sql", reason=REASON)

pytestmark = pytest.mark.usefixtures("way")

TABLE = pa.table(
    {
        "id": pa.array(range(100), pa.int64()),
        "name": [None if number % 7 == 0 else f"n{number}" for number in range(100)],
        "half": [number / 2 for number in range(100)],
        "day": [datetime.date(2026, 1, 1) + datetime.timedelta(days=number) for number in range(100)],
    }
)
TABLE_NAME = "shop.items"


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, Any]:
    """Arguments for a catalog with a table of two snapshots, 50 rows each."""
    arguments = {
        "name": "c",
        "type": "sql",
        "uri": f"sqlite:///{tmp_path}/catalog.db",
        "warehouse": f"file://{tmp_path}",
    }
    opened = catalogs.SqlCatalog(**arguments)
    opened.create_namespace("shop")
    table = opened.create_table(TABLE_NAME, schema=TABLE.schema)
    table.append(TABLE.slice(0, 50))
    table.append(TABLE.slice(50))
    opened.engine.dispose()
    return arguments


def read(catalog: dict[str, Any], **arguments: Any) -> Any:
    return shoal.data.read_iceberg(table_identifier=TABLE_NAME, catalog_kwargs=catalog, **arguments)


def of_pyiceberg(catalog: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows as pyiceberg reads them."""
    opened = catalogs.SqlCatalog(**catalog)
    rows = opened.load_table(TABLE_NAME).scan().to_arrow().sort_by("id").to_pylist()
    opened.engine.dispose()
    return rows


def ids(ds: Any) -> list[int]:
    return sorted(row["id"] for row in ds.take_all())


def test_rows_and_snapshots(catalog: dict[str, Any]) -> None:
    ds = read(catalog, override_num_blocks=2)
    assert ds.count() == 100
    assert sorted(ds.take_all(), key=lambda row: row["id"]) == TABLE.to_pylist()
    assert ds.schema().types == TABLE.schema.types
    assert len(ds.take(3)) == 3
    opened = catalogs.SqlCatalog(**catalog)
    first = opened.load_table(TABLE_NAME).metadata.snapshots[0].snapshot_id
    opened.engine.dispose()
    assert ids(read(catalog, snapshot_id=first)) == list(range(50))
    with pytest.raises(InvalidArgumentError, match=f"snapshot_id is 1,.*{first}"):
        read(catalog, snapshot_id=1)


@pytest.mark.parametrize(
    "condition",
    [
        col("id") > 90,
        (col("name") == "n20") | col("name").is_null(),
        (col("name") != "n1") & (col("id") < 5),
        col("id").is_in([3, 70, 200]),
        col("day") >= datetime.date(2026, 4, 1),
        col("name").is_not_null() & (col("id") <= 8),
        col("half") > 40.25,
        ~(col("name") == "n1"),
        col("name").not_in(["n1"]),
    ],
    ids=repr,
)
def test_filters_give_what_they_give_without_pushing(catalog: dict[str, Any], condition: Any) -> None:
    expected = shoal.data.from_arrow(TABLE).filter(expr=condition)
    assert ids(read(catalog).filter(expr=condition)) == ids(expected)


def test_columns_and_filters_are_pushed_into_the_reading(catalog: dict[str, Any]) -> None:
    ds = read(catalog).filter(expr=col("id") > 97).select_columns(["half"])
    assert sorted(row["half"] for row in ds.take_all()) == [49.0, 49.5]
    plan = ds.explain().split("Optimized plan")[1]
    assert "Filter" not in plan
    assert "columns=['half']" in plan


def test_own_filter_fields_and_limit(catalog: dict[str, Any]) -> None:
    ds = read(catalog, row_filter="id >= 98", selected_fields=("id", "name"))
    assert ds.columns() == ["id", "name"]
    assert ids(ds.filter(expr=col("id") != 98)) == [99]
    assert read(catalog, scan_kwargs={"limit": 7}).count() == 7


def test_deleted_rows(catalog: dict[str, Any]) -> None:
    opened = catalogs.SqlCatalog(**catalog)
    opened.load_table(TABLE_NAME).delete("id < 10")
    opened.engine.dispose()
    ds = read(catalog)
    assert ds.count() == 90
    assert ids(ds) == list(range(10, 100))


def test_what_is_not_there(catalog: dict[str, Any]) -> None:
    with pytest.raises(FileReadError, match=r"shop\.other"):
        shoal.data.read_iceberg(table_identifier="shop.other", catalog_kwargs=catalog)
    with pytest.raises(ColumnNotFoundError, match=r"'nam'.*'name'"):
        read(catalog, selected_fields=("nam",))
    with pytest.raises(InvalidArgumentError, match="catalog_kwargs"):
        shoal.data.read_iceberg(table_identifier=TABLE_NAME, catalog_kwargs={"name": "c", "type": "paper"})
    with pytest.raises(InvalidArgumentError, match="table_identifier is ''"):
        shoal.data.read_iceberg(table_identifier="", catalog_kwargs=catalog)
    with pytest.raises(InvalidArgumentError, match="catalog_kwargs"):
        shoal.data.read_iceberg(table_identifier=TABLE_NAME, catalog="c")


def test_appending(catalog: dict[str, Any]) -> None:
    rows = [{"id": number, "name": "new"} for number in range(100, 110)]
    shoal.data.from_items(rows, override_num_blocks=3).write_iceberg(
        TABLE_NAME, catalog, snapshot_properties={"by": "the test"}
    )
    found = of_pyiceberg(catalog)
    assert len(found) == 110
    assert found[100] == {"id": 100, "name": "new", "half": None, "day": None}
    opened = catalogs.SqlCatalog(**catalog)
    snapshots = opened.load_table(TABLE_NAME).metadata.snapshots
    opened.engine.dispose()
    assert len(snapshots) == 3
    assert snapshots[-1].summary["by"] == "the test"


def test_overwriting(catalog: dict[str, Any]) -> None:
    rows = shoal.data.from_items([{"id": 1000, "name": "x"}])
    rows.write_iceberg(TABLE_NAME, catalog, mode="overwrite", overwrite_filter="id >= 2")
    assert [row["id"] for row in of_pyiceberg(catalog)] == [0, 1, 1000]
    rows.write_iceberg(TABLE_NAME, catalog, mode="overwrite")
    assert [row["id"] for row in of_pyiceberg(catalog)] == [1000]


def test_upserting(catalog: dict[str, Any]) -> None:
    rows = [{"id": number, "name": "changed"} for number in (98, 99, 100, 101)]
    shoal.data.from_items(rows).write_iceberg(TABLE_NAME, catalog, mode="upsert", upsert_kwargs={"join_cols": ["id"]})
    found = of_pyiceberg(catalog)
    assert [row["id"] for row in found] == list(range(102))
    assert [row["id"] for row in found if row["name"] == "changed"] == [98, 99, 100, 101]
    twice = shoal.data.from_items([{"id": 5}, {"id": 5}])
    with pytest.raises(InvalidArgumentError, match=r"same \['id'\]"):
        twice.write_iceberg(TABLE_NAME, catalog, mode="upsert", upsert_kwargs={"join_cols": ["id"]})
    with pytest.raises(InvalidArgumentError, match="join_cols"):
        twice.write_iceberg(TABLE_NAME, catalog, mode="upsert")
    assert len(of_pyiceberg(catalog)) == 102


def test_what_does_not_fit(catalog: dict[str, Any]) -> None:
    with pytest.raises(SchemaMismatchError, match=r"no column 'nam'.*'name'"):
        shoal.data.from_items([{"id": 1, "nam": "x"}]).write_iceberg(TABLE_NAME, catalog)
    with pytest.raises(SchemaMismatchError, match="'id' is string"):
        shoal.data.from_items([{"id": "x"}]).write_iceberg(TABLE_NAME, catalog)
    with pytest.raises(InvalidArgumentError, match="create_table"):
        shoal.data.range(3).write_iceberg("shop.other", catalog)
    for arguments, named in (
        ({"mode": "ignore"}, "mode is 'ignore'"),
        ({"overwrite_filter": "id = 1"}, "overwrite_filter is for"),
        ({"upsert_kwargs": {"join_cols": ["id"]}}, "upsert_kwargs is for"),
        ({"mode": "upsert", "upsert_kwargs": {"keys": ["id"]}}, "'keys'"),
        ({"catalog": "c"}, "catalog_kwargs"),
    ):
        with pytest.raises(InvalidArgumentError, match=named):
            shoal.data.range(3).write_iceberg(TABLE_NAME, catalog, **arguments)
    assert len(of_pyiceberg(catalog)) == 100
