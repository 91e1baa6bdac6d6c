"""Linear layers with activations in between, in fewer and faster steps than layer by layer.

On processors torch multiplies matrices by MKL, which on AMD's takes twice as long as oneDNN does, and its tanh takes as long as a third of
such a product. A layer and its activation are one call of oneDNN here, where that is to be had. Parameters and results are those of the
layers, but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear

_FUSED = {nn.Tanh: "tanh", nn.ReLU: "relu"}
_ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}
_FEWEST_ROWS = 32
"""With fewer, the call costs more than it saves."""
_LARGE_LAYER = 1 << 20
"""Multiplications of the largest layer from which on its own way backward is the faster one."""
_LARGE_PRODUCT = 3_000_000
"""Multiplications of a product of the way backward from which on oneDNN is the faster one."""


def _one_call() -> Any:
    """Returns oneDNN's linear layer; None where torch has none."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_LINEAR = _one_call()


class _Layers(torch.autograd.Function):
    """Linear layers and their activations. Parameters are weights and biases in turn."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kinds: Sequence[str], *params: torch.Tensor) -> torch.Tensor:
        values = _values(x, kinds, params)
        ctx.kinds = kinds
        # What the last layer gives is its caller's to change in place (to mask logits, say), unless an activation's way back needs it.
        ctx.save_for_backward(*(values if kinds[-1] != "none" else values[:-1]), *params)
        return values[-1]

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        kinds, wanted = ctx.kinds, ctx.needs_input_grad
        values, params = ctx.saved_tensors[: -2 * len(kinds)], ctx.saved_tensors[-2 * len(kinds) :]
        if torch.is_grad_enabled():
            return _gradients_with_gradients(gradient, values[0], kinds, params, wanted)
        found: list[torch.Tensor | None] = [None] * len(wanted)
        first = next(i for i, want in enumerate(wanted) if want)  # below it nobody needs a gradient
        for i in range(len(kinds) - 1, -1, -1):
            if kinds[i] == "tanh":
                gradient = torch.ops.aten.tanh_backward(gradient, values[i + 1])
            elif kinds[i] == "relu":
                gradient = torch.ops.aten.threshold_backward(gradient, values[i + 1], 0.0)
            weight = 2 + 2 * i
            if wanted[weight]:
                found[weight] = _outer_product(gradient, values[i])
            if wanted[weight + 1]:
                found[weight + 1] = gradient.sum(0)
            if first >= weight:
                return tuple(found)
            gradient = _product(gradient, params[2 * i])
        found[0] = gradient
        return tuple(found)


def _values(x: torch.Tensor, kinds: Sequence[str], params: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Returns what goes into the first layer, and what comes out of each."""
    values = [x]
    for i, kind in enumerate(kinds):
        values.append(_LINEAR(values[-1], params[2 * i], params[2 * i + 1], kind, [], ""))
    return values


def _outer_product(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Returns a weight's gradient."""
    if 4 * x.shape[1] <= gradient.shape[1]:  # this way round it takes a quarter of the time
        return (x.t() @ gradient).t()
    return _product(gradient.t(), x)


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.shape[0] * right.numel() < _LARGE_PRODUCT:
        return left @ right
    found: torch.Tensor = _LINEAR(left, right.t(), None, "none", [], "")
    return found


def _gradients_with_gradients(
    gradient: torch.Tensor,
    x: torch.Tensor,
    kinds: Sequence[str],
    params: Sequence[torch.Tensor],
    wanted: Sequence[bool],
) -> tuple[torch.Tensor | None, ...]:
    """Returns what `backward` does, as torch's own steps, which it can go through backward once more."""
    given = [x, x, *params]  # the second stands for the kinds, of which nobody wants a gradient
    y = _one_by_one(x, kinds, params)
    wanting = [i for i, want in enumerate(wanted) if want]
    found = torch.autograd.grad(y, [given[i] for i in wanting], gradient, create_graph=True)
    by_place = dict(zip(wanting, found, strict=True))
    return tuple(by_place.get(i) for i in range(len(wanted)))


def _one_by_one(x: torch.Tensor, kinds: Sequence[str], params: Sequence[torch.Tensor]) -> torch.Tensor:
    for i, kind in enumerate(kinds):
        x = linear(x, params[2 * i], params[2 * i + 1])
        if kind != "none":
            x = _ACTIVATIONS[kind](x)
    return x


class Mlp(nn.Sequential):
    """Layers one after the other, as `nn.Sequential`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self._steps = _steps_of(list(layers))
        self._kinds = tuple(kind for _, kind in self._steps or ())
        self._largest = max((layer.weight.numel() for layer, _ in self._steps or ()), default=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor
        if self._steps is None or not self._is_plain(x):
            y = super().forward(x)  # type: ignore[no-untyped-call]
            return y
        params = [param for layer, _ in self._steps for param in (layer.weight, layer.bias)]
        if _LINEAR is None or x.shape[0] < _FEWEST_ROWS or x.device.type != "cpu":
            return _one_by_one(x, self._kinds, params)  # calling each layer takes as long as what it does
        if torch.is_grad_enabled():
            if x.shape[0] * self._largest < _LARGE_LAYER:
                return _one_by_one(x, self._kinds, params)
            y = _Layers.apply(x, self._kinds, *params)  # type: ignore[no-untyped-call]
            return y
        return _values(x, self._kinds, params)[-1]

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
