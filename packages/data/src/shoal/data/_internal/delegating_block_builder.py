"""The builder of blocks that Ray's guide to datasources imports from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_batch, table_of_rows
from shoal.data._internal.blocks.combine import concat


class DelegatingBlockBuilder:
    """Makes one block of rows, batches and blocks, in the order in which they are added."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._rows: list[Mapping[str, Any]] = []

    def add(self, item: Mapping[str, Any]) -> None:
        """Adds a row."""
        self._rows.append(item)

    def add_batch(self, batch: Any) -> None:
        """Adds rows: a dict of columns, a DataFrame, a pyarrow Table. Raises BatchTypeError where it is none of these."""
        self._end_rows()
        self._tables.append(table_of_batch(batch, "DelegatingBlockBuilder.add_batch"))

    add_block = add_batch

    def num_rows(self) -> int:
        """How many rows have been added."""
        return sum(int(table.num_rows) for table in self._tables) + len(self._rows)

    def build(self) -> pa.Table:
        """Returns the block.

        Raises:
            BatchTypeError: a row is no mapping, or a column's name no string.
            SchemaMismatchError: columns of one name have types that do not go together.
        """
        self._end_rows()
        return concat(self._tables)

    def _end_rows(self) -> None:
        if self._rows:
            self._tables.append(table_of_rows(self._rows))
            self._rows = []
