"""What a dataset is: its columns, number of rows, size, plan, and how its last run went."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.execution.explain import explained
from shoal.data._internal.execution.locality import runs_here
from shoal.data._internal.execution.stats_report import stats_report
from shoal.data._internal.plan.operators import Blocks, Operator, Read
from shoal.data._internal.plan.optimizer import optimized
from shoal.data._internal.plan.schemas import known_rows, known_schema
from shoal.data.context import DataContext
from shoal.data.schema import Schema


class Describing(DatasetBase):
    """Part of `Dataset`."""

    def schema(self, fetch_if_missing: bool = True) -> Schema | None:
        """Returns columns and types.

        Args:
            fetch_if_missing: run the plan for its first row where nothing else tells; False gives None then.

        Example:
            >>> import shoal
            >>> shoal.data.range(3).schema().names
            ['id']
        """
        found = self._schema if self._schema is not None else known_schema(self._plan)
        if found is None and fetch_if_missing:
            found = self._first_schema()
        self._schema = found
        return Schema(found) if found is not None else None

    def _first_schema(self) -> pa.Schema | None:
        from shoal.data._internal.plan.operators import Limit

        best: pa.Schema | None = None
        for bundle in self._over(Limit(self._plan, 1))._bundles():
            schema = bundle.schema if bundle.schema is not None else bundle.table().schema
            if bundle.rows:
                return schema
            best = schema if best is None or len(schema) else best
        return best if best is not None and len(best) else None

    def columns(self, fetch_if_missing: bool = True) -> list[str] | None:
        """Returns the names of the columns."""
        schema = self.schema(fetch_if_missing)
        return list(schema.names) if schema is not None else None

    def count(self) -> int:
        """Returns the number of rows: from metadata (footers) where that tells, else by running the plan."""
        # Where blocks may fail, only a run tells how many rows are left.
        rows = known_rows(optimized(self._plan)) if not self._context.max_errored_blocks else None
        if rows is not None:
            return rows
        return sum(bundle.rows for bundle in self._over(_counted(self._plan))._bundles())

    def size_bytes(self) -> int:
        """Returns the size in memory: of the blocks where they exist, else by running the plan."""
        if isinstance(self._plan, Blocks):
            return sum(self._plan.sizes)
        return sum(bundle.size for bundle in self._bundles())

    def input_files(self) -> list[str]:
        """Returns the paths of all files that are read."""
        found: dict[str, None] = {}
        stack: list[Operator] = [self._plan]
        while stack:
            operator = stack.pop()
            if isinstance(operator, Read):
                found.update(dict.fromkeys(operator.source.input_files()))
            if isinstance(operator, Blocks):
                found.update(dict.fromkeys(operator.files))
            stack.extend(reversed(operator.inputs))
        return list(found)

    def num_blocks(self) -> int:
        """Returns the number of blocks of a materialized dataset.

        Raises:
            NotImplementedError: the dataset is not materialized.
        """
        if isinstance(self._plan, Blocks):
            return len(self._plan.blocks)
        raise NotImplementedError(
            "the number of blocks is known of materialized datasets only: call materialize() first"
        )

    def explain(self) -> str:
        """Returns the plan as it was written, as it was optimised, and the stages that carry it out.

        Example:
            >>> import shoal
            >>> print(shoal.data.range(3).limit(2).explain())  # doctest: +ELLIPSIS
            Logical plan
            ...
        """
        return explained(self._plan, optimized(self._plan), runs_here(optimized(self._plan), self._context))

    def stats(self) -> str:
        """Returns what each stage of the last run did: tasks, rows, bytes, times. Empty before the first run."""
        return stats_report(self._last_run) if self._last_run is not None else ""

    @property
    def name(self) -> str | None:
        """As `set_name` was told."""
        return self._name

    def set_name(self, name: str | None) -> None:
        """Names the dataset, for progress and statistics."""
        self._name = name

    @property
    def context(self) -> DataContext:
        """The settings that this dataset is run with."""
        return self._context

    def copy(self) -> Any:
        """Returns another dataset with the same plan."""
        return self._over(self._plan)

    def __repr__(self) -> str:
        schema = self.schema(fetch_if_missing=False)
        columns = (
            "{" + ", ".join(f"{name}: {kind}" for name, kind in zip(schema.names, schema.types, strict=True)) + "}"
            if schema is not None
            else "not known before it is run"
        )
        rows = known_rows(self._plan)
        parts = [f"name={self._name!r}"] if self._name else []
        if isinstance(self._plan, Blocks):
            parts.append(f"num_blocks={len(self._plan.blocks)}")
        parts += [f"num_rows={rows}" if rows is not None else f"plan={self._plan.name}", f"schema={columns}"]
        return f"{type(self).__name__}({', '.join(parts)})"


def _counted(plan: Operator) -> Operator:
    """Leaves out what does not change the number of rows: order, and computed columns at the end."""
    from shoal.data._internal.plan.operators import OneInput, RandomizeBlockOrder, RandomShuffle, Repartition, Sort

    while isinstance(plan, Sort | RandomShuffle | RandomizeBlockOrder | Repartition):
        assert isinstance(plan, OneInput)
        plan = plan.input
    return plan
