"""SQL statements read and written over a real PostgreSQL: typed columns, transactions, many connections at a time."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import shoal
from shoal.data.exceptions import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("shared_session")

UTC = datetime.UTC
ROWS = [
    {
        "id": number,
        "price": decimal.Decimal(number) / 100,
        "day": datetime.date(2026, 1, 1) + datetime.timedelta(days=number % 300),
        "at": datetime.datetime(2026, 1, 1, 12, tzinfo=UTC) + datetime.timedelta(minutes=number),
        "data": bytes([number % 256]),
        "tags": [f"t{number % 3}"],
        "flag": number % 2 == 0,
        "nothing": None,
    }
    for number in range(5000)
]


@pytest.fixture(scope="module")
def items(shared_session: None, postgres: Callable[[], Any]) -> Callable[[], Any]:
    """A table that tasks have written."""
    with postgres() as connection:
        connection.execute(
            "CREATE TABLE item (id bigint PRIMARY KEY, price numeric(12, 4), day date, at timestamptz, data bytea, tags text[], "
            "flag boolean, nothing text)"
        )
    ds = shoal.data.from_items(ROWS, override_num_blocks=4)
    ds.write_sql("INSERT INTO item VALUES (%s, %s, %s, %s, %s, %s, %s, %s)", postgres, ray_remote_args={"num_cpus": 1})
    return postgres


def test_what_is_written_is_read(items: Callable[[], Any]) -> None:
    ds = shoal.data.read_sql("SELECT * FROM item ORDER BY id", items).materialize()
    assert ds.take_all() == ROWS
    types = dict(zip(ds.schema().names, ds.schema().types, strict=True))
    assert types["id"] == pa.int64()
    assert types["day"] == pa.date32()
    assert pa.types.is_decimal(types["price"])
    assert pa.types.is_timestamp(types["at"])
    assert types["data"] == pa.binary()


@pytest.mark.parametrize(
    ("keys", "function"), [(["id"], "hashtext"), (["id", "day"], "hashtext"), (["id"], None), (["id"], "MD5")]
)
def test_shards_are_whole(items: Callable[[], Any], keys: list[str], function: str | None) -> None:
    key = "id" if function is None or function == "MD5" else "id::text AS id, day::text AS day"
    ds = shoal.data.read_sql(
        f"SELECT {key} FROM item WHERE id < %s",
        items,
        sql_params=[4000],
        shard_keys=keys,
        shard_hash_fn=function,
        override_num_blocks=5,
    ).materialize()
    assert ds.num_blocks() == 5
    assert sorted(int(row["id"]) for row in ds.take_all()) == list(range(4000))


def test_a_hash_that_the_database_lacks(items: Callable[[], Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="hashtext"):
        shoal.data.read_sql("SELECT day FROM item", items, shard_keys=["day"], shard_hash_fn="farm_fingerprint")


def test_nulls_and_empty_results(items: Callable[[], Any]) -> None:
    empty = shoal.data.read_sql("SELECT * FROM item WHERE id < 0", items)
    assert empty.count() == 0
    assert empty.columns() == list(ROWS[0])
    assert shoal.data.read_sql("SELECT nothing FROM item WHERE id < 2", items).take_all() == [{"nothing": None}] * 2


def test_a_failed_task_leaves_nothing_behind(items: Callable[[], Any]) -> None:
    with items() as connection:
        connection.execute("CREATE TABLE strict (id integer PRIMARY KEY)")
    twice = [{"id": number} for number in [*range(1500), 700]]
    with pytest.raises(Exception, match=r"duplicate key.*") as caught:
        shoal.data.from_items(twice).write_sql("INSERT INTO strict VALUES (%s)", items)
    text = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "INSERT INTO strict" in text
    assert "(id)=(700)" in text
    assert "rows from 1000 on" in text
    with items() as connection:
        assert connection.execute("SELECT COUNT(*) FROM strict").fetchone() == (0,)


def test_errors_of_the_driver_keep_their_class(items: Callable[[], Any]) -> None:
    import psycopg

    with pytest.raises(psycopg.errors.UndefinedTable, match="no_such_table"):
        shoal.data.read_sql("SELECT * FROM no_such_table", items).take_all()
