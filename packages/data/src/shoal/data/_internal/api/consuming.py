"""Running a dataset for its rows, batches or blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from shoal.data._internal.api.arguments import batch_format as checked_format
from shoal.data._internal.api.arguments import not_negative, positive
from shoal.data._internal.api.base import DatasetBase
from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.blocks.convert import to_batch, to_rows
from shoal.data._internal.plan.operators import Blocks, Limit, Repartition

if TYPE_CHECKING:
    from shoal.data.dataset import MaterializedDataset
    from shoal.data.iterator import DataIterator


class Consuming(DatasetBase):
    """Part of `Dataset`."""

    def take(self, limit: int = 20) -> list[dict[str, Any]]:
        """Returns the first rows as dicts; reads no more than they need.

        Args:
            limit: most rows.

        Raises:
            InvalidArgumentError: (a ValueError) a negative number.

        Example:
            >>> import shoal
            >>> shoal.data.range(100).take(2)
            [{'id': 0}, {'id': 1}]
        """
        rows: list[dict[str, Any]] = []
        limited = self._over(Limit(self._plan, not_negative("limit", limit)))
        for table in limited._tables():
            rows.extend(to_rows(table))
        return rows

    def take_batch(
        self, batch_size: int = 20, *, batch_format: Literal["default", "numpy", "pandas", "pyarrow"] | None = "default"
    ) -> Any:
        """Returns the first rows as one batch.

        Args:
            batch_size: most rows (>= 1).
            batch_format: 'numpy', 'pandas', 'pyarrow', or None.

        Raises:
            ValueError: the dataset is empty.
        """
        format_ = checked_format(batch_format)
        limited = self._over(Limit(self._plan, positive("batch_size", batch_size)))
        tables = list(limited._tables())
        if not tables:
            raise ValueError("take_batch: the dataset is empty")
        return to_batch(concat(tables), format_)

    def take_all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Returns all rows as dicts.

        Args:
            limit: most rows that there may be; None for any number.

        Raises:
            ValueError: there are more than `limit`.

        Example:
            >>> import shoal
            >>> shoal.data.range(2).take_all()
            [{'id': 0}, {'id': 1}]
        """
        if limit is not None:
            not_negative("limit", limit)
        rows: list[dict[str, Any]] = []
        with closing(self._tables()) as tables:  # type: ignore[type-var]
            for table in tables:
                rows.extend(to_rows(table))
                if limit is not None and len(rows) > limit:
                    raise ValueError(f"take_all: the dataset has more than {limit} rows")
        return rows

    def show(self, limit: int = 20) -> None:
        """Prints the first rows."""
        for row in self.take(limit):
            print(row)  # noqa: T201  printing is what it is for

    def iterator(self) -> DataIterator:
        """Returns an object to loop over the dataset with, that may be passed to others."""
        from shoal.data.dataset_iterator import DatasetIterator

        return DatasetIterator(self)

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """Returns rows to loop over, as dicts. The dataset runs while the loop does.

        Example:
            >>> import shoal
            >>> [row["id"] for row in shoal.data.range(3).iter_rows()]
            [0, 1, 2]
        """
        return self.iterator().iter_rows()

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: Literal["default", "numpy", "pandas", "pyarrow"] | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
    ) -> Iterable[Any]:
        """Returns batches to loop over; see `DataIterator.iter_batches`."""
        return self.iterator().iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            batch_format=batch_format,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
        )

    def iter_torch_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        device: str = "auto",
        collate_fn: Callable[[Any], Any] | None = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        pin_memory: bool = False,
    ) -> Iterable[Any]:
        """Returns batches of torch tensors to loop over; see `DataIterator.iter_torch_batches`."""
        return self.iterator().iter_torch_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            dtypes=dtypes,
            device=device,
            collate_fn=collate_fn,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            pin_memory=pin_memory,
        )

    def materialize(self) -> MaterializedDataset:
        """Runs the dataset and keeps its blocks, so that what follows does not run it again.

        Example:
            >>> import shoal
            >>> shoal.data.range(3).materialize().num_blocks()
            1
        """
        from shoal.data.dataset import MaterializedDataset

        if isinstance(self._plan, Blocks):
            return MaterializedDataset(self._plan, self._context, self._name)
        bundles = list(self._bundles())
        # Who asks for so many blocks gets as many, if there are fewer rows.
        wanted = isinstance(self._plan, Repartition)
        kept = bundles if wanted else [bundle for bundle in bundles if bundle.rows] or bundles[:1]
        made = MaterializedDataset(
            Blocks(
                tuple(bundle.block for bundle in kept),
                tuple(bundle.rows for bundle in kept),
                tuple(bundle.size for bundle in kept),
                _schema_of([bundle.schema for bundle in kept]),
                tuple(self.input_files()),
            ),
            self._context,
            self._name,
        )
        made._last_run = self._last_run
        return made

    def _as_table(self) -> pa.Table | None:
        """Runs the dataset: returns all of it as one table; None where not even columns are known."""
        tables: Iterator[pa.Table] = (bundle.table() for bundle in self._bundles())
        there = [table for table in tables if table.num_columns]
        with_rows = [table for table in there if table.num_rows]
        return concat(with_rows or there[:1]) if there else None


def _schema_of(schemas: list[pa.Schema | None]) -> pa.Schema | None:
    from shoal.data._internal.blocks.combine import unify_schemas

    known = [schema for schema in schemas if schema is not None and len(schema)]
    return unify_schemas(known) if known else None
