"""One name for a column's type, whether Arrow, numpy or Python says what it is."""

from __future__ import annotations

import builtins
import datetime
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.blocks.objects import is_object_type
from shoal.data._internal.blocks.tensors import ArrowVariableShapedTensorType, fixed_tensor_type, is_tensor_type
from shoal.data.exceptions import InvalidArgumentError

# What Arrow calls values of these classes: types are asked about by what they hold.
_ARROW_OF_PYTHON: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    bytearray: pa.binary(),
    datetime.datetime: pa.timestamp("us"),
    datetime.date: pa.date32(),
    datetime.time: pa.time64("us"),
    datetime.timedelta: pa.duration("us"),
}
_UNITS = {
    "timestamp": ("s", "ms", "us", "ns"),
    "time32": ("s", "ms"),
    "time64": ("us", "ns"),
    "duration": ("s", "ms", "us", "ns"),
}
_DEFAULT_UNITS = {"timestamp": "us", "time32": "s", "time64": "us", "duration": "us"}


class TypeCategory(enum.StrEnum):
    """Groups of types, for `DataType.is_of`."""

    LIST = "list"
    LARGE_LIST = "large_list"
    STRUCT = "struct"
    MAP = "map"
    TENSOR = "tensor"
    TEMPORAL = "temporal"


