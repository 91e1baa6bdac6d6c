"""Linear layers with activations in between, in fewer and faster steps than layer by layer.

On processors torch multiplies matrices by MKL, which on AMD's takes twice as long as oneDNN does, and its tanh takes as long as a third of
such a product. A layer and its activation are one call of oneDNN here, where that is to be had. Parameters and results are those of the
layers, but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

_FUSED = {nn.Tanh: "tanh", nn.ReLU: "relu"}
_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}
_FEWEST_ROWS = 32
"""With fewer, the call costs more than it saves."""


def _one_call() -> Any:
    """Returns oneDNN's linear layer; None where torch has none."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_LINEAR = _one_call()


class _Layer(torch.autograd.Function):
    """A linear layer and its activation."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, kind: str) -> torch.Tensor:
        y: torch.Tensor = _LINEAR(x, weight, bias, kind, [], "")
        ctx.save_for_backward(x, weight, y)
        ctx.kind = kind
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        x, weight, y = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        if ctx.kind == "tanh":
            gradient = torch.ops.aten.tanh_backward(gradient, y)
        elif ctx.kind == "relu":
            gradient = torch.ops.aten.threshold_backward(gradient, y, 0.0)
        if torch.is_grad_enabled():  # gradients of gradients
            of_x = gradient @ weight if wants_x else None
            return of_x, gradient.t() @ x if wants_weight else None, gradient.sum(0) if wants_bias else None, None
        return (
            _LINEAR(gradient, weight.t(), None, "none", [], "") if wants_x else None,
            _LINEAR(gradient.t(), x.t(), None, "none", [], "") if wants_weight else None,
            gradient.sum(0) if wants_bias else None,
            None,
        )


class Mlp(nn.Sequential):
    """Layers one after the other, as `nn.Sequential`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self._steps = _steps_of(list(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._steps is None or not self._is_plain(x):
            y: torch.Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return y
        if _LINEAR is None or x.shape[0] < _FEWEST_ROWS or x.device.type != "cpu":
            # As the layers do it; calling each of them takes as long as what it does.
            for layer, kind in self._steps:
                x = linear(x, layer.weight, layer.bias)
                if kind != "none":
                    x = _ACTIVATIONS[kind](x)
        elif torch.is_grad_enabled():
            for layer, kind in self._steps:
                x = _Layer.apply(x, layer.weight, layer.bias, kind)  # type: ignore[no-untyped-call]
        else:
            for layer, kind in self._steps:
                x = _LINEAR(x, layer.weight, layer.bias, kind, [], "")
        return x

    def _is_plain(self, x: torch.Tensor) -> bool:
        return (
            x.dim() == 2
            and x.dtype is torch.float32
            and not torch.compiler.is_compiling()
            and not any(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks for layer in self)
        )


def _steps_of(layers: list[nn.Module]) -> list[tuple[nn.Linear, str]] | None:
    """Returns linear layers, each with the activation that follows; None where something else is among them."""
    steps: list[tuple[nn.Linear, str]] = []
    for layer in layers:
        if type(layer) is nn.Linear and layer.bias is not None:
            steps.append((layer, "none"))
        elif type(layer) in _FUSED and steps and steps[-1][1] == "none":
            steps[-1] = (steps[-1][0], _FUSED[type(layer)])
        else:
            return None
    return steps or None
