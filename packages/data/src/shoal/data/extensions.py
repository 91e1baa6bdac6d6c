"""Types of columns that Arrow and pandas do not have by themselves: tensors, and Python objects.

Columns of numpy arrays of one shape are Arrow's own fixed-shape tensors; `ArrowTensorType` and `ArrowTensorArray` are names for those.
Arrays that differ in shape, and objects for which Arrow has no type, have types of shoal's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.data._internal.blocks.errors import ArrowConversionError
from shoal.data._internal.blocks.fixed_tensors import ArrowTensorArray, ArrowTensorType, ArrowTensorTypeV2
from shoal.data._internal.blocks.objects import ArrowPythonObjectArray, ArrowPythonObjectType
from shoal.data._internal.blocks.tensors import ArrowVariableShapedTensorArray, ArrowVariableShapedTensorType

if TYPE_CHECKING:
    from shoal.data._internal.blocks.pandas_tensors import TensorArray as TensorArray
    from shoal.data._internal.blocks.pandas_tensors import TensorDtype as TensorDtype

__all__ = [
    "ArrowConversionError",
    "ArrowPythonObjectArray",
    "ArrowPythonObjectType",
    "ArrowTensorArray",
    "ArrowTensorType",
    "ArrowTensorTypeV2",
    "ArrowVariableShapedTensorArray",
    "ArrowVariableShapedTensorType",
    "TensorArray",
    "TensorDtype",
]


def __getattr__(name: str) -> Any:
    # These two are classes of pandas, which is slow to import and often not needed.
    if name in {"TensorArray", "TensorDtype"}:
        from shoal.data._internal.blocks import pandas_tensors

        return getattr(pandas_tensors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
