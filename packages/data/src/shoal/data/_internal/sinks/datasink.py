"""What blocks are written to, and how a write goes.

The life of a write; `run_write_task` does the part of a task:

1. driver: `sink.set_write_id(write_id)`, then `sink.on_write_start(schema)`. Errors here come before any task has run. If
`sink.skips_write` is
   true afterwards, there is nothing to do: no task runs, and neither of 3 is called.
2. tasks: `sink.write(blocks, ctx)`, once for each task, with its blocks in order; the sink is pickled after `on_write_start`. A task that
   died may be run again with the same `ctx.task_index`, even while the first attempt is not quite dead.
3. driver: `sink.on_write_complete(WriteResult(num_rows, size_bytes, write_returns))`, with what the successful attempt of each task
returned, in
   the order of the tasks; or, when the write fails or is interrupted, and no task runs any more, `sink.on_write_failed(error)`. The
   latter is also
   called if `on_write_complete` raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pyarrow as pa

from shoal.data._internal.blocks.combine import size_bytes
from shoal.data.block import Block

WriteReturnType = TypeVar("WriteReturnType")
"""What `Datasink.write` returns."""


@dataclass(frozen=True)
class TaskContext:
    """Which task of which write is running.

    Args:
        task_index: from 0, in the order of the rows; the same when a task is run again.
        write_id: of the write; the same when a job that was killed is run again. It becomes part of file names.
        op_name: of the operation, for errors and progress ('Write(Parquet)').
    """

    task_index: int
    write_id: str
    op_name: str = ""

    @property
    def task_idx(self) -> int:
        """Ray's name of `task_index`."""
        return self.task_index


@dataclass
class WriteResult(Generic[WriteReturnType]):
    """What was written.

    Args:
        num_rows: the number of rows, in all.
        size_bytes: of the blocks in memory, in all.
        write_returns: what each call of `Datasink.write` returned.
    """

    num_rows: int
    size_bytes: int
    write_returns: list[WriteReturnType]

    @classmethod
    def combine(cls, *results: WriteResult[WriteReturnType]) -> WriteResult[WriteReturnType]:
        """The result of all of them together."""
        return cls(
            sum(result.num_rows for result in results),
            sum(result.size_bytes for result in results),
            [returned for result in results for returned in result.write_returns],
        )


class Datasink(Generic[WriteReturnType]):
    """Something that blocks can be written to: subclass it and hand it to `Dataset.write_datasink`.

    Example:
        >>> from shoal.data.datasource import Datasink
        >>> class Count(Datasink):
        ...     def write(self, blocks, ctx):
        ...         return sum(block.num_rows for block in blocks)
        ...     def on_write_complete(self, write_result):
        ...         self.rows = sum(write_result.write_returns)
    """

    def set_write_id(self, write_id: str) -> None:
        """Called in the driver before `on_write_start`.

        Args:
            write_id: names this write, and is the same when a job that was killed is run again.
        """

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Called in the driver before the first task.

        Args:
            schema: of the data, where it is known.
        """

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> WriteReturnType:
        """Writes the blocks of one task. Called in the task.

        Args:
            blocks: tables, in the order of the dataset; some may have no rows. They are made while they are asked for.
            ctx: which task this is.

        Returns:
            whatever `on_write_complete` should know of it. It is pickled.
        """
        raise NotImplementedError

    def on_write_complete(self, write_result: WriteResult[WriteReturnType]) -> None:
        """Called in the driver after all tasks: the place to commit. The write fails if this raises.

        Args:
            write_result: counts, and what the tasks returned.
        """

    def on_write_failed(self, error: BaseException) -> None:
        """Called in the driver when the write fails or is interrupted.

        Args:
            error: the first one.
        """

    def get_name(self) -> str:
        """The name for plans and progress: that of the class, without 'Sink' or 'Datasink' at its end."""
        name = type(self).__name__.lstrip("_")
        for ending in ("Datasink", "Sink"):
            if name.endswith(ending) and name != ending:
                return name.removesuffix(ending)
        return name

    @property
    def skips_write(self) -> bool:
        """Whether `on_write_start` found that there is nothing to do."""
        return False

    @property
    def supports_distributed_writes(self) -> bool:
        """Whether tasks may run on other nodes than the driver's."""
        return True

    @property
    def min_rows_per_write(self) -> int | None:
        """The fewest rows that a call of `write` should get, as long as there are so many; None: whatever a block has."""
        return None

    @property
    def min_bytes_per_write(self) -> int | None:
        """The fewest bytes that a call of `write` should get, as long as there are so many; None: whatever a block has."""
        return None


def run_write_task(sink: Datasink[Any], blocks: Iterable[Block], ctx: TaskContext) -> WriteResult[Any]:
    """Runs the part of a write that belongs to one task, and counts what goes through.

    Args:
        sink: after its `on_write_start`.
        blocks: of the task, in order.
        ctx: which task this is.

    Returns:
        the counts, and what `sink.write` returned as the only one of `write_returns`.
    """
    num_rows = num_bytes = 0

    def counted() -> Iterator[Block]:
        nonlocal num_rows, num_bytes
        for block in blocks:
            num_rows += block.num_rows
            num_bytes += size_bytes(block)
            yield block

    returned = sink.write(counted(), ctx)
    return WriteResult(num_rows, num_bytes, [returned])
