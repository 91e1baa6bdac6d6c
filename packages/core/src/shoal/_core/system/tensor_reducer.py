"""Pickling of torch's CPU tensors without torch's own detour through a zip file.

The bytes travel out of band, so they are copied once into the store, and once out of it: a tensor has to be writable,
since torch writes into read-only memory without asking (optimisers do).
"""

from __future__ import annotations

import sys
from importlib import import_module
from pickle import PickleBuffer
from typing import Any


def tensor_reducers(torch: Any) -> dict[type, Any]:
    """Returns reducers by class; none while torch is still being imported."""
    tensor_class = getattr(torch, "Tensor", None)
    return {} if tensor_class is None else {tensor_class: _reduce_tensor}


def _reduce_tensor(tensor: Any) -> Any:
    if not _is_plain(tensor):
        return tensor.__reduce_ex__(5)
    torch: Any = sys.modules["torch"]
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
    return _rebuild_tensor, (PickleBuffer(flat), tensor.dtype, tuple(tensor.shape), tensor.requires_grad)


def _is_plain(tensor: Any) -> bool:
    """Whether dtype, shape and bytes are all there is to it."""
    torch: Any = sys.modules["torch"]
    return bool(
        tensor.device.type == "cpu"
        and tensor.layout is torch.strided
        and tensor.is_leaf
        and not tensor.is_quantized
        and not tensor.is_conj()
        and not tensor.is_neg()
        and not tensor._backward_hooks
        and not tensor.__dict__
    )


def _rebuild_tensor(data: Any, dtype: Any, shape: tuple[int, ...], requires_grad: bool) -> Any:
    import numpy

    torch: Any = import_module("torch")
    tensor = torch.empty(shape, dtype=dtype)
    if tensor.numel():
        tensor.reshape(-1).view(torch.uint8).numpy()[:] = numpy.frombuffer(data, dtype=numpy.uint8)
    return tensor.requires_grad_(requires_grad)
