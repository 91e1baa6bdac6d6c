"""What a plan reads from: knows what it can from metadata, takes what the optimiser pushes into it, and makes read tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from shoal.data.block import BlockMetadata

if TYPE_CHECKING:
    from shoal.data.expressions import Expr


@dataclass(frozen=True)
class ReadTask:
    """One piece of reading, for one task. Picklable.

    Args:
        read_fn: yields Arrow tables, in the order of the file; called in the task.
        metadata: what is known before.
        schema: of the tables, where it is known.
        per_task_row_limit: rows after which it may stop.
    """

    read_fn: Callable[[], Iterator[pa.Table]]
    metadata: BlockMetadata
    schema: pa.Schema | None = None
    per_task_row_limit: int | None = None

    def in_driver(self) -> ReadTask:
        """Returns the same reading for the driver, which has all processors for it."""
        read = self.read_fn
        return replace(self, read_fn=replace(read, in_driver=True)) if hasattr(read, "in_driver") else self  # type: ignore[type-var]

    @property
    def skipped_files(self) -> list[str]:
        """After reading: the files that were passed over, because they cannot be read."""
        return list(getattr(self.read_fn, "skipped_files", ()))

    def __call__(self) -> Iterator[pa.Table]:
        """Yields the tables, cut off at the limit of rows."""
        left = self.per_task_row_limit
        for table in self.read_fn():
            if left is None:
                yield table
                continue
            if left <= 0:
                return
            yield table.slice(0, left)
            left -= table.num_rows


class Source(ABC):
    """Where a dataset begins. Immutable and picklable: `with_…` return another one, or None where it cannot do that.

    Tasks come in the order of the data (file, then row in the file), whatever the parallelism: row order is part of the result.
    """

    name: str
    """For plans and progress: 'Parquet', 'Range', …"""

    @abstractmethod
    def schema(self) -> pa.Schema | None:
        """Columns and types, where they can be known without reading all; may look at a footer or the first rows."""

    @abstractmethod
    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        """Splits the reading into tasks.

        Args:
            parallelism: about how many are wanted (>= 1); fewer where there is less to split.
            row_limit: rows that are wanted in all: tasks beyond them may be left out where row counts are known.
        """

    def num_rows(self) -> int | None:
        """The number of rows, from metadata alone; None where that does not tell."""
        return None

    def size_bytes(self) -> int | None:
        """About how many bytes all of it takes in memory; None where nothing is known."""
        return None

    def input_files(self) -> list[str]:
        """Paths of the files that are read."""
        return []

    def skipped_files(self) -> list[str]:
        """Paths of files that were passed over because they cannot be read, as far as planning has met them."""
        return []

    def with_columns(self, columns: list[str]) -> Source | None:
        """This source, giving just these columns, in this order."""
        return None

    def with_filter(self, predicate: Expr) -> Source | None:
        """This source, giving just the rows for which `predicate` is true, exactly (not a superset)."""
        return None
