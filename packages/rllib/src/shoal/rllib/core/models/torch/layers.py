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


class ImageEncoder(nn.Module):
    """Convolutions over images of shape (height, width, channels), flattened. Bytes count from 0 to 1."""

    def __init__(
        self, shape: Sequence[int], filters: Sequence[Sequence[Any]] | None, conv_activation: Any, **initializers: Any
    ) -> None:
        super().__init__()
        height, width, channels = (*shape, 1) if len(shape) == 2 else shape
        self._flat_image = len(shape) == 2
        layers: list[nn.Module] = []
        for one in filters if filters is not None else default_conv_filters(height, width):
            out, kernel, stride, *padding = one
            layers.append(initialize(nn.Conv2d(channels, out, kernel, stride, *(padding or [0])), **initializers))
            layers.append(activation(conv_activation))
            channels = out
        self.convolutions = nn.Sequential(*layers)
        try:
            with torch.no_grad():
                example = self.convolutions(torch.zeros(1, shape[2] if len(shape) == 3 else 1, height, width))
        except RuntimeError as error:
            raise UnsupportedSpaceException(
                f"conv_filters {filters!r} do not fit images of {height} x {width} x {channels}: {error}"
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
