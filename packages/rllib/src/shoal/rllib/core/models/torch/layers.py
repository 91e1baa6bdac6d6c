"""Stacks of layers, by their sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from shoal.rllib.core.models.torch.mlp import Mlp
from shoal.rllib.utils.error import ConfigError, UnsupportedSpaceException

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "linear": nn.Identity,
}
Initializer = str | Callable[..., Any] | None


def activation(given: Any) -> nn.Module:
    """Returns a layer of an activation: by name, or by class."""
    if given is None:
        return nn.Identity()
    made: nn.Module = (given if callable(given) else _ACTIVATIONS[str(given).lower()])()
    return made


def initialize(
    layer: nn.Module,
    kernel: Initializer = None,
    kernel_kwargs: dict[str, Any] | None = None,
    bias: Initializer = None,
    bias_kwargs: dict[str, Any] | None = None,
) -> nn.Module:
    """Gives weights and biases their first values; None leaves torch's own."""
    for name, parameter in layer.named_parameters():
        of_bias = "bias" in name
        by, kwargs = (bias, bias_kwargs) if of_bias else (kernel, kernel_kwargs)
        if by is None:
            continue
        function = getattr(nn.init, by, None) if isinstance(by, str) else by
        if not callable(function):
            raise ConfigError(
                f"an initializer is {by!r}; give a name of torch.nn.init, such as 'orthogonal_', or a function of a tensor"
            )
        function(parameter, **(kwargs or {}))
    return layer


def mlp(
    input_size: int,
    hiddens: Sequence[int],
    hidden_activation: Any = "tanh",
    *,
    output_size: int | None = None,
    layernorm: bool = False,
    **initializers: Any,
) -> Mlp:
    """Returns linear layers with activations in between, and a last one without where `output_size` is given."""
    layers: list[nn.Module] = []
    size = input_size
    for hidden in hiddens:
        layers.append(initialize(nn.Linear(size, hidden), **initializers))
        if layernorm:
            layers.append(nn.LayerNorm(hidden))
        layers.append(activation(hidden_activation))
        size = hidden
    if output_size is not None:
        layers.append(initialize(nn.Linear(size, output_size), **initializers))
    return Mlp(*layers)


def default_conv_filters(height: int, width: int) -> list[list[int]]:
    """Returns filters that suit an image's size."""
    side = min(height, width)
    if side >= 60:
        return [[32, 8, 4, 0], [64, 4, 2, 0], [64, 3, 1, 0]]
    if side >= 30:
        return [[16, 4, 2, 1], [32, 4, 2, 1], [32, 3, 1, 1]]
    return [[16, 3, 1, 1], [32, 3, 1, 1]]


class SamePadding(nn.Module):
    """Zeros around images, so that a convolution gives ceil(size / stride). Where they are odd, more come at the right and below."""

    def __init__(self, kernel: int | Sequence[int], stride: int | Sequence[int]) -> None:
        super().__init__()
        self.kernel = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
        self.stride = (stride, stride) if isinstance(stride, int) else tuple(stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        around: list[int] = []
        for size, kernel, stride in zip(images.shape[-2:], self.kernel, self.stride, strict=True):
            zeros = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            around = [zeros // 2, zeros - zeros // 2, *around]  # the last axis comes first
        return nn.functional.pad(images, around)


class ImageEncoder(nn.Module):
    """Convolutions over images of shape (height, width, channels), flattened. Bytes count from 0 to 1."""

    def __init__(
        self, shape: Sequence[int], filters: Sequence[Sequence[Any]] | None, conv_activation: Any, **initializers: Any
    ) -> None:
        super().__init__()
        height, width, channels = (*shape, 1) if len(shape) == 2 else shape
        self._flat_image = len(shape) == 2
        given = filters if filters is not None else default_conv_filters(height, width)
        try:
            self.convolutions = nn.Sequential(*_convolutions(channels, given, conv_activation, **initializers))
            with torch.no_grad():
                example = self.convolutions(torch.zeros(1, channels, height, width))
        except (RuntimeError, TypeError, ValueError) as error:
            raise UnsupportedSpaceException(
                f"conv_filters {given!r} do not fit images of {' x '.join(map(str, shape))}: {error}"
            ) from error
        self.output_size = int(example.numel())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scaled = images.float() / 255.0 if images.dtype == torch.uint8 else images.float()
        if self._flat_image:
            scaled = scaled.unsqueeze(-1)
        lead = scaled.shape[:-3]
        channels_first = scaled.reshape(-1, *scaled.shape[-3:]).permute(0, 3, 1, 2)
        convolved: torch.Tensor = self.convolutions(channels_first)
        return convolved.reshape(*lead, self.output_size)


def _convolutions(
    channels: int, filters: Sequence[Sequence[Any]], conv_activation: Any, **initializers: Any
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for out, kernel, stride, *said in filters:
        padding = said[0] if said else "same"
        if padding == "same":
            layers.append(SamePadding(kernel, stride))
            padding = 0
        layers.append(initialize(nn.Conv2d(channels, out, kernel, stride, padding), **initializers))
        layers.append(activation(conv_activation))
        channels = out
    return layers
