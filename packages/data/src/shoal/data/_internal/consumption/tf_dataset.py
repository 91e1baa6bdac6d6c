"""Data as a tf.data.Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyarrow.types import is_nested

from shoal.data._internal.blocks.convert import to_batch
from shoal.data.exceptions import ColumnNotFoundError

if TYPE_CHECKING:
    from shoal.data.iterator import DataIterator


def tf_dataset(iterator: DataIterator, columns: list[Any], specs: list[Any], batch_options: Mapping[str, Any]) -> Any:
    """Returns a tf.data.Dataset whose items have one part for each entry of `columns`: an array for a name, a dict for a list.

    Raises:
        ImportError: tensorflow is not installed.
        ColumnNotFoundError: a column is not there.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError("to_tf needs tensorflow: pip install tensorflow") from error
    names = [name for entry in columns for name in ([entry] if isinstance(entry, str) else entry)]
    first = _example(iterator, names)
    for name in names:
        if name not in first:
            raise ColumnNotFoundError(name, list(first), "to_tf")

    def part(batch: Mapping[str, Any], entry: Any) -> Any:
        return batch[entry] if isinstance(entry, str) else {name: batch[name] for name in entry}

    def spec(entry: Any, given: Any) -> Any:
        if given is not None:
            return given
        if isinstance(entry, str):
            array = first[entry]
            return tf.TensorSpec(shape=(None, *array.shape[1:]), dtype=tf.dtypes.as_dtype(array.dtype), name=entry)
        return {name: spec(name, None) for name in entry}

    def generate() -> Iterator[Any]:
        for batch in iterator.iter_batches(**batch_options):
            yield tuple(part(batch, entry) for entry in columns)

    signature = tuple(spec(entry, given) for entry, given in zip(columns, specs, strict=True))
    return tf.data.Dataset.from_generator(generate, output_signature=signature)


def _example(iterator: DataIterator, names: Sequence[str]) -> Mapping[str, Any]:
    """Returns a batch whose arrays have the types and shapes of all batches: an empty one where the schema tells."""
    # A loop over a worker's share for the sake of one row would count as a pass.
    schema = iterator.schema()
    if schema is not None:
        table = schema.base_schema.empty_table()
        if not any(name in table.column_names and is_nested(table.schema.field(name).type) for name in names):
            batch: Mapping[str, Any] = to_batch(table, "numpy")
            return batch
    first: Mapping[str, Any] = next(iter(iterator.iter_batches(batch_size=1, prefetch_batches=0)), {})
    return first
