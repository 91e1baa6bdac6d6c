"""Functions that make of a batch what a training loop takes; the base class says which format they want."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

B = TypeVar("B")


class CollateFn(ABC, Generic[B]):
    """Base of all: derive from one of those below."""

    @abstractmethod
    def __call__(self, batch: B) -> Any:
        """Returns what the loop gets."""


class NumpyBatchCollateFn(CollateFn[dict[str, Any]]):
    """Gets a dict of column names to arrays."""


class PandasBatchCollateFn(CollateFn[Any]):
    """Gets a DataFrame."""


class ArrowBatchCollateFn(CollateFn[Any]):
    """Gets an Arrow table."""


class DefaultCollateFn(NumpyBatchCollateFn):
    """Makes torch tensors of all columns.

    Args:
        dtypes: a torch dtype for all, or names to dtypes.
        device: where to; None for the CPU.
        pin_memory: in page-locked memory.
    """

    def __init__(self, dtypes: Any = None, device: str | None = None, pin_memory: bool = False) -> None:
        self.dtypes = dtypes
        self.device = device
        self.pin_memory = pin_memory

    def __call__(self, batch: dict[str, Any]) -> Any:
        from shoal.data._internal.consumption.torch_batches import torch_batch

        return torch_batch(batch, self.dtypes, self.device, self.pin_memory)


def batch_format_of(collate_fn: CollateFn[Any]) -> str:
    """Returns the format that a function wants."""
    if isinstance(collate_fn, PandasBatchCollateFn):
        return "pandas"
    return "pyarrow" if isinstance(collate_fn, ArrowBatchCollateFn) else "numpy"
