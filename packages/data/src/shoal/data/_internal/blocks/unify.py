"""One type for columns that should be one: which it is, and how to get there."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.blocks.objects import ArrowPythonObjectArray, ArrowPythonObjectType, is_object_type
from shoal.data._internal.blocks.tensors import (
    ArrowVariableShapedTensorType,
    fixed_shaped,
    is_tensor_type,
    tensor_rows,
    tensor_shapes,
    tensor_values,
    variable_shaped_of,
)


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both; None where there is none.

    Numbers widen as in numpy (int64 with uint64 stays int64: a value beyond it is an error, not a rounded float), nulls take the other's
    type, tensors of other shapes become variable-shaped, anything beside Python objects becomes Python objects.
    """
    if left == right:
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_null(right):
        return left
    if is_object_type(left) or is_object_type(right):
        return ArrowPythonObjectType()
    if is_tensor_type(left) and is_tensor_type(right):
        return _common_tensor(left, right)
    if isinstance(left, pa.BaseExtensionType) or isinstance(right, pa.BaseExtensionType):
        return None
    for rule in (_common_encoded, _common_number, _common_struct, _common_list, _common_string):
        found = rule(left, right)
        if found is not None:
            return found
    return _common_in_arrow(left, right)


def cast_column(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """The column in a type that `common_type` found.

    Raises:
        pyarrow.ArrowInvalid: if a value does not fit (an integer beyond int64).
    """
    if column.type == target:
        return column
    return pa.chunked_array([cast_array(chunk, target) for chunk in column.chunks], target)


def cast_array(array: pa.Array, target: pa.DataType) -> pa.Array:
    """As `cast_column`, for one chunk."""
    source = array.type
    if source == target:
        return array
    if pa.types.is_null(source):
        return pa.nulls(len(array), target)
    if is_object_type(target):
        return ArrowPythonObjectArray.from_objects(tensor_rows(array) if is_tensor_type(source) else array.to_pylist())
    if is_tensor_type(target):
        return _cast_tensors(array, target)
    if pa.types.is_dictionary(source) and not pa.types.is_dictionary(target):
        return cast_array(array.dictionary_decode(), target)
    if pa.types.is_run_end_encoded(source):
        return cast_array(pc.run_end_decode(array), target)
    if pa.types.is_struct(target):
        return _cast_structs(array, target)
    if _is_var_list(target):
        return _cast_lists(array, target)
    # An integer beyond 2**53 is rounded when it becomes a float, as everywhere in numpy and pandas.
    return array.cast(target, safe=not pa.types.is_floating(target))


def _common_tensor(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    value_type = common_type(left.value_type, right.value_type)
    if value_type is None:
        return None
    both_fixed = isinstance(left, pa.FixedShapeTensorType) and isinstance(right, pa.FixedShapeTensorType)
    if both_fixed and list(left.shape) == list(right.shape) and left.permutation is None and right.permutation is None:
        return pa.fixed_shape_tensor(value_type, left.shape)
    ndims = {_ndim(left), _ndim(right)}
    return ArrowVariableShapedTensorType(value_type, ndims.pop() if len(ndims) == 1 else None)


def _ndim(tensor_type: pa.DataType) -> int | None:
    if isinstance(tensor_type, ArrowVariableShapedTensorType):
        return tensor_type.ndim
    return len(tensor_type.shape)


def _common_encoded(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """A dictionary is a way to store values: two of them with one kind of values stay one, otherwise the values count."""
    if not (_is_encoded(left) or _is_encoded(right)):
        return None
    left_values = left.value_type if _is_encoded(left) else left
    right_values = right.value_type if _is_encoded(right) else right
    both_dictionaries = pa.types.is_dictionary(left) and pa.types.is_dictionary(right)
    if both_dictionaries and left_values == right_values:
        index = common_type(left.index_type, right.index_type)
        return pa.dictionary(index, left_values, ordered=left.ordered and right.ordered)
    return common_type(left_values, right_values)


def _common_number(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if not (_is_number(left) and _is_number(right)):
        return None
    if {left, right} == {pa.int64(), pa.uint64()} or (
        pa.uint64() in (left, right) and pa.types.is_signed_integer(left if right == pa.uint64() else right)
    ):
        return pa.int64()
    return pa.from_numpy_dtype(np.result_type(left.to_pandas_dtype(), right.to_pandas_dtype()))


def _common_struct(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if not (pa.types.is_struct(left) and pa.types.is_struct(right)):
        return None
    fields: dict[str, pa.DataType] = {field.name: field.type for field in left}
    for field in right:
        found = common_type(fields.get(field.name, pa.null()), field.type)
        if found is None:
            return None
        fields[field.name] = found
    return pa.struct(list(fields.items()))


def _common_list(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if not (_is_list(left) and _is_list(right)):
        return None
    value_type = common_type(left.value_type, right.value_type)
    if value_type is None:
        return None
    if pa.types.is_fixed_size_list(left) and pa.types.is_fixed_size_list(right) and left.list_size == right.list_size:
        return pa.list_(value_type, left.list_size)
    if pa.types.is_large_list(left) or pa.types.is_large_list(right):
        return pa.large_list(value_type)
    return pa.list_(value_type)


def _common_string(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    types = pa.types
    for is_kind, large in (
        (_any_of(types.is_string, types.is_large_string, types.is_string_view), pa.large_string()),
        (
            _any_of(types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary),
            pa.large_binary(),
        ),
    ):
        if is_kind(left) and is_kind(right):
            return large
    return None


def _any_of(*tests: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    return lambda data_type: any(test(data_type) for test in tests)


def _common_in_arrow(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """What Arrow's own promotion knows: decimals, units of time, maps."""
    if {_is_text(left), _is_text(right)} == {True, False}:
        return None  # Arrow would make bytes of strings beside bytes
    schemas = [pa.schema([("", data_type)]) for data_type in (left, right)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowTypeError:
        return None


def _cast_tensors(array: pa.Array, target: pa.DataType) -> pa.Array:
    if array.type.value_type != target.value_type:
        values = cast_array(tensor_values(array), target.value_type)
    else:
        values = tensor_values(array)
    shapes = tensor_shapes(array)
    if isinstance(target, pa.FixedShapeTensorType):
        null_rows = np.array([shape is None for shape in shapes], bool)
        return fixed_shaped(values, target.shape, len(array), null_rows)
    if isinstance(array.type, pa.FixedShapeTensorType) and array.null_count:
        # Null rows of one shape have elements, those of many shapes have none.
        keep = np.repeat(array.is_valid().to_numpy(zero_copy_only=False), math.prod(array.type.shape))
        values = values.filter(pa.array(keep))
    sizes = np.array([0 if shape is None else math.prod(shape) for shape in shapes], np.int64)
    return variable_shaped_of(values, sizes, shapes, target)


def _cast_structs(array: pa.StructArray, target: pa.StructType) -> pa.Array:
    present = {field.name for field in array.type}
    children = [
        cast_array(array.field(field.name), field.type) if field.name in present else pa.nulls(len(array), field.type)
        for field in target
    ]
    return pa.StructArray.from_arrays(children, fields=list(target), mask=array.is_null())


def _cast_lists(array: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    offsets = array.offsets
    first = offsets[0]
    values = array.values.slice(first.as_py(), offsets[-1].as_py() - first.as_py())
    large = pa.types.is_large_list(target)
    offsets = pc.subtract(offsets, first).cast(pa.int64() if large else pa.int32())
    kind = pa.LargeListArray if large else pa.ListArray
    mask = array.is_null() if array.null_count else None
    return kind.from_arrays(offsets, cast_array(values, target.value_type), type=target, mask=mask)


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(data_type) or pa.types.is_floating(data_type))


def _is_encoded(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(data_type) or pa.types.is_run_end_encoded(data_type))


def _is_text(data_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    )


def _is_var_list(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_list(data_type) or pa.types.is_large_list(data_type))


def _is_list(data_type: pa.DataType) -> bool:
    return _is_var_list(data_type) or bool(pa.types.is_fixed_size_list(data_type))
