"""Datasets of torch: those with a length and places, and those that are only iterated over."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

import shoal
from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata

_ROWS_A_TABLE = 1_000


class TorchMapSource(Source):
    """What has `__getitem__` and `__len__`, in the order of its places.

    Args:
        dataset: a `torch.utils.data.Dataset`.
    """

    name = "Torch"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def schema(self) -> pa.Schema | None:
        """Not known before an item is made."""
        return None

    def num_rows(self) -> int:
        return len(self._dataset)

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        count = len(self._dataset) if row_limit is None else min(len(self._dataset), row_limit)
        pieces = max(1, min(parallelism, count))
        cuts = [count * piece // pieces for piece in range(pieces + 1)]
        # It may hold all of the data: one copy for all tasks.
        shared = self._dataset
        if pieces > 1 and shoal.is_initialized():
            shared = shoal.put(self._dataset)
        return [
            ReadTask(partial(_tables, partial(_items, shared, start, end)), BlockMetadata(end - start, None))
            for start, end in itertools.pairwise(cuts)
        ]


class TorchIterableSource(Source):
    """What is only iterated over: in one task.

    Args:
        dataset: a `torch.utils.data.IterableDataset`.
    """

    name = "TorchIterable"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def schema(self) -> pa.Schema | None:
        """Not known before an item is made."""
        return None

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        return [ReadTask(partial(_tables, partial(iter, self._dataset)), BlockMetadata(None, None), None, row_limit)]


def _items(shared: Any, start: int, end: int) -> Iterator[Any]:
    dataset = shoal.get(shared) if isinstance(shared, shoal.ObjectRef) else shared
    for place in range(start, end):
        try:
            yield dataset[place]
        except Exception as error:
            error.add_note(f"in from_torch, of item {place} of the dataset")
            raise


def _tables(items: Callable[[], Iterable[Any]]) -> Iterator[pa.Table]:
    remaining = iter(items())
    values = list(itertools.islice(remaining, _ROWS_A_TABLE))
    if not values:
        yield pa.table({"item": pa.nulls(0)})
    while values:
        yield pa.table({"item": array_of([_plain(value) for value in values])})
        values = list(itertools.islice(remaining, _ROWS_A_TABLE))


def _plain(value: Any) -> Any:
    """Tensors within tuples, lists and dicts as arrays, and tuples as lists: what columns can hold."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        array = value.detach().cpu().numpy()
        return array if array.ndim else array[()]
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value
