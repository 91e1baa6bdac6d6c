"""What all parts of a Dataset stand on: its plan, its settings, and running it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.run import Run
from shoal.data._internal.plan.operators import Operator
from shoal.data._internal.plan.schemas import known_schema
from shoal.data.context import DataContext

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset

D = TypeVar("D", bound="DatasetBase")


class DatasetBase:
    """A plan and the settings that it is run with. Immutable: transforms return another dataset."""

    def __init__(self, plan: Operator, context: DataContext | None = None, name: str | None = None) -> None:
        self._plan = plan
        self._context = context if context is not None else DataContext.get_current().copy()
        self._name = name
        self._last_run: Run | None = None
        self._schema: pa.Schema | None = None
        self._uuid = uuid.uuid4().hex

    def __getstate__(self) -> dict[str, Any]:
        """What travels to other processes: how its last run went stays here."""
        return {**self.__dict__, "_last_run": None}

    def _over(self, plan: Operator) -> Dataset:
        """Returns a dataset of another plan. Raises what can be told of it already (a column that is not there)."""
        from shoal.data.dataset import Dataset

        known_schema(plan)
        return Dataset(plan, self._context, self._name)

    def _run(self) -> Run:
        self._last_run = Run(self._plan, self._context)
        return self._last_run

    def _bundles(self) -> Iterator[Bundle]:
        """Runs the plan: yields its blocks."""
        return iter(self._run())

    def _tables(self) -> Iterator[pa.Table]:
        """Runs the plan: yields its blocks as tables, without those that have no rows."""
        for bundle in self._bundles():
            if bundle.rows:
                yield bundle.table()

    def __iter__(self) -> Any:
        raise TypeError(
            "a Dataset is not iterable by itself: use iter_rows() for rows, iter_batches() for batches, take_all() for a list"
        )

    def __len__(self) -> int:
        raise AttributeError("a Dataset has no length before it is run: use count()")

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
