"""Numbers of Arrow's columns in numpy's arrays and back, by their memory.

Arrow's own ways (`to_numpy`, `pa.array`) load pandas where it is installed: 30 MiB and a third of a second of each worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def numbers_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Returns the values of a column of whole or floating numbers without nulls; a copy where it has several chunks."""
    dtype = _dtype(column.type)
    chunks = [_memory(chunk, dtype) for chunk in column.chunks if len(chunk)]
    if not chunks:
        return np.empty(0, dtype)
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def array_of_numbers(numbers: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Returns the array that has the memory of whole or floating numbers; null where they are missing."""
    validity = None
    if missing is not None and missing.any():
        validity = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    values = pa.py_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), [validity, values])


def array_of_values(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Returns the array of a few values of any type. Raises what `pyarrow.array` does where one is none of its values."""
    is_whole = pa.types.is_int64(kind) and all(type(value) is int and abs(value) < 1 << 63 for value in values)
    if is_whole or (pa.types.is_float64(kind) and all(type(value) is float for value in values)):
        return array_of_numbers(np.array(values, dtype=_dtype(kind)))
    return pa.array(values, kind)


def _memory(chunk: pa.Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(chunk.buffers()[1], dtype, count=len(chunk), offset=chunk.offset * dtype.itemsize)


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    letter = "f" if pa.types.is_floating(kind) else "u" if pa.types.is_unsigned_integer(kind) else "i"
    return np.dtype(f"{letter}{kind.bit_width // 8}")
