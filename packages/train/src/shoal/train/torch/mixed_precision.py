"""Ray's helpers for automatic mixed precision, deprecated there: `torch.amp` does the same. They work."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

from shoal.train._internal.process.worker_session import SESSION
from shoal.train.torch.devices import get_device

if TYPE_CHECKING:
    import torch


class _Precision:
    """Of this process's loop: whether `accelerate` was called, and the scaler of gradients."""

    def __init__(self) -> None:
        self.session: weakref.ref[object] | None = None
        self.scaler: Any = None

    def begin(self, amp: bool) -> None:
        session = SESSION.running("torch.accelerate")
        if self.session is not None and self.session() is session:
            raise RuntimeError("shoal.train.torch.accelerate() was called already; call it once, before anything else")
        import torch

        self.session = weakref.ref(session)
        # Scaling is for half floats of GPUs; on a CPU torch computes in bfloat16, which needs none.
        self.scaler = torch.amp.GradScaler(get_device().type, enabled=get_device().type == "cuda") if amp else None

    def current(self, function: str) -> Any:
        """Returns the scaler; None where `accelerate` was not called, or without amp."""
        session = SESSION.running(function)
        return self.scaler if self.session is not None and self.session() is session else None


_PRECISION = _Precision()


def accelerate(amp: bool = False) -> None:
    """Turns mixed precision on for models, optimizers and `backward` of this loop.

    Args:
        amp: whether to.

    Raises:
        RuntimeError: it was called before, or outside of a training loop.
    """
    _PRECISION.begin(amp)


def with_mixed_precision(model: torch.nn.Module) -> torch.nn.Module:
    """Returns the model; its `forward` runs under `torch.autocast` where `accelerate(amp=True)` was called."""
    if _PRECISION.current("torch.prepare_model") is None:
        return model
    import torch

    forward = model.forward
    device = get_device().type

    @functools.wraps(forward)
    def mixed(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device):
            outputs = forward(*args, **kwargs)
        # Losses are computed in full precision.
        return outputs.float() if torch.is_tensor(outputs) and outputs.is_floating_point() else outputs

    model.forward = mixed  # As in torch.amp's recipes.
    return model


def prepare_optimizer(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Returns an optimizer whose `step` undoes the scaling of gradients; the same one where there is no mixed precision.

    Args:
        optimizer: of a prepared model.
    """
    scaler = _PRECISION.current("torch.prepare_optimizer")
    if scaler is None:
        return optimizer
    step = optimizer.step

    @functools.wraps(step)
    def scaled(*args: Any, **kwargs: Any) -> Any:
        optimizer.step = step  # type: ignore[method-assign]  # The scaler calls it.
        try:
            result = scaler.step(optimizer, *args, **kwargs)
            scaler.update()
        finally:
            optimizer.step = scaled  # type: ignore[method-assign]
        return result

    optimizer.step = scaled  # type: ignore[method-assign]
    return optimizer


def backward(tensor: torch.Tensor) -> None:
    """Computes gradients: scaled ones where there is mixed precision.

    Args:
        tensor: the loss.
    """
    scaler = _PRECISION.current("torch.backward")
    (tensor if scaler is None else scaler.scale(tensor)).backward()
