"""Columns of arrays: one shape for all rows is Arrow's own fixed-shape tensor type, anything else a type of ours."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.elements import elements_of
from shoal.data._internal.blocks.errors import ArrowConversionError
from shoal.data._internal.blocks.objects import object_array

EXTENSION_NAME = "shoal.data.variable_shaped_tensor"


class ArrowVariableShapedTensorScalar(pa.ExtensionScalar):  # type: ignore[misc] # pyarrow's classes are untyped
    """One array of a column whose rows differ in shape."""

    def as_py(self, **_: Any) -> np.ndarray[Any, Any] | None:
        """The array; None where it is null."""
        if self.value is None:
            return None
        stored = self.value
        return value_array(stored["data"].values).reshape(stored["shape"].as_py())


class ArrowVariableShapedTensorArray(pa.ExtensionArray):  # type: ignore[misc]
    """An Arrow array of tensors that differ in shape.

    Example:
        >>> import numpy as np
        >>> from shoal.data.extensions import ArrowVariableShapedTensorArray
        >>> array = ArrowVariableShapedTensorArray.from_numpy([np.zeros((2, 3)), np.ones((1, 3))])
        >>> [tensor.shape for tensor in array.to_numpy()]
        [(2, 3), (1, 3)]
    """

    @staticmethod
    def from_numpy(
        tensors: Sequence[np.ndarray[Any, Any] | None] | np.ndarray[Any, Any], column_name: str | None = None
    ) -> ArrowVariableShapedTensorArray:
        """Makes a column of arrays; None becomes null.

        Args:
            tensors: arrays of one kind of elements; their shapes, and numbers of dimensions, may differ.
            column_name: for errors.

        Raises:
            ArrowConversionError: if Arrow has no type for the elements.
        """
        array: ArrowVariableShapedTensorArray | None = variable_shaped(list(tensors))
        if array is None:
            reason = "a tensor column has rows whose elements are numbers, booleans or points in time."
            raise ArrowConversionError("an array", reason, column_name)
        return array

    def to_numpy(self, zero_copy_only: bool = False, writable: bool = False) -> np.ndarray[Any, Any]:
        """The tensors: stacked where all have the same shape, otherwise an array of dtype object of them."""
        return _variable_to_numpy(self)

    def to_pylist(self, **_: Any) -> list[np.ndarray[Any, Any] | None]:
        """The tensors, in a list."""
        return _variable_rows(self)


class ArrowVariableShapedTensorType(pa.ExtensionType):  # type: ignore[misc]
    """The Arrow type of columns of tensors that differ in shape.

    Args:
        dtype: the Arrow type of the elements.
        ndim: how many dimensions each row has; None where rows differ in that, too.
    """

    def __init__(self, dtype: pa.DataType, ndim: int | None) -> None:
        self._ndim = ndim
        super().__init__(
            pa.struct([("data", pa.large_list(dtype)), ("shape", pa.list_(pa.int64()))]),
            EXTENSION_NAME,
        )

    @property
    def ndim(self) -> int | None:
        """How many dimensions each row has; None where rows differ."""
        return self._ndim

    @property
    def value_type(self) -> pa.DataType:
        """The Arrow type of the elements."""
        return self.storage_type.field("data").type.value_type

    @property
    def shape(self) -> tuple[None, ...] | None:
        """One None for each dimension; None where rows differ in that."""
        return None if self._ndim is None else (None,) * self._ndim

    def to_pandas_dtype(self) -> Any:
        """pandas' type of such columns, for Arrow's own `to_pandas`."""
        from shoal.data._internal.blocks.pandas_tensors import TensorDtype

        shape = (None,) if self._ndim is None else (None,) * self._ndim
        return TensorDtype(shape, self.value_type.to_pandas_dtype())

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps({"ndim": self._ndim}).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ArrowVariableShapedTensorType:
        return cls(storage_type.field("data").type.value_type, json.loads(serialized)["ndim"])

    def __arrow_ext_class__(self) -> type[ArrowVariableShapedTensorArray]:
        return ArrowVariableShapedTensorArray

    def __arrow_ext_scalar_class__(self) -> type[ArrowVariableShapedTensorScalar]:
        return ArrowVariableShapedTensorScalar

    def __reduce__(self) -> tuple[type[ArrowVariableShapedTensorType], tuple[pa.DataType, int | None]]:
        return ArrowVariableShapedTensorType, (self.value_type, self._ndim)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ArrowVariableShapedTensorType):
            return False
        return bool(self.value_type == other.value_type) and self._ndim == other._ndim

    def __ne__(self, other: object) -> bool:
        # pyarrow's own does not know the method above.
        return not self == other

    def __hash__(self) -> int:
        return hash((EXTENSION_NAME, self.value_type, self._ndim))

    def __str__(self) -> str:
        dimensions = "any" if self._ndim is None else self._ndim
        return f"variable-shaped tensor<{self.value_type}, ndim={dimensions}>"


with contextlib.suppress(pa.ArrowKeyError):  # registered before: the module is being reloaded
    pa.register_extension_type(ArrowVariableShapedTensorType(pa.null(), None))


def is_tensor_type(data_type: pa.DataType) -> bool:
    """Whether each row of such a column is an array."""
    return isinstance(data_type, (pa.FixedShapeTensorType, ArrowVariableShapedTensorType))


def fixed_tensor_type(value_type: pa.DataType, shape: Sequence[int]) -> pa.DataType:
    """The type of columns in which every row is an array of this shape, in C order."""
    return pa.fixed_shape_tensor(value_type, [int(size) for size in shape])


def fixed_shaped(
    values: pa.Array, shape: Sequence[int], rows: int, null_rows: np.ndarray[Any, Any] | None = None
) -> pa.Array:
    """A column of `rows` arrays of one shape.

    Args:
        values: all elements, row after row, in C order.
        shape: of a row.
        rows: how many there are.
        null_rows: a boolean for each row, true where it is null; the elements of such a row are not looked at.
    """
    validity, nulls = None, 0
    if null_rows is not None and (nulls := int(null_rows.sum())):
        validity = pa.array(~null_rows).buffers()[1]
    storage = pa.Array.from_buffers(
        pa.list_(values.type, math.prod(shape)), rows, [validity], null_count=nulls, children=[values]
    )
    return pa.ExtensionArray.from_storage(fixed_tensor_type(values.type, shape), storage)


def variable_shaped(tensors: Sequence[np.ndarray[Any, Any] | None]) -> pa.Array | None:
    """A column of arrays that may differ in shape; None becomes null. None where Arrow has no type for their elements."""
    present = [tensor.ravel() for tensor in tensors if tensor is not None]
    values = elements_of(np.concatenate(present) if present else np.empty(0))
    if values is None:
        return None
    sizes = np.array([0 if tensor is None else tensor.size for tensor in tensors], np.int64)
    return variable_shaped_of(values, sizes, [None if tensor is None else tensor.shape for tensor in tensors])


def variable_shaped_of(
    values: pa.Array,
    sizes: np.ndarray[Any, Any],
    shapes: Sequence[tuple[int, ...] | None],
    column_type: ArrowVariableShapedTensorType | None = None,
) -> pa.Array:
    """A column of arrays out of their elements.

    Args:
        values: all elements, row after row, in C order.
        sizes: how many of them each row has; 0 for null rows.
        shapes: of each row; None for null rows.
        column_type: where the dimensions of other blocks count, too.
    """
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    data = pa.LargeListArray.from_arrays(pa.array(offsets), values)
    ends = np.zeros(len(shapes) + 1, np.int32)
    np.cumsum([0 if shape is None else len(shape) for shape in shapes], out=ends[1:])
    lengths = np.fromiter(chain.from_iterable(shape for shape in shapes if shape is not None), np.int64, ends[-1])
    stored_shapes = pa.ListArray.from_arrays(pa.array(ends), pa.array(lengths))
    if column_type is None:
        dimensions = {len(shape) for shape in shapes if shape is not None}
        column_type = ArrowVariableShapedTensorType(values.type, dimensions.pop() if len(dimensions) == 1 else None)
    storage = pa.StructArray.from_arrays(
        [data, stored_shapes],
        fields=list(column_type.storage_type),
        mask=pa.array([shape is None for shape in shapes], pa.bool_()),
    )
    return pa.ExtensionArray.from_storage(column_type, storage)


def value_array(values: pa.Array) -> np.ndarray[Any, Any]:
    """The elements as numpy has them: a view wherever Arrow's memory allows it."""
    return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def tensor_values(column: pa.Array) -> pa.Array:
    """All elements of a tensor column (not of null rows, where shapes differ), row after row."""
    storage = column.storage
    if isinstance(column.type, pa.FixedShapeTensorType):
        size = storage.type.list_size
        return storage.values.slice(storage.offset * size, len(storage) * size)
    data = storage.field("data")
    offsets = data.offsets
    return data.values.slice(offsets[0].as_py(), offsets[-1].as_py() - offsets[0].as_py())


