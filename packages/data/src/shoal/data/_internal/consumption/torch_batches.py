"""Batches as torch tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shoal.data.exceptions import BatchTypeError


def torch_batch(arrays: Mapping[str, Any], dtypes: Any, device: str | None, pin_memory: bool) -> dict[str, Any]:
    """Returns columns as tensors.

    Args:
        arrays: names to arrays.
        dtypes: a torch dtype for all, or names to dtypes; None for the arrays' own.
        device: where to; None for the CPU.
        pin_memory: in page-locked memory, so that the copy to a GPU can overlap.

    Raises:
        BatchTypeError: a column that no tensor can hold, such as strings.
    """
    tensors = {}
    for name, array in arrays.items():
        dtype = dtypes.get(name) if isinstance(dtypes, Mapping) else dtypes
        tensors[name] = tensor_of(name, array, dtype, device, pin_memory)
    return tensors


def tensor_of(name: str, array: Any, dtype: Any, device: str | None, pin_memory: bool) -> Any:
    """Returns one column as a tensor. Raises BatchTypeError."""
    import torch

    values = np.asarray(array)
    if values.dtype == object:
        values = _stacked(name, values)
    if values.dtype.kind in "USOMm":
        raise BatchTypeError(
            f"column {name!r} has values of type {values.dtype}, which no tensor can hold: leave it out with drop_columns, turn it "
            "into numbers, or give collate_fn"
        )
    if values.dtype.kind == "u" and values.dtype.itemsize > 1:
        values = values.astype(np.int64 if values.dtype.itemsize >= 4 else np.int32)
    if not values.flags.writeable:
        # torch warns of memory that must not be written; the copy is the tensor's own.
        values = values.copy()
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if dtype is not None:
        tensor = tensor.to(dtype)
    if pin_memory and torch.cuda.is_available():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=pin_memory) if device is not None and device != "cpu" else tensor


def _stacked(name: str, values: Any) -> Any:
    """Arrays of equal shape become one; nulls in numbers become NaN."""
    items = list(values)
    if items and all(isinstance(item, np.ndarray) for item in items):
        shapes = {item.shape for item in items}
        if len(shapes) > 1:
            raise BatchTypeError(
                f"column {name!r} has arrays of different shapes ({', '.join(map(str, sorted(shapes)[:3]))}, …): "
                "pad them, or give collate_fn"
            )
        return np.stack(items)
    if items and all(item is None or isinstance(item, (int, float, bool)) for item in items):
        return np.array([np.nan if item is None else item for item in items], dtype=np.float64)
    return values


def chosen_device(device: str | None) -> str | None:
    """Returns the device for 'auto': the first GPU that this process was given, else the CPU."""
    if device != "auto":
        return device
    import torch

    return "cuda:0" if torch.cuda.is_available() else None
