"""Results of SQL statements, over any driver of Python's DB-API 2.0 (PEP 249); in shards, where keys are given."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import InvalidArgumentError

DEFAULT_HASH_FUNCTION = "MD5"
"""Ray's. MySQL takes its text for a number; databases that do not are read by ranges of the key instead."""
_ROWS_A_TABLE = 10_000
_NOTHING = "1 = 0"


@dataclass(frozen=True)
class Query:
    """A statement, and how to reach the database.

    Args:
        sql: the statement.
        connect: returns a new connection. Picklable.
        params: for the placeholders in `sql`, as the driver wants them; None for none.
    """

    sql: str
    connect: Callable[[], Any]
    params: Sequence[Any] | Mapping[str, Any] | None = None

    def where(self, condition: str, columns: str = "*") -> Query:
        """The rows of the result for which a condition is true."""
        return Query(f"SELECT {columns} FROM ({self._bare()}) shard WHERE {condition}", self.connect, self.params)

    def of(self, columns: str) -> Query:
        """Other columns made of the result."""
        return Query(f"SELECT {columns} FROM ({self._bare()}) shard", self.connect, self.params)

    def _bare(self) -> str:
        # A comment at the end would swallow the parenthesis; a semicolon may not stand inside of it.
        return f"{self.sql.rstrip().rstrip(';')}\n"

    @contextlib.contextmanager
    def executed(self) -> Iterator[Any]:
        """Gives a cursor that has the result. Errors of the driver are raised as they are, with a note of the statement."""
        try:
            with contextlib.closing(self.connect()) as connection, contextlib.closing(connection.cursor()) as cursor:
                if self.params is None:
                    cursor.execute(self.sql)
                else:
                    cursor.execute(self.sql, self.params)
                yield cursor
        except Exception as error:
            error.add_note(f"in read_sql, of the statement: {self.sql}")
            raise


@dataclass(frozen=True)
class HashShards:
    """Rows whose keys have the same hash, modulo the number of shards, belong together.

    Args:
        keys: as they are written in SQL.
        function: of SQL, of the key; gives a whole number.
    """

    keys: tuple[str, ...]
    function: str

    def check(self, query: Query) -> None:
        """Raises the driver's error if the database cannot do it. Reads no row."""
        with query.where(f"{_NOTHING} AND {self._condition(0, 2)}", columns="1").executed():
            pass

    def conditions(self, query: Query, count: int) -> list[str]:
        """One for each shard; each row fulfils exactly one of them."""
        return [self._condition(number, count) for number in range(count)]

    def _condition(self, number: int, count: int) -> str:
        key = self.keys[0] if len(self.keys) == 1 else f"CONCAT({', '.join(self.keys)})"
        rest = f"MOD({self.function}({key}), {count})"
        if number == 0:
            return f"({rest} = 0 OR {rest} IS NULL)"
        # Of a negative hash the rest is negative, too. ABS would be an error for the least of all numbers.
        return f"{rest} IN ({number}, -{number})"


