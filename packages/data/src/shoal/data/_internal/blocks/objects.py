"""Columns of Python objects: each value is pickled.

The type is deliberately not registered with Arrow: a file that names it would otherwise run whatever its pickles say as soon as its rows
are looked at. Pickled tables carry the type as a class, so it survives between processes of a job; Arrow IPC and Parquet keep the bytes,
and `restore_objects` brings back the objects of a stream that the job itself has written.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from shoal import cloudpickle
from shoal.data._internal.blocks.errors import ArrowConversionError

EXTENSION_NAME = "shoal.data.python_object"
_FIELD_METADATA_NAME = b"ARROW:extension:name"


class ArrowPythonObjectScalar(pa.ExtensionScalar):  # type: ignore[misc] # pyarrow's classes are untyped
    """One pickled object."""

    def as_py(self, **_: Any) -> Any:
        """The object itself; None where it is null."""
        return None if self.value is None else pickle.loads(self.value.as_py())


class ArrowPythonObjectArray(pa.ExtensionArray):  # type: ignore[misc]
    """An Arrow array of pickled Python objects.

    Example:
        >>> from shoal.data.extensions import ArrowPythonObjectArray
        >>> ArrowPythonObjectArray.from_objects([{1, 2}, None]).to_pylist()
        [{1, 2}, None]
    """

    @staticmethod
    def from_objects(objects: Iterable[Any]) -> ArrowPythonObjectArray:
        """Pickles objects; None becomes null.

        Raises:
            ArrowConversionError: if one of them cannot be pickled.
        """
        storage = pa.array([None if value is None else _pickled(value) for value in objects], pa.large_binary())
        array: ArrowPythonObjectArray = pa.ExtensionArray.from_storage(ArrowPythonObjectType(), storage)
        return array

    def __iter__(self) -> Iterator[Any]:
        """Yields Arrow scalars, as every Arrow array does."""
        return (self[index] for index in range(len(self)))

    def to_pylist(self, **_: Any) -> list[Any]:
        """The objects, in a list."""
        return [None if pickled is None else pickle.loads(pickled) for pickled in self.storage.to_pylist()]

    def to_numpy(self, zero_copy_only: bool = False, writable: bool = True) -> np.ndarray[Any, Any]:
        """The objects, in a one-dimensional array of dtype object."""
        return object_array(self.to_pylist())


class ArrowPythonObjectType(pa.ExtensionType):  # type: ignore[misc]
    """The Arrow type of columns of pickled Python objects."""

    def __init__(self) -> None:
        super().__init__(pa.large_binary(), EXTENSION_NAME)

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ArrowPythonObjectType:
        return cls()

    def __arrow_ext_class__(self) -> type[ArrowPythonObjectArray]:
        return ArrowPythonObjectArray

    def __arrow_ext_scalar_class__(self) -> type[ArrowPythonObjectScalar]:
        return ArrowPythonObjectScalar

    def __reduce__(self) -> tuple[type[ArrowPythonObjectType], tuple[()]]:
        return ArrowPythonObjectType, ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrowPythonObjectType)

    def __ne__(self, other: object) -> bool:
        # pyarrow's own does not know the method above.
        return not self == other

    def __hash__(self) -> int:
        return hash(EXTENSION_NAME)

    def __str__(self) -> str:
        return "python object"


def is_object_type(data_type: pa.DataType) -> bool:
    """Whether columns of this type hold pickled objects."""
    return isinstance(data_type, ArrowPythonObjectType)


def object_array(values: list[Any]) -> np.ndarray[Any, Any]:
    """A one-dimensional array of dtype object of these values, whatever they are (numpy would look into sequences)."""
    return np.fromiter(values, dtype=object, count=len(values))


def restore_objects(table: pa.Table) -> pa.Table:
    """Gives back the objects of a table that went through Arrow IPC or Parquet.

    Only for what this job wrote itself: reading rows of it unpickles.
    """
    for index, field in enumerate(table.schema):
        if (field.metadata or {}).get(_FIELD_METADATA_NAME) != EXTENSION_NAME.encode() or is_object_type(field.type):
            continue
        chunks = [
            pa.ExtensionArray.from_storage(ArrowPythonObjectType(), chunk.cast(pa.large_binary()))
            for chunk in table.column(index).chunks
        ]
        table = table.set_column(index, field.name, pa.chunked_array(chunks, ArrowPythonObjectType()))
    return table


def _pickled(value: Any) -> bytes:
    try:
        pickled: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # what `__reduce__` of a foreign class raises can be anything
        name = type(value).__qualname__
        raise ArrowConversionError(
            f"a value of the type {name}",
            f"Arrow has no type for it, and it cannot be pickled ({type(error).__name__}: {error}). Return plain values, arrays or "
            "objects that can be pickled; make connections, locks and open files where they are used.",
        ) from error
    return pickled
