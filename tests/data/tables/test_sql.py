"""SQL statements read and written over SQLite."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.data._internal.sources.sql import HashShards, Query, RangeShards, SqlSource
from shoal.data.exceptions import InvalidArgumentError

Connect = Callable[[], sqlite3.Connection]


@pytest.fixture
def films(tmp_path: Path) -> Connect:
    """A database of 100 films; three have no year, two have no length."""
    file = tmp_path / "films.db"
    with sqlite3.connect(file) as connection:
        connection.execute(
            "CREATE TABLE film (id INTEGER PRIMARY KEY, title TEXT, year INTEGER, length REAL, poster BLOB)"
        )
        connection.executemany(
            "INSERT INTO film VALUES (?, ?, ?, ?, ?)",
            [
                (
                    number,
                    f"film {number}",
                    None if number % 40 == 0 else 1900 + number,
                    None if number < 2 else number / 2,
                    b"\0x",
                )
                for number in range(100)
            ],
        )
    connection.close()
    return lambda: sqlite3.connect(file)


@pytest.mark.usefixtures("shared_session")
class TestReading:
    def test_rows_types_and_nulls(self, films: Connect) -> None:
        ds = shoal.data.read_sql("SELECT * FROM film", films)
        rows = ds.take_all()
        assert len(rows) == 100
        assert rows[0] == {"id": 0, "title": "film 0", "year": None, "length": None, "poster": b"\0x"}
        assert rows[99] == {"id": 99, "title": "film 99", "year": 1999, "length": 49.5, "poster": b"\0x"}
        assert [str(kind) for kind in ds.schema().types] == ["int64", "string", "int64", "double", "binary"]

    def test_parameters(self, films: Connect) -> None:
        by_place = shoal.data.read_sql("SELECT id FROM film WHERE year > ? AND id < ?", films, sql_params=[1990, 95])
        assert [row["id"] for row in by_place.take_all()] == [91, 92, 93, 94]
        by_name = shoal.data.read_sql("SELECT id FROM film WHERE id = :id", films, sql_params={"id": 7})
        assert by_name.take_all() == [{"id": 7}]

    def test_a_result_without_rows_has_its_columns(self, films: Connect) -> None:
        ds = shoal.data.read_sql("SELECT id, title FROM film WHERE id < 0", films)
        assert ds.count() == 0
        assert ds.columns() == ["id", "title"]

    @pytest.mark.parametrize("key", ["id", "year"])
    def test_shards_by_range_are_whole_and_in_order(self, films: Connect, key: str) -> None:
        ds = shoal.data.read_sql(
            "SELECT id, year FROM film", films, shard_keys=[key], shard_hash_fn=None, override_num_blocks=7
        ).materialize()
        assert ds.num_blocks() == 7
        values = [row[key] for row in ds.take_all()]
        assert len(values) == 100
        present = [value for value in values if value is not None]
        assert present == sorted(present)

    def test_ranges_stand_in_for_a_hash_that_the_database_lacks(self, films: Connect) -> None:
        ds = shoal.data.read_sql("SELECT id FROM film; ", films, shard_keys=["id"], override_num_blocks=3)
        assert sorted(row["id"] for row in ds.take_all()) == list(range(100))

    def test_shards_by_hash_are_whole(self, films: Connect) -> None:
        def with_hash() -> sqlite3.Connection:
            connection = films()
            connection.create_function("digest", 1, lambda key: None if key is None else hash(str(key)) % 1000 - 500)
            return connection

        ds = shoal.data.read_sql(
            "SELECT id, year FROM film WHERE id >= ?",
            with_hash,
            sql_params=[10],
            shard_keys=["year"],
            shard_hash_fn="digest",
            override_num_blocks=1,
        )
        assert sorted(row["id"] for row in ds.take_all()) == list(range(10, 100))

    def test_errors_of_the_database_are_its_own_and_name_the_statement(self, films: Connect) -> None:
        ds = shoal.data.read_sql("SELECT colour FROM film", films)
        with pytest.raises(sqlite3.OperationalError, match="no such column") as caught:
            ds.take_all()
        assert any("SELECT colour FROM film" in note for note in caught.value.__notes__)

    def test_statements_that_are_no_questions(self, films: Connect) -> None:
        with pytest.raises(InvalidArgumentError, match="gives no rows"):
            shoal.data.read_sql("UPDATE film SET year = 0", films).take_all()
        with films() as connection:
            assert connection.execute("SELECT COUNT(*) FROM film WHERE year = 0").fetchone() == (0,)

    def test_two_columns_of_one_name(self, films: Connect) -> None:
        with pytest.raises(InvalidArgumentError, match=r"'id'.*AS"):
            shoal.data.read_sql("SELECT id, year AS id FROM film", films).take_all()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sql": ""}, "sql is ''"),
        ({"sql": 3}, "sql is 3"),
        ({"connection_factory": "films.db"}, "connection_factory is 'films.db'"),
        ({"sql_params": "1990"}, "sql_params is '1990'"),
        ({"shard_keys": []}, "shard_keys is empty"),
        ({"shard_keys": ["id", "id"]}, "shard_keys names 'id' twice"),
        ({"shard_keys": ["id"], "shard_hash_fn": 5}, "shard_hash_fn is 5"),
        ({"shard_keys": ["colour"]}, "shard_keys.*no such column"),
        ({"shard_keys": ["id"], "shard_hash_fn": "crc32"}, "shard_hash_fn='crc32'.*no such function"),
        ({"shard_keys": ["id", "year"], "shard_hash_fn": None}, "ranges of one key"),
        ({"override_num_blocks": 0}, "override_num_blocks is 0"),
        ({"num_cpu": 1}, "num_cpus"),
    ],
)
def test_arguments_are_checked_at_the_call(films: Connect, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        shoal.data.read_sql(**{"sql": "SELECT * FROM film", "connection_factory": films, **arguments})


def in_memory(values: list[int | None]) -> Query:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        connection.create_function("same", 1, lambda key: key)
        connection.execute("CREATE TABLE t (k INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
        return connection

    return Query("SELECT k FROM t", connect)


@given(
    values=st.lists(st.none() | st.integers(-30, 30) | st.integers(-(2**50), 2**50), max_size=20),
    count=st.integers(2, 9),
    shards=st.sampled_from([RangeShards("k"), HashShards(("k",), "same")]),
)
def test_each_row_is_in_one_shard(values: list[int | None], count: int, shards: RangeShards | HashShards) -> None:
    tasks = SqlSource(in_memory(values), shards).read_tasks(count)
    assert len(tasks) <= count
    read = [row["k"] for task in tasks for table in task() for row in table.to_pylist()]
    assert sorted(read, key=str) == sorted(values, key=str)


def test_ranges_of_what_is_no_whole_number(films: Connect) -> None:
    source = SqlSource(Query("SELECT length FROM film", films), RangeShards("length"))
    with pytest.raises(InvalidArgumentError, match=r"'length'.*1\.0.*whole numbers"):
        source.read_tasks(2)


class Connection:
    """What PEP 249 asks of a driver, and no more."""

    def __init__(self, description: list[tuple[Any, ...]], rows: list[Any]) -> None:
        self.description = description
        self._rows = rows
        self.closed = 0

    def cursor(self) -> Connection:
        return self

    def execute(self, sql: str) -> None:
        self.sql = sql

    def fetchmany(self, size: int) -> list[Any]:
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    def close(self) -> None:
        self.closed += 1


def test_values_of_other_drivers() -> None:
    day = datetime.date(2026, 1, 2)
    rows = [
        {"n": decimal.Decimal("1.50"), "d": day, "b": memoryview(b"ab")},
        {"n": decimal.Decimal("1234.5"), "d": None, "b": None},
    ]
    connection = Connection([(b"n",), ("d",), ("b",)], rows)
    [task] = SqlSource(Query("SELECT 1", lambda: connection)).read_tasks(4)
    [table] = task()
    assert table.to_pylist() == [
        {"n": decimal.Decimal("1.50"), "d": day, "b": b"ab"},
        {"n": decimal.Decimal("1234.50"), "d": None, "b": None},
    ]
    assert pa.types.is_decimal(table.schema.field("n").type)
    assert connection.closed == 2  # the cursor and the connection


@pytest.fixture
def empty(tmp_path: Path) -> Connect:
    file = tmp_path / "empty.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    connection.close()
    return lambda: sqlite3.connect(file, timeout=30)


@pytest.mark.usefixtures("way")
class TestWriting:
    def test_rows(self, empty: Connect) -> None:
        ds = shoal.data.range(2500, override_num_blocks=3).map(lambda row: {"id": row["id"], "name": f"n{row['id']}"})
        ds.write_sql("INSERT INTO t VALUES (?, ?)", empty)
        with empty() as connection:
            assert connection.execute("SELECT COUNT(*), MIN(id), MAX(id) FROM t").fetchone() == (2500, 0, 2499)

    def test_a_task_writes_all_or_nothing_and_names_the_row(self, empty: Connect) -> None:
        rows = [{"id": number, "name": None if number == 1234 else "x"} for number in range(2000)]
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL") as caught:
            shoal.data.from_items(rows).write_sql("INSERT INTO t VALUES (?, ?)", empty)
        assert any("row 1234 ((1234, None))" in note and "INSERT INTO t" in note for note in caught.value.__notes__)
        with empty() as connection:
            assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (0,)

    def test_a_database_that_cannot_be_reached_is_told_before_anything_runs(self, tmp_path: Path) -> None:
        def never(row: dict[str, Any]) -> dict[str, Any]:
            raise AssertionError("it ran")

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(tmp_path / "missing" / "t.db")

        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            shoal.data.range(3).map(never).write_sql("INSERT INTO t VALUES (?)", connect)


@pytest.mark.parametrize(
    ("sql", "factory", "named"),
    [("", sqlite3.connect, "sql is ''"), ("INSERT", "t.db", "connection_factory is 't.db'")],
)
def test_writing_arguments_are_checked_at_the_call(sql: str, factory: Any, named: str) -> None:
    with pytest.raises(InvalidArgumentError, match=named):
        shoal.data.range(1).write_sql(sql, factory)
