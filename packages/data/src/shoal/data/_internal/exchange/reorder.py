"""Exchanges that move rows and change none: shuffle, sort, repartition."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.combine import concat, slice_rows
from shoal.data._internal.exchange.exchange import Exchange, joined
from shoal.data._internal.exchange.randomness import numbers_at
from shoal.data._internal.kernels import (
    array_of_numbers,
    divided,
    merge_sorted,
    numbers_of,
    order_of_numbers,
    partition_by_hash,
    partition_by_range,
    sample_boundaries,
    sort,
)
from shoal.data._internal.plan.operators import RandomShuffle, Repartition, RepartitionKeys, Sort
from shoal.data._internal.plan.schemas import check_columns

_SHUFFLE_STREAM = 1
_PLACE = "__shoal_place__"
_SAMPLES_OF_A_BLOCK = 1000


class ShuffleExchange(Exchange):
    """Each row gets a random place by the seed and its position; rows are put in the order of their places."""

    name = "RandomShuffle"
    needs_rows_before = True

    def __init__(self, operator: RandomShuffle) -> None:
        self._seed = operator.seed
        self.partitions = operator.blocks

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        places = numbers_at(self._seed, _SHUFFLE_STREAM, first_row, table.num_rows)
        table = table.append_column(_PLACE, array_of_numbers(places))
        if partitions == 1:
            return [table]
        # The upper bits choose the partition, so that partitions follow one another in the order of places.
        owners = ((places >> np.uint64(32)) * np.uint64(partitions)) >> np.uint64(32)
        return divided(table, owners, partitions)

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        table = joined(parts)
        if table is None:
            return
        position = table.schema.get_field_index(_PLACE)
        if position < 0:
            yield table
            return
        order = order_of_numbers(numbers_of(table.column(position)))
        yield table.remove_column(position).take(array_of_numbers(order))


class SortExchange(Exchange):
    """Rows in the order of keys: partitions are ranges of the keys, cut where samples say that they are of like size."""

    needs_samples = True
    name = "Sort"

    def __init__(self, operator: Sort) -> None:
        self._keys = list(operator.keys)
        self._descending = list(operator.descending)
        self._boundaries: list[tuple[Any, ...]] = []
        self._given = operator.boundaries
        self._sorted_parts = True
        if operator.boundaries is not None:
            self.partitions = len(operator.boundaries) + 1

    def before(self, table: pa.Table) -> pa.Table:
        if table.num_columns == 0:
            return table
        check_columns(self._keys, table.column_names, "sort")
        return sort(table, self._keys, self._descending)

    def sample(self, table: pa.Table) -> pa.Table | None:
        if table.num_rows == 0:
            return None
        keys = table.select(self._keys)
        step = max(1, keys.num_rows // _SAMPLES_OF_A_BLOCK)
        return keys.take(array_of_numbers(np.arange(0, keys.num_rows, step)))

    def prepared(self, samples: list[pa.Table], total_rows: int, partitions: int) -> Exchange:
        ready = SortExchange(Sort(None, tuple(self._keys), tuple(self._descending)))  # type: ignore[arg-type]
        if self._given is not None:
            ready._boundaries = [value if isinstance(value, tuple) else (value,) for value in self._given]
        elif partitions > 1 and samples:
            ready._boundaries = sample_boundaries(samples, self._keys, self._descending, partitions)
        return ready

    def early(self, samples: list[pa.Table], partitions: int) -> Exchange:
        ready = self.prepared(samples, 0, partitions)
        assert isinstance(ready, SortExchange)
        ready._sorted_parts = False
        return ready

    def split_early(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        # Rows are put in order once, when partitions are merged.
        if table.num_columns:
            check_columns(self._keys, table.column_names, "sort")
        return self.split(table, first_row, partitions)

    def narrowed(self, partition: int, samples: list[pa.Table], pieces: int) -> Exchange | None:
        found = [next(itertools.islice(self.split(table, 0, partition + 1), partition, None)) for table in samples]
        return self.early([table for table in found if table.num_rows], pieces)

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        if not self._boundaries or table.num_rows == 0:
            return [table, *([slice_rows(table, 0, 0)] * (partitions - 1))]
        parts = partition_by_range(table, self._keys, self._descending, self._boundaries)
        missing = partitions - len(self._boundaries) - 1
        return itertools.chain(parts, [slice_rows(table, 0, 0)] * missing)

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        tables = [table for table in parts if table.num_rows > 0]
        if tables and self._sorted_parts:
            yield merge_sorted(tables, self._keys, self._descending)
        elif tables:
            yield sort(concat(tables), self._keys, self._descending)


class RepartitionExchange(Exchange):
    """The same rows, in order, in so many blocks of like size."""

    needs_rows_before = True
    needs_total = True
    name = "Repartition"

    def __init__(self, operator: Repartition) -> None:
        self.partitions = operator.blocks
        self._total = 0

    def prepared(self, samples: list[pa.Table], total_rows: int, partitions: int) -> Exchange:
        ready = RepartitionExchange(Repartition(None, partitions))  # type: ignore[arg-type]
        ready._total = total_rows
        return ready

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        cuts = [
            min(max(self._total * part // partitions - first_row, 0), table.num_rows) for part in range(partitions + 1)
        ]
        return [slice_rows(table, start, end - start) for start, end in itertools.pairwise(cuts)]

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        table = joined(parts)
        if table is not None:
            yield table


class HashExchange(Exchange):
    """Rows of equal keys in the same block."""

    name = "Repartition"

    def __init__(self, operator: RepartitionKeys) -> None:
        self._keys = list(operator.keys)
        self._sort = operator.sort
        self.partitions = operator.blocks

    def split(self, table: pa.Table, first_row: int, partitions: int) -> Iterable[pa.Table]:
        if table.num_columns == 0:
            return [table] * partitions
        check_columns(self._keys, table.column_names, "repartition")
        return partition_by_hash(table, self._keys, partitions)

    def merge(self, parts: Iterable[pa.Table], partition: int) -> Iterator[pa.Table]:
        table = joined(parts)
        if table is not None:
            yield sort(table, self._keys, [False] * len(self._keys)) if self._sort else table
