"""Tensors as a column of a DataFrame: one numpy array below, whose rows are the column's values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from shoal.data._internal.blocks.errors import ArrowConversionError
from shoal.data._internal.blocks.tensors import tensors_to_numpy
from shoal.data._internal.blocks.values import column_of_stack, column_of_tensors
from shoal.data.exceptions import InvalidArgumentError


@pd.api.extensions.register_extension_dtype
class TensorDtype(pd.api.extensions.ExtensionDtype):  # type: ignore[misc] # pandas' classes are untyped
    """pandas' type of columns in which each value is an array.

    Args:
        shape: of one value; None for a size that differs from row to row.
        dtype: numpy's type of the elements.
    """

    base = None
    type = np.ndarray
    _NAME = re.compile(r"numpy\.ndarray\(shape=\((?P<shape>[^)]*)\), dtype=(?P<dtype>.+)\)")

    def __init__(self, shape: Sequence[int | None], dtype: Any) -> None:
        self._shape = tuple(shape)
        self._dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def element_dtype(self) -> np.dtype[Any]:
        """numpy's type of the elements."""
        return self._dtype

    @property
    def element_shape(self) -> tuple[int | None, ...]:
        """The shape of one value."""
        return self._shape

    @property
    def is_variable_shaped(self) -> bool:
        """Whether shapes differ from row to row."""
        return None in self._shape

    @property
    def name(self) -> str:
        """The type as text, which `construct_from_string` reads."""
        shape = ", ".join(map(str, self._shape)) + ("," if len(self._shape) == 1 else "")
        return f"numpy.ndarray(shape=({shape}), dtype={self._dtype.name})"

    @classmethod
    def construct_from_string(cls, string: str) -> TensorDtype:
        """The type of this name.

        Raises:
            TypeError: if the text names none.
        """
        match = cls._NAME.fullmatch(string) if isinstance(string, str) else None  # pandas passes anything
        if match is None:
            raise TypeError(f"Cannot construct a 'TensorDtype' from {string!r}")
        sizes = [size.strip() for size in match["shape"].split(",") if size.strip()]
        return cls([None if size == "None" else int(size) for size in sizes], match["dtype"])

    @classmethod
    def construct_array_type(cls) -> Any:
        """The class of the columns."""
        return TensorArray

    def __from_arrow__(self, array: pa.Array | pa.ChunkedArray) -> TensorArray:
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
        return TensorArray(tensors_to_numpy(array))

    def __hash__(self) -> int:
        return hash((self._shape, self._dtype))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.name == other
        return isinstance(other, TensorDtype) and (self._shape, self._dtype) == (other._shape, other._dtype)