@dataclass(frozen=True)
class RangeShards:
    """Rows whose key lies in the same range belong together: for one key, of whole numbers.

    Args:
        key: as it is written in SQL.
    """

    key: str

    def check(self, query: Query) -> None:
        """Raises the driver's error if there is no such column. Reads no row."""
        with query.where(_NOTHING, columns=f"MIN({self.key})").executed():
            pass

    def conditions(self, query: Query, count: int) -> list[str]:
        """One for each shard, in the order of the key; each row fulfils exactly one of them, also one that is added meanwhile."""
        with query.of(f"MIN({self.key}), MAX({self.key})").executed() as cursor:
            least, most = cursor.fetchone()
        if least is None:
            return []
        for value in (least, most):
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidArgumentError(
                    f"read_sql: shard_keys=[{self.key!r}] has the value {value!r}; ranges are made of whole numbers. Give a "
                    "shard_hash_fn that the database has and that gives whole numbers (PostgreSQL: 'hashtext'), or another key"
                )
        width = most - least + 1
        cuts = sorted({least + width * number // count for number in range(1, count)} - {least})
        if not cuts:
            return []
        between = [f"({self.key} >= {low} AND {self.key} < {high})" for low, high in itertools.pairwise(cuts)]
        return [f"({self.key} < {cuts[0]} OR {self.key} IS NULL)", *between, f"{self.key} >= {cuts[-1]}"]


class SqlSource(Source):
    """The result of a statement.

    Without shards one task reads it, in the database's order. With shards each task has a connection of its own, and so its own view of
    tables that change meanwhile.

    Args:
        query: what is read.
        shards: how the result is divided; None: not at all.
    """

    name = "SQL"

    def __init__(self, query: Query, shards: HashShards | RangeShards | None = None) -> None:
        self._query = query
        self._shards = shards

    def schema(self) -> pa.Schema | None:
        """Not known before the statement is run."""
        return None

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        conditions = self._shards.conditions(self._query, parallelism) if self._shards and parallelism > 1 else []
        queries = [self._query.where(condition) for condition in conditions] or [self._query]
        return [
            ReadTask(partial(_read, query), BlockMetadata(None, None), per_task_row_limit=row_limit)
            for query in queries
        ]


def shards_of(query: Query, keys: tuple[str, ...], hash_function: str | None) -> HashShards | RangeShards:
    """How the result of a statement is divided; the database is asked whether it can.

    Args:
        query: the statement.
        keys: columns by which rows are divided.
        hash_function: of SQL; None for ranges of one key.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if hash_function is not None:
        hashed = HashShards(keys, hash_function)
        try:
            hashed.check(query)
        except Exception as error:  # every driver has exceptions of its own
            if hash_function != DEFAULT_HASH_FUNCTION or len(keys) > 1:
                raise InvalidArgumentError(
                    f"read_sql: the database cannot divide the result by shard_keys={list(keys)}, shard_hash_fn={hash_function!r}: "
                    f"{str(error).strip()}. Give a function of SQL that makes a whole number of a key (PostgreSQL: 'hashtext'), or "
                    "shard_hash_fn=None and one key of whole numbers"
                ) from error
        else:
            return hashed
    if len(keys) > 1:
        raise InvalidArgumentError(f"read_sql: shard_hash_fn=None divides by ranges of one key, not of {list(keys)}")
    ranges = RangeShards(keys[0])
    try:
        ranges.check(query)
    except Exception as error:  # every driver has exceptions of its own
        raise InvalidArgumentError(
            f"read_sql: the result cannot be divided by shard_keys={list(keys)}: {str(error).strip()}. Name a column of the result"
        ) from error
    return ranges


def _read(query: Query) -> Iterator[pa.Table]:
    with query.executed() as cursor:
        if cursor.description is None:
            raise InvalidArgumentError(
                "sql: the statement gives no rows; read_sql is for statements that do, like SELECT"
            )
        names = _names([column[0] for column in cursor.description])
        rows = cursor.fetchmany(_ROWS_A_TABLE)
        if not rows:
            yield pa.table({name: pa.nulls(0) for name in names})
        while rows:
            yield _table(names, rows)
            rows = cursor.fetchmany(_ROWS_A_TABLE)


def _names(given: list[Any]) -> list[str]:
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in given]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidArgumentError(
            f"sql: two columns of the result have the name {twice!r}: rename one of them with AS"
        )
    return names


def _table(names: list[str], rows: Sequence[Any]) -> pa.Table:
    # Some drivers give rows as mappings, where the connection is made so.
    by_position = [tuple(row[name] for name in names) if isinstance(row, Mapping) else row for row in rows]
    columns = zip(*by_position, strict=True)
    return pa.table([_column(list(values)) for values in columns], names)


def _column(values: list[Any]) -> pa.Array | pa.ChunkedArray:
    if any(isinstance(value, memoryview) for value in values):  # bytes, as psycopg2 gives them
        values = [value.tobytes() if isinstance(value, memoryview) else value for value in values]
    return array_of(values)
