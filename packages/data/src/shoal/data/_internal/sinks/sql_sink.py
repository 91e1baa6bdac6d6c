"""Rows into a database, over any driver of Python's DB-API 2.0 (PEP 249)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sinks.datasink import Datasink, TaskContext
from shoal.data.block import Block
from shoal.data.exceptions import InvalidArgumentError

_ROWS_A_CALL = 1_000


class SqlSink(Datasink[int]):
    """Runs a statement for each row. Each task has a connection and a transaction of its own: all of its rows are written, or none.

    A task whose worker dies after the commit, and before it could tell, is run again: such rows are there twice, unless the statement or a
    key of the table prevents it.

    Args:
        sql: the statement, with a placeholder for each column, in their order.
        connection_factory: returns a new connection. Picklable.

    Raises:
        InvalidArgumentError: (a ValueError) `sql` is no text, or `connection_factory` cannot be called.
    """

    def __init__(self, sql: str, connection_factory: Callable[[], Any]) -> None:
        if not isinstance(sql, str) or not sql.strip():
            raise InvalidArgumentError(
                f"write_sql: sql is {sql!r}; give a statement with a placeholder for each column, such as "
                "'INSERT INTO t VALUES (?, ?)'"
            )
        if not callable(connection_factory):
            raise InvalidArgumentError(
                f"write_sql: connection_factory is {connection_factory!r}; give a function that returns a new connection"
            )
        self._sql = sql
        self._connect = connection_factory

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        # A database that cannot be reached is told before anything is computed.
        self._connect().close()

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> int:
        """Returns the number of rows."""
        written = 0
        with contextlib.closing(self._connect()) as connection:
            try:
                with contextlib.closing(connection.cursor()) as cursor:
                    for rows in _calls(blocks):
                        self._execute(cursor, rows, written, ctx)
                        written += len(rows)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        return written

    def _execute(self, cursor: Any, rows: _Watched, before: int, ctx: TaskContext) -> None:
        try:
            cursor.executemany(self._sql, rows)
        except Exception as error:
            last = before + len(rows) - 1
            place = f"rows {before} to {last}"
            if rows.taken:
                # Drivers that send rows ahead of the answers have taken more of them by then.
                position = rows.taken - 1
                place = (
                    f"row {before + position} ({_shown(rows[position])}), or one of the rows from {before} on before it"
                )
            error.add_note(f"in write_sql, at {place}, of task {ctx.task_index}, of the statement: {self._sql}")
            raise


class _Watched(list[tuple[Any, ...]]):
    """Rows for one call, and how many of them the driver has taken: it does not tell which one failed."""

    taken = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in super().__iter__():
            self.taken += 1
            yield row


def _calls(blocks: Iterable[Block]) -> Iterator[_Watched]:
    rows = _Watched()
    for block in blocks:
        for row in to_rows(block):
            rows.append(tuple(row.values()))
            if len(rows) == _ROWS_A_CALL:
                yield rows
                rows = _Watched()
    if rows:
        yield rows


def _shown(row: tuple[Any, ...]) -> str:
    text = repr(row)
    return text if len(text) <= 200 else f"{text[:200]}…"
