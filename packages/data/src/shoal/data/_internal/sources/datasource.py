"""Sources that users write: the class that they extend, and what makes a `Source` of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shoal.data._internal.blocks.build import table_of_batch
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.exceptions import BatchTypeError, InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.context import DataContext


class Datasource:
    """A source of rows of one's own: extend it, override `get_read_tasks` and `estimate_inmemory_data_size`; `read_datasource` reads it.

    Example:
        >>> import pyarrow as pa
        >>> from shoal.data.block import BlockMetadata
        >>> from shoal.data.datasource import Datasource, ReadTask
        >>> class Squares(Datasource):
        ...     def get_read_tasks(self, parallelism, per_task_row_limit=None, data_context=None):
        ...         def read():
        ...             yield pa.table({"square": [0, 1, 4, 9]})
        ...         return [ReadTask(read, BlockMetadata(num_rows=4, size_bytes=32))]
        ...     def estimate_inmemory_data_size(self):
        ...         return 32
        >>> Squares().get_name()
        'Squares'
    """

    def get_name(self) -> str:
        """Returns what the source is called in plans and progress: the class's name, without 'Datasource' at its end."""
        name = type(self).__name__
        return name.removesuffix("Datasource") or name

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        """Splits the reading. To be overridden; called in the driver.

        Args:
            parallelism: how many tasks are wanted (1 or more).
            per_task_row_limit: no task needs to give more rows; None for all.
            data_context: settings of the dataset.

        Returns:
            The tasks, in the order of the rows.
        """
        raise NotImplementedError(f"{type(self).__name__} has to override get_read_tasks.")

    def estimate_inmemory_data_size(self) -> int | None:
        """Returns about how many bytes all of it takes in memory; None where that is not known. To be overridden."""
        return None

    @property
    def supports_distributed_reads(self) -> bool:
        """Whether tasks may run on other machines than the driver's."""
        return True


class DatasourceSource(Source):
    """Reads a `Datasource`.

    Args:
        datasource: which.
        data_context: settings that it is told of.

    Raises:
        InvalidArgumentError: if it is none.
    """

    def __init__(self, datasource: Datasource, data_context: DataContext | None = None) -> None:
        if not callable(getattr(datasource, "get_read_tasks", None)):
            raise InvalidArgumentError(
                f"datasource={datasource!r}: a datasource has get_read_tasks. Extend shoal.data.Datasource."
            )
        self.name = datasource.get_name()
        self._datasource = datasource
        self._data_context = data_context

    @property
    def supports_distributed_reads(self) -> bool:
        """Whether tasks may run on other machines than the driver's."""
        return bool(getattr(self._datasource, "supports_distributed_reads", True))

    def schema(self) -> pa.Schema | None:
        return None

    def size_bytes(self) -> int | None:
        try:
            return self._datasource.estimate_inmemory_data_size()
        except NotImplementedError:
            return None

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        """As the datasource has them.

        Raises:
            BatchTypeError: if it gives something else.
        """
        arguments = {"per_task_row_limit": row_limit, "data_context": self._data_context}
        taken = _taken(self._datasource.get_read_tasks, arguments)
        tasks = list(self._datasource.get_read_tasks(parallelism, **taken))
        for task in tasks:
            if not isinstance(task, ReadTask):
                raise BatchTypeError(
                    f"{self.name}: get_read_tasks returns ReadTasks, but one is {task!r}. Use shoal.data.ReadTask(function, metadata)."
                )
        return [
            replace(
                task,
                read_fn=ReadBlocks(task.read_fn, self.name),
                per_task_row_limit=_least(task.per_task_row_limit, row_limit),
            )
            for task in tasks
        ]


@dataclass(frozen=True)
class ReadBlocks:
    """Calls a user's function of a read task. Picklable where that is.

    Args:
        read_fn: returns or yields blocks: tables, DataFrames, dicts of arrays.
        name: of the source, for errors.
    """

    read_fn: Callable[[], Any]
    name: str

    def __call__(self) -> Iterator[pa.Table]:
        """Yields the blocks as tables.

        Raises:
            BatchTypeError: if one is no block.
        """
        return tables_of(self.read_fn(), f"the read task of {self.name}")


def tables_of(blocks: Any, where: str) -> Iterator[pa.Table]:
    """Yields what a user's function gave as tables.

    Args:
        blocks: of any kind that `table_of_batch` takes; one alone is one block.
        where: for errors.

    Raises:
        BatchTypeError: if something is no block.
    """
    if isinstance(blocks, pa.Table | pa.RecordBatch | Mapping) or hasattr(blocks, "columns"):
        blocks = [blocks]
    if not isinstance(blocks, Iterable):
        raise BatchTypeError(f"{where} gives {blocks!r}, but should yield blocks, or return a list of them.")
    for block in blocks:
        yield table_of_batch(block, where)


def _taken(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a function takes: some datasources know only of the parallelism."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
