"""Frameworks by name. There is one: PyTorch."""

from __future__ import annotations

from typing import Any

from shoal.rllib.utils.error import ConfigError


def try_import_torch(error: bool = False) -> tuple[Any, Any]:
    """`torch` and `torch.nn`; (None, None) where torch is not installed.

    Args:
        error: raise in that case.

    Raises:
        ImportError: torch is not installed, and `error` is true.
    """
    try:
        import torch
        from torch import nn
    except ImportError as missing:
        if error:
            raise ImportError("torch is not installed; `pip install torch`") from missing
        return None, None
    return torch, nn


def convert_to_tensor(data: Any, framework: str = "torch", device: Any = None) -> Any:
    """Nested arrays as tensors; see `shoal.rllib.utils.torch_utils.convert_to_torch_tensor`.

    Raises:
        ConfigError: (a ValueError) the framework is another than 'torch'.
    """
    if framework != "torch":
        raise ConfigError(f"framework is {framework!r}; 'torch' is the only one")
    from shoal.rllib.utils.torch_utils import convert_to_torch_tensor

    return convert_to_torch_tensor(data, device=device)
