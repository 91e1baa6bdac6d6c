"""Blocks: the pieces of a dataset. A block is an Arrow table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_batch, table_without_columns
from shoal.data._internal.blocks.combine import size_bytes, slice_rows
from shoal.data._internal.blocks.convert import to_batch, to_numpy, to_rows
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Block: TypeAlias = pa.Table


@dataclass(frozen=True)
class BlockExecStats:
    """What making a block took. Times in seconds, memory in bytes."""

    wall_time_s: float = 0.0
    cpu_time_s: float = 0.0
    max_uss_bytes: int = 0


@dataclass(frozen=True)
class BlockMetadata:
    """What is known of a block without reading it; None where it is not known."""

    num_rows: int | None
    size_bytes: int | None
    """In memory."""
    exec_stats: BlockExecStats | None = None
    input_files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RefBundle:
    """Blocks of a dataset that runs, in its order.

    Args:
        blocks: references to them, with what is known of each.
    """

    blocks: tuple[tuple[Any, BlockMetadata], ...]

    def num_rows(self) -> int:
        """Returns the rows of all blocks."""
        return sum(metadata.num_rows or 0 for _, metadata in self.blocks)

    def size_bytes(self) -> int:
        """Returns what they take in memory."""
        return sum(metadata.size_bytes or 0 for _, metadata in self.blocks)


class BlockAccessor:
    """Reads a block and converts it. For custom datasources and aggregations; made by `BlockAccessor.for_block`.

    Example:
        >>> import pyarrow as pa
        >>> from shoal.data.block import BlockAccessor
        >>> block = BlockAccessor.for_block(pa.table({"x": [1, 2, 3]}))
        >>> block.num_rows(), block.to_numpy("x").tolist()
        (3, [1, 2, 3])
    """

    def __init__(self, table: Block) -> None:
        self._table = table

    @staticmethod
    def for_block(block: Any) -> BlockAccessor:
        """An accessor of a block.

        Args:
            block: a pyarrow Table, or anything else that can be a batch: a DataFrame, a dict of arrays.

        Raises:
            BatchTypeError: if it is neither.
        """
        return BlockAccessor(table_of_batch(block, "BlockAccessor.for_block"))

    @staticmethod
    def batch_to_block(batch: Any) -> Block:
        """The block of a batch.

        Args:
            batch: a dict of arrays or lists, a pandas or polars DataFrame, a pyarrow Table.

        Raises:
            BatchTypeError: if it is something else, or its columns differ in length.
        """
        return table_of_batch(batch, "BlockAccessor.batch_to_block")

    def num_rows(self) -> int:
        """How many rows there are."""
        return int(self._table.num_rows)

    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""
        return self._table.schema

    def size_bytes(self) -> int:
        """Bytes that the rows take in memory."""
        return size_bytes(self._table)

    def get_metadata(
        self, input_files: Sequence[str] | None = None, block_exec_stats: BlockExecStats | None = None
    ) -> BlockMetadata:
        """What is known of the block.

        Args:
            input_files: paths that its rows come from.
            block_exec_stats: what making it took.
        """
        return BlockMetadata(self.num_rows(), self.size_bytes(), block_exec_stats, list(input_files or ()))

    def to_block(self) -> Block:
        """The block itself."""
        return self._table

    def to_arrow(self) -> pa.Table:
        """The block as a pyarrow Table."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """The block as a DataFrame, which can be written to."""
        return to_batch(self._table, "pandas")

    def to_numpy(
        self, columns: str | Sequence[str] | None = None
    ) -> np.ndarray[Any, Any] | dict[str, np.ndarray[Any, Any]]:
        """Columns as numpy arrays: views of the block where that is possible.

        Args:
            columns: one name for one array, several for a dict of them, None for a dict of all.

        Raises:
            ColumnNotFoundError: if there is no such column.
        """
        if isinstance(columns, str):
            return to_numpy(self._column(columns))
        names = self._table.column_names if columns is None else columns
        return {name: to_numpy(self._column(name)) for name in names}

    def to_batch_format(self, batch_format: str | None = "default") -> Any:
        """The block as a batch.

        Args:
            batch_format: 'default' or 'numpy' for a dict of arrays, 'pandas', 'pyarrow', or None for the block itself.

        Raises:
            InvalidArgumentError: if there is no such format.
        """
        return to_batch(self._table, batch_format)

    def slice(self, start: int, end: int, copy: bool = False) -> Block:
        """Rows from `start` to before `end`; what is beyond the last row is left out.

        Args:
            start: 0 is the first row.
            end: not below `start`.
            copy: whether the rows get memory of their own, so that the block's can be freed.

        Raises:
            InvalidArgumentError: if `start` is negative or beyond `end`.
        """
        if not 0 <= start <= end:
            raise InvalidArgumentError(
                f"slice({start}, {end}): rows count from 0, and the end is not before the start."
            )
        piece = slice_rows(self._table, start, end - start)
        return piece.take(pa.array(range(piece.num_rows), pa.int64())) if copy and piece.num_columns else piece

    def take(self, indices: Sequence[int]) -> Block:
        """The rows at these places, in this order.

        Args:
            indices: 0 is the first row; a row may come more than once.

        Raises:
            InvalidArgumentError: if there is no such row.
        """
        rows = self.num_rows()
        wrong = next((index for index in indices if not 0 <= index < rows), None)
        if wrong is not None:
            raise InvalidArgumentError(
                f"take: there is no row {wrong}; the block has {rows} rows, from 0 to {rows - 1}."
            )
        if not self._table.num_columns:
            return table_without_columns(len(indices))
        return self._table.take(pa.array(indices, pa.int64()))

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows as dicts of plain Python values."""
        return to_rows(self._table)

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self._table.column_names:
            raise ColumnNotFoundError(name, self._table.column_names, "BlockAccessor")
        return self._table.column(name)
