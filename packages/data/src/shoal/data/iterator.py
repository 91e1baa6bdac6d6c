"""Loops over data: rows, batches, tensors; of a whole dataset, or of one worker's share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pyarrow as pa

from shoal.data._internal.api.arguments import batch_format as checked_format
from shoal.data._internal.api.arguments import not_negative, positive
from shoal.data._internal.blocks.convert import to_batch, to_rows
from shoal.data._internal.consumption.batching import rebatched, shuffled_batches
from shoal.data._internal.consumption.prefetching import Prefetched
from shoal.data._internal.consumption.torch_batches import chosen_device, torch_batch
from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.context import DataContext
    from shoal.data.dataset import MaterializedDataset
    from shoal.data.schema import Schema

T = TypeVar("T")


class _Loop(Generic[T]):
    """Something to loop over, any number of times: each time begins anew."""

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[T]:
        return self._begin()


class DataIterator(ABC):
    """Blocks to loop over. Each loop begins anew."""

    @abstractmethod
    def _open(self) -> Iterator[pa.Table]:
        """Begins another pass: yields tables with rows, in order."""

    @abstractmethod
    def schema(self) -> Schema | None:
        """Returns columns and types."""

    @abstractmethod
    def stats(self) -> str:
        """Returns how the last pass went."""

    @abstractmethod
    def get_context(self) -> DataContext:
        """Returns the settings that it is run with."""

    @abstractmethod
    def materialize(self) -> MaterializedDataset:
        """Returns one pass over it as a dataset that exists."""

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """Returns rows to loop over, as dicts."""

        def begin() -> Iterator[dict[str, Any]]:
            for table in self._open():
                yield from to_rows(table)

        return _Loop(begin)

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: Literal["default", "numpy", "pandas", "pyarrow"] | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        _collate_fn: Callable[[Any], Any] | None = None,
        _finalize_fn: Callable[[Any], Any] | None = None,
    ) -> Iterable[Any]:
        """Returns batches to loop over.

        Args:
            prefetch_batches: batches that are made ahead, on a thread; 0 for none.
            batch_size: rows of a batch; None for whole blocks.
            batch_format: 'numpy' (dict of arrays), 'pandas', 'pyarrow', None for tables as they are.
            drop_last: leave out the last batch where it has less rows.
            local_shuffle_buffer_size: draw rows at random from so many; None for their order.
            local_shuffle_seed: of those draws.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be.

        Example:
            >>> import shoal
            >>> [len(batch["id"]) for batch in shoal.data.range(5).iter_batches(batch_size=2)]
            [2, 2, 1]
        """
        format_ = checked_format(batch_format)
        size = positive("batch_size", batch_size) if batch_size is not None else None
        ahead = not_negative("prefetch_batches", prefetch_batches)
        if local_shuffle_buffer_size is not None:
            positive("local_shuffle_buffer_size", local_shuffle_buffer_size)
            if size is None:
                raise InvalidArgumentError("local_shuffle_buffer_size needs a batch_size")

        def made() -> Iterator[Any]:
            with closing(self._open()) as tables:  # type: ignore[type-var]
                if local_shuffle_buffer_size is not None:
                    assert size is not None
                    pieces = shuffled_batches(tables, size, drop_last, local_shuffle_buffer_size, local_shuffle_seed)
                else:
                    pieces = rebatched(tables, size, drop_last)
                for piece in pieces:
                    batch = to_batch(piece, format_)
                    yield _collate_fn(batch) if _collate_fn is not None else batch

        def begin() -> Iterator[Any]:
            if ahead == 0:
                yield from map(_finalize_fn, made()) if _finalize_fn is not None else made()
                return
            with closing(Prefetched(made(), ahead)) as batches:
                for batch in batches:
                    yield _finalize_fn(batch) if _finalize_fn is not None else batch

        return _Loop(begin)

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
        """Returns batches of torch tensors to loop over: dicts of column names to tensors.

        Args:
            prefetch_batches: batches that are made ahead, on a thread.
            batch_size: rows of a batch; None for whole blocks.
            dtypes: a torch dtype for all columns, or names to dtypes.
            device: 'auto' for the GPU that this process was given, else the CPU; or a device's name.
            collate_fn: makes what is yielded: of a dict of arrays, or of what its class says (`CollateFn`).
            drop_last: leave out the last batch where it has less rows.
            local_shuffle_buffer_size: draw rows at random from so many.
            local_shuffle_seed: of those draws.
            pin_memory: through page-locked memory.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be, or excludes another.
            BatchTypeError: a column that no tensor can hold.
        """
        from shoal.data.collate_fn import CollateFn, batch_format_of

        if collate_fn is not None and (dtypes is not None or pin_memory):
            raise InvalidArgumentError("collate_fn makes the tensors: give neither dtypes nor pin_memory with it")
        target = chosen_device(device)
        format_ = "numpy"
        if isinstance(collate_fn, CollateFn):
            format_ = batch_format_of(collate_fn)

        def collate(batch: Mapping[str, Any]) -> Any:
            return torch_batch(batch, dtypes, target, pin_memory)

        return self.iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            batch_format=format_,  # type: ignore[arg-type]
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            _collate_fn=collate_fn if collate_fn is not None else collate,
        )

    def to_tf(
        self,
        feature_columns: Any,
        label_columns: Any,
        *,
        additional_columns: Any = None,
        prefetch_batches: int = 1,
        batch_size: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        feature_type_spec: Any = None,
        label_type_spec: Any = None,
        additional_type_spec: Any = None,
    ) -> Any:
        """Returns a tf.data.Dataset of (features, labels), or with `additional_columns` of three; each loop over it is one over this.

        Args:
            feature_columns: a column's name, or a list of names for a dict of arrays.
            label_columns: the same.
            additional_columns: the same; None for none.
            prefetch_batches: batches that are made ahead, on a thread.
            batch_size: rows of a batch.
            drop_last: leave out the last batch where it has less rows.
            local_shuffle_buffer_size: draw rows at random from so many.
            local_shuffle_seed: of those draws.
            feature_type_spec: TensorFlow's; None to find it by the columns.
            label_type_spec: the same.
            additional_type_spec: the same.

        Raises:
            ImportError: tensorflow is not installed.
            ColumnNotFoundError: a column is not there.
        """
        from shoal.data._internal.consumption.tf_dataset import tf_dataset

        more = [] if additional_columns is None else [additional_columns]
        return tf_dataset(
            self,
            [feature_columns, label_columns, *more],
            [feature_type_spec, label_type_spec, *([additional_type_spec] if more else [])],
            {
                "prefetch_batches": prefetch_batches,
                "batch_size": batch_size,
                "drop_last": drop_last,
                "local_shuffle_buffer_size": local_shuffle_buffer_size,
                "local_shuffle_seed": local_shuffle_seed,
            },
        )