class TensorArray(pd.api.extensions.ExtensionArray):  # type: ignore[misc]
    """A DataFrame's column whose values are arrays.

    Args:
        values: an array of two dimensions or more whose first counts the rows, or a sequence of arrays, which may differ in shape, with
            None where one is missing.

    Raises:
        InvalidArgumentError: if the values have no dimensions of their own.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from shoal.data.extensions import TensorArray
        >>> frame = pd.DataFrame({"image": TensorArray(np.zeros((3, 2, 2)))})
        >>> frame["image"].iloc[0].shape
        (2, 2)
    """

    def __init__(self, values: np.ndarray[Any, Any] | Sequence[np.ndarray[Any, Any] | None]) -> None:
        if isinstance(values, np.ndarray) and values.dtype != object:
            stack = values
        else:
            stack = _stacked([None if value is None else np.asarray(value) for value in values])
        if stack.dtype != object and stack.ndim < 2:
            raise InvalidArgumentError(
                f"TensorArray: each value is an array, but the values have the shape {stack.shape}."
            )
        self._values: np.ndarray[Any, Any] = stack

    @property
    def dtype(self) -> TensorDtype:
        """Shape and type of the values."""
        if self._values.dtype != object:
            return TensorDtype(self._values.shape[1:], self._values.dtype)
        present = [value for value in self._values if value is not None]
        if not present:
            return TensorDtype((None,), np.float64)
        return TensorDtype((None,) * present[0].ndim, np.result_type(*{value.dtype for value in present}))

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        if self._values.dtype != object:
            return int(self._values.nbytes)
        return sum(value.nbytes for value in self._values if value is not None)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, item: Any) -> Any:
        item = pd.api.indexers.check_array_indexer(self, item)
        if isinstance(item, (int, np.integer)):
            return self._values[item]
        return TensorArray(self._values[item])

    def __setitem__(self, key: Any, value: Any) -> None:
        key = pd.api.indexers.check_array_indexer(self, key)
        self._values[key] = value._values if isinstance(value, TensorArray) else value

    def __eq__(self, other: object) -> Any:
        """Where all elements of a value are equal; a boolean for each row."""
        if isinstance(other, (pd.Series, pd.DataFrame, pd.Index)):
            return NotImplemented
        others: list[Any] = list(other) if isinstance(other, TensorArray) else [other] * len(self)
        return np.array([np.array_equal(mine, theirs) for mine, theirs in zip(self, others, strict=True)], bool)

    __hash__ = None  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return self._values if dtype is None or dtype == self._values.dtype else self._values.astype(dtype)

    def __arrow_array__(self, type: pa.DataType | None = None) -> pa.Array:
        if self._values.dtype != object:
            column = column_of_stack(self._values)
        else:
            column = column_of_tensors(list(self._values))
        if column is None:
            raise ArrowConversionError(
                "a TensorArray", f"Arrow has no type for elements of the dtype {self._values.dtype}."
            )
        return column

    def isna(self) -> np.ndarray[Any, Any]:
        """Which values are missing."""
        if self._values.dtype != object:
            return np.zeros(len(self), bool)
        return np.array([value is None for value in self._values], bool)

    def copy(self) -> TensorArray:
        """A copy with memory of its own."""
        if self._values.dtype != object:
            return TensorArray(self._values.copy())
        return TensorArray([None if value is None else value.copy() for value in self._values])

    def take(self, indices: Sequence[int], allow_fill: bool = False, fill_value: Any = None) -> TensorArray:
        """The values at these places.

        Args:
            indices: 0 is the first; negative ones count from the end, unless `allow_fill`: then -1 is the fill value.
            allow_fill: as in pandas.
            fill_value: an array of the shape of the values, or None for NaN (zero for integers, which have no NaN).
        """
        places = np.asarray(indices, np.int64)
        if not allow_fill or not (places < 0).any():
            return TensorArray(self._values[places])
        if self._values.dtype == object or not len(self):
            raise ValueError(
                "missing values cannot be filled in a column of tensors that differ in shape or that has no rows"
            )
        if fill_value is None or fill_value is pd.NA:
            fill_value = np.nan
        dtype = np.result_type(self._values.dtype, np.float64) if _is_nan(fill_value) else self._values.dtype
        taken = self._values[places].astype(dtype)
        taken[places < 0] = fill_value
        return TensorArray(taken)

    def to_numpy(self, dtype: Any = None, copy: bool = False, na_value: Any = None) -> np.ndarray[Any, Any]:
        """The stacked values, or an array of objects where shapes differ."""
        values = self._values if dtype is None else self._values.astype(dtype)
        return values.copy() if copy else values

    @classmethod
    def _from_sequence(cls, scalars: Any, *, dtype: Any = None, copy: bool = False) -> TensorArray:
        made = cls(scalars)
        return made.copy() if copy else made

    @classmethod
    def _from_factorized(cls, values: Any, original: Any) -> TensorArray:
        raise NotImplementedError("columns of tensors cannot be factorised")

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[TensorArray]) -> TensorArray:
        return cls([value for part in to_concat for value in part])

    def _formatter(self, boxed: bool = False) -> Any:
        return repr if not boxed else str


def _stacked(values: list[np.ndarray[Any, Any] | None]) -> np.ndarray[Any, Any]:
    present = [value for value in values if value is not None]
    if present and len(present) == len(values) and len({value.shape for value in present}) == 1:
        return np.stack(present)
    rows = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        rows[index] = value
    return rows


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
