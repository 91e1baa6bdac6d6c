"""Whole numbers from 0 on, as a column or as tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata

_ROWS_A_TABLE = 4 * 1024 * 1024


class RangeSource(Source):
    """The numbers 0 to n - 1.

    Args:
        count: n.
        shape: of the tensors that are filled with each number, in the column `data`; None for the column `id` of numbers.
    """

    def __init__(self, count: int, shape: tuple[int, ...] | None = None) -> None:
        self.name = "Range" if shape is None else "RangeTensor"
        self._count = count
        self._shape = shape

    def schema(self) -> pa.Schema:
        return _numbers(0, 1, self._shape).schema

    def num_rows(self) -> int:
        return self._count

    def size_bytes(self) -> int:
        return self._count * self._row_bytes()

    def _row_bytes(self) -> int:
        return 8 * math.prod(self._shape or ())

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        count = self._count if row_limit is None else min(self._count, row_limit)
        pieces = max(1, min(parallelism, count))
        cuts = [count * piece // pieces for piece in range(pieces + 1)]
        return [
            ReadTask(
                partial(_read, start, end, self._shape),
                BlockMetadata(end - start, (end - start) * self._row_bytes()),
                self.schema(),
            )
            for start, end in itertools.pairwise(cuts)
        ]


def _read(start: int, end: int, shape: tuple[int, ...] | None) -> Iterator[pa.Table]:
    step = max(1, _ROWS_A_TABLE // max(1, math.prod(shape or ())))
    for first in range(start, end, step):
        yield _numbers(first, min(first + step, end), shape)
    if start == end:
        yield _numbers(0, 1, shape).slice(0, 0)


def _numbers(start: int, end: int, shape: tuple[int, ...] | None) -> pa.Table:
    numbers = np.arange(start, end, dtype=np.int64)
    if shape is None:
        return pa.table({"id": numbers})
    return pa.table(
        {"data": array_of(np.broadcast_to(numbers.reshape(-1, *[1] * len(shape)), (end - start, *shape)).copy())}
    )
