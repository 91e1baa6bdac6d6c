"""What needs rows of all blocks: each block is split into partitions, and each partition is merged from all blocks' parts.

Splitting and merging are functions of tables alone, so they run in the driver, or in tasks wherever there is room.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import pyarrow as pa

from shoal.data._internal.blocks.combine import concat


class Exchange(ABC):
    """One such operation. Frozen once made; `prepared` gives another one that knows what all blocks said."""

    name: str
    needs_rows_before = False
    """`split` depends on the position of rows in the dataset: blocks wait until the ones before them are counted."""
    needs_total = False
    """`split` depends on the number of rows of the dataset: blocks wait until all are counted."""
    needs_samples = False
    """`split` depends on samples of all blocks."""
    takes_much_to_merge = False
    """`merge` takes a multiple of its partition's memory (tables of hashes): partitions stay as small as blocks."""
    partitions: int | None = None
    """As the user asked; None to choose by size."""

    def before(self, table: pa.Table) -> pa.Table:
        """What may be done to a block by itself, to make it smaller."""
        return table

    def sample(self, table: pa.Table) -> pa.Table | None:
        """Returns what `prepared` needs to see of a block."""
        return None

    def prepared(self, samples: list[pa.Table], total_rows: int, partitions: int) -> Exchange:
        """Returns this exchange, ready to split into so many partitions."""
        return self

    def early(self, samples: list[pa.Table], partitions: int) -> Exchange:
        """Returns this exchange, ready to split blocks that `before` has not seen, while more are on their way.

        Args:
            samples: of the first blocks.
            partitions: how many.
        """
        return self.prepared(samples, 0, partitions)

    def split_early(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        """The same as `split` for a block that `before` has not seen."""
        return self.split(self.before(table), first_row, partitions)

    def narrowed(self, partition: int, samples: list[pa.Table], pieces: int) -> Exchange | None:
        """Returns what splits a partition that came out too large; None where it cannot be split.

        Args:
            partition: its number.
            samples: of all blocks.
            pieces: how many partitions it shall give, in order.
        """
        return None

    @abstractmethod
    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        """Returns the parts of a block, one for each partition; one is made at a time where they are copies.

        Args:
            table: the block, after `before`.
            first_row: the position of its first row in the dataset; 0 unless `needs_rows_before`.
            partitions: how many parts (>= 1).
        """

    @abstractmethod
    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        """Yields the blocks of one partition.

        Args:
            parts: of all blocks, in their order; those without rows may be missing.
            partition: its number.
        """


def joined(parts: Iterable[pa.Table]) -> pa.Table | None:
    """Returns all parts as one table; None where there are none."""
    tables = list(parts)
    with_rows = [table for table in tables if table.num_rows > 0]
    if with_rows:
        return with_rows[0] if len(with_rows) == 1 else concat(with_rows)
    return next((table for table in tables if table.num_columns), tables[0] if tables else None)