@dataclass(frozen=True)
class DataType:
    """The type of a column or of what an expression gives.

    Args:
        _physical_dtype: an Arrow type, a numpy dtype or a Python class.

    Raises:
        TypeError: if it is none of them.

    Example:
        >>> from shoal.data.datatype import DataType
        >>> DataType.list(DataType.int64())
        DataType(arrow:list<item: int64>)
        >>> DataType.from_numpy("float32").is_floating_type()
        True
    """

    _physical_dtype: Any

    def __post_init__(self) -> None:
        if not isinstance(self._physical_dtype, (pa.DataType, np.dtype, type)):
            raise TypeError(
                f"DataType({self._physical_dtype!r}): a type is an Arrow type, a numpy dtype or a Python class, not a "
                f"{type(self._physical_dtype).__name__}. Use DataType.from_dtype for others."
            )

    def __repr__(self) -> str:
        if self.is_arrow_type():
            return f"DataType(arrow:{self._physical_dtype})"
        if self.is_numpy_type():
            return f"DataType(numpy:{self._physical_dtype})"
        return f"DataType(python:{self._physical_dtype.__name__})"

    def __eq__(self, other: object) -> bool:
        # numpy's dtypes also equal the names and classes that stand for them; those are other types here.
        if not isinstance(other, DataType):
            return False
        return self._system() == other._system() and bool(self._physical_dtype == other._physical_dtype)

    def __hash__(self) -> int:
        return hash((self._system(), self._physical_dtype))

    # Made from types of others

    @classmethod
    def from_arrow(cls, arrow_type: pa.DataType) -> DataType:
        """The type that Arrow calls so."""
        return cls(arrow_type)

    @classmethod
    def from_numpy(cls, numpy_dtype: np.dtype[Any] | str) -> DataType:
        """The type that numpy calls so: a dtype or its name.

        Raises:
            TypeError: if numpy has no such type.
        """
        return cls(np.dtype(numpy_dtype))

    @classmethod
    def from_dtype(cls, dtype: Any) -> DataType | None:
        """The type of any library's description of one.

        Args:
            dtype: of Arrow, numpy, pandas or Python, or the name of a numpy one; a `DataType` and None are given back as they are.

        Returns:
            None where it describes no type.
        """
        if dtype is None or isinstance(dtype, DataType):
            return dtype
        if isinstance(dtype, (pa.DataType, np.dtype)):
            return cls(dtype)
        if isinstance(dtype, type) and not issubclass(dtype, np.generic):
            return cls(dtype)
        arrow_type = getattr(dtype, "pyarrow_dtype", None)
        if arrow_type is not None:
            return cls(arrow_type)
        if type(dtype).__name__ == "StringDtype":  # pandas' dtype, which stands for no numpy one
            return cls(pa.string())
        try:
            return cls(np.dtype(getattr(dtype, "numpy_dtype", dtype)))
        except TypeError:
            return None

    @classmethod
    def infer_dtype(cls, value: Any) -> DataType:
        """The type of a value: numpy's for values of numpy, Arrow's for what Arrow can hold, the value's class for the rest."""
        if isinstance(value, (np.ndarray, np.generic)):
            return cls(value.dtype)
        arrow_type = array_of([value]).type
        return cls(type(value) if is_object_type(arrow_type) else arrow_type)

    # Made by name

    @classmethod
    def int8(cls) -> DataType:
        """Signed integers of 8 bits."""
        return cls(pa.int8())

    @classmethod
    def int16(cls) -> DataType:
        """Signed integers of 16 bits."""
        return cls(pa.int16())

    @classmethod
    def int32(cls) -> DataType:
        """Signed integers of 32 bits."""
        return cls(pa.int32())

    @classmethod
    def int64(cls) -> DataType:
        """Signed integers of 64 bits."""
        return cls(pa.int64())

    @classmethod
    def uint8(cls) -> DataType:
        """Unsigned integers of 8 bits."""
        return cls(pa.uint8())

    @classmethod
    def uint16(cls) -> DataType:
        """Unsigned integers of 16 bits."""
        return cls(pa.uint16())

    @classmethod
    def uint32(cls) -> DataType:
        """Unsigned integers of 32 bits."""
        return cls(pa.uint32())

    @classmethod
    def uint64(cls) -> DataType:
        """Unsigned integers of 64 bits."""
        return cls(pa.uint64())

    @classmethod
    def float32(cls) -> DataType:
        """Floating-point numbers of 32 bits."""
        return cls(pa.float32())

    @classmethod
    def float64(cls) -> DataType:
        """Floating-point numbers of 64 bits."""
        return cls(pa.float64())

    @classmethod
    def string(cls) -> DataType:
        """Strings."""
        return cls(pa.string())

    @classmethod
    def bool(cls) -> DataType:
        """Booleans."""
        return cls(pa.bool_())

    @classmethod
    def binary(cls) -> DataType:
        """Bytes."""
        return cls(pa.binary())

    @classmethod
    def list(cls, value_type: DataType) -> DataType:
        """Lists of values of one type."""
        return cls(pa.list_(value_type.to_arrow_dtype()))

    @classmethod
    def large_list(cls, value_type: DataType) -> DataType:
        """Lists of values of one type, more than two thousand million of them in one block."""
        return cls(pa.large_list(value_type.to_arrow_dtype()))

    @classmethod
    def fixed_size_list(cls, value_type: DataType, list_size: int) -> DataType:
        """Lists that all have `list_size` values."""
        return cls(pa.list_(value_type.to_arrow_dtype(), list_size))

    @classmethod
    def struct(cls, fields: Sequence[tuple[str, DataType]]) -> DataType:
        """Records: a name and a type for each field."""
        return cls(pa.struct([(name, field.to_arrow_dtype()) for name, field in fields]))

    @classmethod
    def map(cls, key_type: DataType, value_type: DataType) -> DataType:
        """Mappings of keys to values."""
        return cls(pa.map_(key_type.to_arrow_dtype(), value_type.to_arrow_dtype()))

    @classmethod
    def tensor(cls, shape: Sequence[int], dtype: DataType) -> DataType:
        """Arrays that all have one shape."""
        return cls(fixed_tensor_type(dtype.to_arrow_dtype(), shape))

    @classmethod
    def variable_shaped_tensor(cls, dtype: DataType, ndim: int = 2) -> DataType:
        """Arrays of `ndim` dimensions that differ in shape."""
        return cls(ArrowVariableShapedTensorType(dtype.to_arrow_dtype(), ndim))

    @classmethod
    def temporal(cls, temporal_type: str, unit: str | None = None, tz: str | None = None) -> DataType:
        """Points in time, times of day, and durations.

        Args:
            temporal_type: 'timestamp', 'date32' (days), 'date64' (milliseconds), 'time32', 'time64' or 'duration'.
            unit: 's', 'ms', 'us' or 'ns'; 'time32' has the first two, 'time64' the last two. Default: 's' for 'time32', otherwise 'us'.
            tz: a timestamp's time zone ('UTC', 'Europe/Rome').

        Raises:
            InvalidArgumentError: if there is no such type, or it has no such unit.
        """
        kind = temporal_type.lower()
        if kind in {"date32", "date64"}:
            return cls(getattr(pa, kind)())
        if kind not in _UNITS:
            kinds = ", ".join(map(repr, (*_UNITS, "date32", "date64")))
            raise InvalidArgumentError(f"temporal_type={temporal_type!r}: there is no such type. Use one of {kinds}.")
        unit = unit or _DEFAULT_UNITS[kind]
        if unit not in _UNITS[kind]:
            units = ", ".join(map(repr, _UNITS[kind]))
            raise InvalidArgumentError(f"unit={unit!r}: {kind} has no such unit. Use one of {units}.")
        return cls(pa.timestamp(unit, tz=tz) if kind == "timestamp" else getattr(pa, kind)(unit))

    # Given to others

    def to_arrow_dtype(self, values: Sequence[Any] | None = None) -> pa.DataType:
        """Arrow's type.

        Args:
            values: some of the column, from which to tell the type of a Python class that does not say it (`list`).

        Raises:
            InvalidArgumentError: if it cannot be told.
        """
        if values is not None and self.is_python_type():
            return array_of(builtins.list(values)).type
        arrow_type = self._as_arrow()
        if arrow_type is None:
            raise InvalidArgumentError(
                f"{self} does not say which Arrow type its values have; pass some of them as `values`."
            )
        return arrow_type

    def to_numpy_dtype(self) -> np.dtype[Any]:
        """numpy's type; object where numpy has none."""
        if self.is_numpy_type():
            numpy_dtype: np.dtype[Any] = self._physical_dtype
            return numpy_dtype
        if self.is_python_type() or isinstance(self._physical_dtype, pa.BaseExtensionType):
            return np.dtype(object)
        try:
            numpy_dtype = np.dtype(self._physical_dtype.to_pandas_dtype())
        except (NotImplementedError, TypeError):
            return np.dtype(object)
        return numpy_dtype

    def to_python_type(self) -> type:
        """The Python class.

        Raises:
            ValueError: if the type is Arrow's or numpy's.
        """
        if not self.is_python_type():
            raise InvalidArgumentError(f"{self} is no Python class; use to_arrow_dtype() or to_numpy_dtype().")
        return self._physical_dtype  # type: ignore[no-any-return]

    # Questions

    def is_arrow_type(self) -> builtins.bool:
        """Whether it is a type of Arrow."""
        return isinstance(self._physical_dtype, pa.DataType)

    def is_numpy_type(self) -> builtins.bool:
        """Whether it is a type of numpy."""
        return isinstance(self._physical_dtype, np.dtype)

    def is_python_type(self) -> builtins.bool:
        """Whether it is a Python class."""
        return isinstance(self._physical_dtype, type)

    def is_of(self, category: TypeCategory | str) -> builtins.bool:
        """Whether it belongs to a group of types; False for a group that does not exist."""
        questions: dict[str, Callable[[], builtins.bool]] = {
            TypeCategory.LIST.value: self.is_list_type,
            TypeCategory.LARGE_LIST.value: lambda: self._is(pa.types.is_large_list),
            TypeCategory.STRUCT.value: self.is_struct_type,
            TypeCategory.MAP.value: self.is_map_type,
            TypeCategory.TENSOR.value: self.is_tensor_type,
            TypeCategory.TEMPORAL.value: self.is_temporal_type,
        }
        name = category.value if isinstance(category, TypeCategory) else category
        return name in questions and questions[name]()

    def is_list_type(self) -> builtins.bool:
        """Whether values are lists, of any size."""
        types = pa.types
        return self._is(
            types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view
        )

    def is_tensor_type(self) -> builtins.bool:
        """Whether values are arrays, of one shape or of many."""
        return self._is(is_tensor_type)

    def is_struct_type(self) -> builtins.bool:
        """Whether values are records."""
        return self._is(pa.types.is_struct)

    def is_map_type(self) -> builtins.bool:
        """Whether values are mappings."""
        return self._is(pa.types.is_map)

    def is_nested_type(self) -> builtins.bool:
        """Whether values consist of others: lists, records, mappings."""
        return self._is(pa.types.is_nested)

    def is_null_type(self) -> builtins.bool:
        """Whether there are nulls only."""
        return self._is(pa.types.is_null)

    def is_boolean_type(self) -> builtins.bool:
        """Whether values are booleans."""
        return self._is(pa.types.is_boolean)

    def is_integer_type(self) -> builtins.bool:
        """Whether values are integers; booleans are not."""
        return self._is(pa.types.is_integer)

    def is_floating_type(self) -> builtins.bool:
        """Whether values are floating-point numbers."""
        return self._is(pa.types.is_floating)

    def is_uint64_type(self) -> builtins.bool:
        """Whether values are unsigned integers of 64 bits."""
        return self._is(pa.types.is_uint64)

    def is_numerical_type(self) -> builtins.bool:
        """Whether one can calculate with the values: integers, floats, decimals, complex numbers."""
        is_complex = self._physical_dtype is complex or (self.is_numpy_type() and self._physical_dtype.kind == "c")
        return is_complex or self._is(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)

    def is_string_type(self) -> builtins.bool:
        """Whether values are strings."""
        return self._is(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)

    def is_binary_type(self) -> builtins.bool:
        """Whether values are bytes."""
        types = pa.types
        return self._is(types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)

    def is_temporal_type(self) -> builtins.bool:
        """Whether values are dates, times, points in time or durations."""
        return self._is(pa.types.is_temporal)

    def _system(self) -> str:
        return "arrow" if self.is_arrow_type() else "numpy" if self.is_numpy_type() else "python"

    def _is(self, *tests: Callable[[pa.DataType], builtins.bool]) -> builtins.bool:
        arrow_type = self._as_arrow()
        if arrow_type is None:
            return False
        if pa.types.is_dictionary(arrow_type) or pa.types.is_run_end_encoded(arrow_type):
            arrow_type = arrow_type.value_type  # a way to store the values
        return any(test(arrow_type) for test in tests)

    def _as_arrow(self) -> pa.DataType | None:
        if self.is_arrow_type():
            return self._physical_dtype
        if self.is_python_type():
            return _ARROW_OF_PYTHON.get(self._physical_dtype)
        if self._physical_dtype.kind in "US":
            return pa.string()
        if self._physical_dtype.kind == "V":
            return pa.binary()
        try:
            return pa.from_numpy_dtype(self._physical_dtype)
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
            return None
