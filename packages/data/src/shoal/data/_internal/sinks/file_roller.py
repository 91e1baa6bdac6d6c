"""A stream of tables to files: when a batch is handed to the encoder, and when the next file begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa

from shoal.data._internal.blocks.combine import concat, size_bytes, slice_rows, unify_schemas


class FileEncoder(Protocol):
    """Writes tables of one schema into one file."""

    def write(self, table: pa.Table) -> None:
        """Adds rows."""

    def close(self) -> None:
        """Completes the file."""

    def abandon(self) -> None:
        """Gives up: nothing more may be written, not even when the object is collected."""


class FileRoller:
    """Collects tables into batches, and batches into files.

    Tables of a batch get one schema. A later batch that fits into the schema of the file is cast to it; one that does not (it has more
    columns, or
    wider types) begins a new file.

    Args:
        open_file: begins a file that starts with this batch.
        max_rows: of a file; None for no limit.
        batch_bytes: when a batch is full, in bytes in memory; None if the encoder needs all rows of a file at once.
        batch_rows: of a batch: it gets exactly as many, or a multiple; only the last one of a file may have another number.
    """

    def __init__(
        self,
        open_file: Callable[[pa.Table], FileEncoder],
        *,
        max_rows: int | None = None,
        batch_bytes: int | None = None,
        batch_rows: int | None = None,
    ) -> None:
        self._open_file = open_file
        self._max_rows = max_rows
        self._batch_bytes = batch_bytes
        self._batch_rows = batch_rows
        self._encoder: FileEncoder | None = None
        self._schema: Any = None
        self._rows_in_file = 0
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._pending_bytes = 0

    def add(self, table: pa.Table) -> None:
        """Takes rows.

        Raises:
            SchemaMismatchError: if a column has another type than before, and there is none that holds both.
        """
        while table.num_rows:
            room = table.num_rows
            if self._max_rows is not None:
                room = min(room, self._max_rows - self._rows_in_file - self._pending_rows)
            self._hold(slice_rows(table, 0, room))
            table = slice_rows(table, room, table.num_rows - room)
            if self._max_rows is not None and self._rows_in_file + self._pending_rows >= self._max_rows:
                self.close()
            elif self._is_full():
                self._hand_over()

    def close(self) -> None:
        """Completes the file, if there is one."""
        if self._pending_rows:
            self._encode(self._take())
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            self._rows_in_file = 0
            try:
                encoder.close()
            except BaseException:
                encoder.abandon()
                raise

    def abandon(self) -> None:
        """Gives up the file that is being written."""
        if self._encoder is not None:
            self._encoder.abandon()

    def _is_full(self) -> bool:
        if self._batch_bytes is None or self._pending_bytes < self._batch_bytes:
            return False
        return self._batch_rows is None or self._pending_rows >= self._batch_rows

    def _hand_over(self) -> None:
        table = self._take()
        if self._batch_rows is not None:
            full = table.num_rows - table.num_rows % self._batch_rows
            self._hold(slice_rows(table, full, table.num_rows - full))
            table = slice_rows(table, 0, full)
        self._encode(table)

    def _hold(self, table: pa.Table) -> None:
        if table.num_rows:
            self._pending.append(table)
            self._pending_rows += table.num_rows
            self._pending_bytes += size_bytes(table)

    def _take(self) -> pa.Table:
        table = concat(self._pending)
        self._pending = []
        self._pending_rows = self._pending_bytes = 0
        return table

    def _encode(self, table: pa.Table) -> None:
        if self._encoder is not None and not table.schema.equals(self._schema):
            schema = self._schema
            if unify_schemas([schema, table.schema]).equals(schema):
                table = concat([schema.empty_table(), table]).select(schema.names).cast(schema)
            else:
                held, self._pending = self._pending, []
                held_rows, self._pending_rows = self._pending_rows, 0
                self.close()
                self._pending, self._pending_rows = held, held_rows
        if self._encoder is None:
            self._encoder = self._open_file(table)
            self._schema = table.schema
        self._encoder.write(table)
        self._rows_in_file += table.num_rows
