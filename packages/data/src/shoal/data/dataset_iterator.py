"""Loops over a whole dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from shoal.data.iterator import DataIterator

if TYPE_CHECKING:
    from shoal.data._internal.api.base import DatasetBase
    from shoal.data.context import DataContext
    from shoal.data.dataset import MaterializedDataset
    from shoal.data.schema import Schema


class DatasetIterator(DataIterator):
    """Each loop runs the dataset again, unless it is materialized."""

    def __init__(self, dataset: DatasetBase) -> None:
        self._dataset = dataset

    def _open(self) -> Iterator[pa.Table]:
        return self._dataset._tables()

    def schema(self) -> Schema | None:
        schema: Schema | None = self._dataset.schema()
        return schema

    def stats(self) -> str:
        return str(self._dataset.stats())

    def get_context(self) -> DataContext:
        return self._dataset._context

    def materialize(self) -> MaterializedDataset:
        made: MaterializedDataset = self._dataset.materialize()
        return made
