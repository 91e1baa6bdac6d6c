"""Ray's names for Arrow's own fixed-shape tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.errors import ArrowConversionError
from shoal.data._internal.blocks.tensors import fixed_tensor_type
from shoal.data._internal.blocks.values import column_of_stack, column_of_tensors


class _TypeAlias(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, pa.FixedShapeTensorType)


class _ArrayAlias(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, pa.FixedShapeTensorArray)


class ArrowTensorType(metaclass=_TypeAlias):
    """Makes the Arrow type of columns in which every row is an array of one shape: `pyarrow.fixed_shape_tensor`.

    Args:
        shape: of one row.
        dtype: the Arrow type of the elements.

    Example:
        >>> import pyarrow as pa
        >>> from shoal.data.extensions import ArrowTensorType
        >>> ArrowTensorType((2, 3), pa.float32()).shape
        [2, 3]
    """

    def __new__(cls, shape: Sequence[int], dtype: pa.DataType) -> Any:
        return fixed_tensor_type(dtype, shape)


ArrowTensorTypeV2 = ArrowTensorType


class ArrowTensorArray(metaclass=_ArrayAlias):
    """Makes tensor columns: `pyarrow.FixedShapeTensorArray` where all rows have one shape."""

    @staticmethod
    def from_numpy(
        arr: np.ndarray[Any, Any] | Sequence[np.ndarray[Any, Any] | None], column_name: str | None = None
    ) -> pa.Array:
        """A column whose rows are arrays.

        Args:
            arr: an array of two dimensions or more, whose first counts the rows, or a sequence of arrays. It is not copied where Arrow can
                use its memory.
            column_name: for errors.

        Returns:
            a fixed-shape column, or a variable-shaped one where the rows differ in shape.

        Raises:
            ArrowConversionError: if Arrow has no type for the elements.
        """
        if isinstance(arr, np.ndarray) and arr.dtype.kind != "O":
            column = column_of_stack(arr) if arr.ndim > 1 else None
        else:
            column = column_of_tensors([None if row is None else np.asarray(row) for row in arr])
        if column is None:
            kind = arr.dtype if isinstance(arr, np.ndarray) else "a sequence"
            raise ArrowConversionError(
                f"an array ({kind})",
                "a tensor column has rows of one dimension or more, whose elements are numbers, booleans or points in time.",
                column_name,
            )
        return column
