"""Datasets of Hugging Face: Arrow tables on the disk, or streams in shards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata

_ROWS_A_TABLE = 10_000
_ROWS_OF_A_STREAM = 1_000


class HuggingFaceSource(Source):
    """A `datasets.Dataset`, whose files tasks map into memory.

    Args:
        dataset: what it selects, shuffles and so on holds; its format does not matter.
    """

    name = "HuggingFace"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset.with_format("arrow")

    def schema(self) -> pa.Schema:
        return plain_table(self._dataset[:0]).schema

    def num_rows(self) -> int:
        return len(self._dataset)

    def size_bytes(self) -> int | None:
        size = self._dataset.data.nbytes
        whole = self._dataset.data.num_rows
        return int(size * len(self._dataset) / whole) if whole else 0

    def input_files(self) -> list[str]:
        return [file["filename"] for file in self._dataset.cache_files]

    def with_columns(self, columns: list[str]) -> HuggingFaceSource:
        return HuggingFaceSource(self._dataset.select_columns(columns))

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        schema = self.schema()
        count = len(self._dataset) if row_limit is None else min(len(self._dataset), row_limit)
        pieces = max(1, min(parallelism, count))
        cuts = [count * piece // pieces for piece in range(pieces + 1)]
        return [
            ReadTask(
                partial(_read, self._dataset, start, end),
                BlockMetadata(end - start, None, input_files=self.input_files()),
                schema,
            )
            for start, end in itertools.pairwise(cuts)
        ]


class HuggingFaceStreamSource(Source):
    """A `datasets.IterableDataset`, by its shards.

    Args:
        dataset: rows come in its order.
    """

    name = "HuggingFaceStream"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset.with_format("arrow")

    def schema(self) -> pa.Schema | None:
        """None where only the rows tell."""
        features = self._dataset.features
        return plain_table(features.arrow_schema.empty_table()).schema if features is not None else None

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        pieces = max(1, min(parallelism, self._dataset.num_shards))
        schema = self.schema()
        shards = [self._dataset]
        if pieces > 1:
            shards = [self._dataset.shard(num_shards=pieces, index=index, contiguous=True) for index in range(pieces)]
        return [
            ReadTask(partial(_read_stream, shard, schema), BlockMetadata(None, None), schema, row_limit)
            for shard in shards
        ]


def plain_table(table: pa.Table) -> pa.Table:
    """The table without types that only `datasets` knows: its arrays of more dimensions become tensors."""
    columns = []
    for column in table.columns:
        if type(column.type).__module__.startswith("datasets."):
            arrays = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks if len(chunk)]
            column = array_of([row for array in arrays for row in array]) if arrays else _empty_like(column.type)
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _empty_like(kind: Any) -> pa.Array:
    """No rows, of the type that tensors of such a shape have."""
    import numpy as np

    shape = kind.shape
    if None in shape:
        return pa.nulls(0)
    return array_of(np.zeros((0, *shape), dtype=kind.value_type))


def _read(dataset: Any, start: int, end: int) -> Iterator[pa.Table]:
    for first in range(start, end, _ROWS_A_TABLE):
        yield plain_table(dataset[first : min(first + _ROWS_A_TABLE, end)])
    if start == end:
        yield plain_table(dataset[:0])


def _read_stream(dataset: Any, schema: pa.Schema | None) -> Iterator[pa.Table]:
    made = False
    for table in dataset.iter(batch_size=_ROWS_OF_A_STREAM):
        made = True
        yield plain_table(table)
    if not made and schema is not None:
        yield schema.empty_table()