def tensor_shapes(column: pa.Array) -> list[tuple[int, ...] | None]:
    """The shape of each row; None where it is null."""
    if isinstance(column.type, pa.FixedShapeTensorType):
        shape = tuple(column.type.shape)
        if not column.null_count:
            return [shape] * len(column)
        return [shape if valid else None for valid in column.is_valid().to_pylist()]
    stored = column.storage.field("shape")
    ends = stored.offsets.to_numpy()
    lengths = stored.values.slice(ends[0], ends[-1] - ends[0]).to_numpy().tolist()
    shapes = [tuple(lengths[start:end]) for start, end in pairwise((ends - ends[0]).tolist())]
    if not column.null_count:
        return list(shapes)
    return [shape if valid else None for shape, valid in zip(shapes, column.is_valid().to_pylist(), strict=True)]


def tensors_to_numpy(column: pa.Array) -> np.ndarray[Any, Any]:
    """The rows: stacked into one array where all have one shape and none is null, otherwise an array of dtype object of them."""
    if isinstance(column.type, pa.FixedShapeTensorType):
        stacked = _stacked(column)
        return object_array(_with_nulls(stacked, column)) if column.null_count else stacked
    return _variable_to_numpy(column)


def tensor_rows(column: pa.Array) -> list[np.ndarray[Any, Any] | None]:
    """The rows, each an array, or None where it is null."""
    if isinstance(column.type, pa.FixedShapeTensorType):
        return _with_nulls(_stacked(column), column)
    return _variable_rows(column)


def _stacked(column: pa.Array) -> np.ndarray[Any, Any]:
    column_type = column.type
    shape = tuple(column_type.shape)
    elements = value_array(tensor_values(column))
    if column_type.permutation is None:
        return elements.reshape(len(column), *shape)
    # Arrow's shape is that of the memory; the permutation says in which order its axes are read.
    order = column_type.permutation
    return elements.reshape(len(column), *shape).transpose(0, *(axis + 1 for axis in order))


def _with_nulls(stacked: np.ndarray[Any, Any], column: pa.Array) -> list[np.ndarray[Any, Any] | None]:
    if not column.null_count:
        return list(stacked)
    return [row if valid else None for row, valid in zip(stacked, column.is_valid().to_pylist(), strict=True)]


def _variable_rows(column: pa.Array) -> list[np.ndarray[Any, Any] | None]:
    elements = value_array(tensor_values(column))
    offsets = value_array(column.storage.field("data").offsets)
    bounds = pairwise((offsets - offsets[0]).tolist())
    if column.type.ndim == 1 and not column.null_count:
        return [elements[start:end] for start, end in bounds]
    return [
        None if shape is None else elements[start:end].reshape(shape)
        for shape, (start, end) in zip(tensor_shapes(column), bounds, strict=True)
    ]


def _variable_to_numpy(column: pa.Array) -> np.ndarray[Any, Any]:
    shapes = tensor_shapes(column)
    if shapes and None not in shapes and len(set(shapes)) == 1:
        shape = shapes[0] or ()
        return value_array(tensor_values(column)).reshape(len(shapes), *shape)
    return object_array(_variable_rows(column))
