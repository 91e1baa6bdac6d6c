"""From observations of any space to a vector of features."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import torch
from torch import nn
from torch.nn import functional

from shoal.rllib.core.models.torch.layers import ImageEncoder, initialize, mlp
from shoal.rllib.core.models.torch.mlp import Mlp
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.utils.error import UnsupportedSpaceException


def _initializers(config: DefaultModelConfig, part: str) -> dict[str, Any]:
    return {
        "kernel": getattr(config, f"{part}_kernel_initializer"),
        "kernel_kwargs": getattr(config, f"{part}_kernel_initializer_kwargs"),
        "bias": getattr(config, f"{part}_bias_initializer"),
        "bias_kwargs": getattr(config, f"{part}_bias_initializer_kwargs"),
    }


class Tokenizer(nn.Module):
    """Makes one vector of an observation: boxes are flattened, discrete values one-hot, images convolved, parts put side by side."""

    def __init__(self, space: gym.Space[Any], config: DefaultModelConfig, name: str = "observation_space") -> None:
        super().__init__()
        self.parts = nn.ModuleDict()
        self._keys: list[Any] = []
        self._sizes: list[int] = []
        self._kind = "flat"
        self.output_size = 0
        if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
            self._kind = "parts"
            parts = space.spaces.items() if isinstance(space, gym.spaces.Dict) else enumerate(space.spaces)
            for key, part in parts:
                self._keys.append(key)
                tokenizer = Tokenizer(part, config, f"{name}[{key!r}]")
                self.parts[f"part_{key}".replace(".", "_")] = tokenizer
                self._sizes.append(tokenizer.output_size)
            self.output_size = sum(self._sizes)
        elif isinstance(space, gym.spaces.Discrete):
            self._kind, self._sizes, self._start = "one_hot", [int(space.n)], [int(space.start)]
            self.output_size = int(space.n)
        elif isinstance(space, gym.spaces.MultiDiscrete):
            self._kind, self._sizes = "one_hots", [int(n) for n in space.nvec.flat]
            self._start = [int(start) for start in space.start.flat]
            self.output_size = sum(self._sizes)
        elif isinstance(space, gym.spaces.Box | gym.spaces.MultiBinary):
            shape = tuple(int(n) for n in space.shape)
            self._rank = len(shape)
            self.output_size = math.prod(shape)
            if isinstance(space, gym.spaces.Box) and (
                len(shape) == 3 or (len(shape) == 2 and config.conv_filters is not None)
            ):
                self._kind = "image"
                image = ImageEncoder(
                    shape, config.conv_filters, config.conv_activation, **_initializers(config, "conv")
                )
                self.parts["image"] = image
                self.output_size = image.output_size
        else:
            raise UnsupportedSpaceException(
                f"{name} is {space!r}; default modules take Box, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these. "
                "Change it by a connector or a wrapper, or write a module of your own"
            )
        # The common case: a vector of numbers as it is.
        self.is_identity = self._kind == "flat" and self._rank == 1

    def forward(self, observation: Any) -> torch.Tensor:
        if self._kind == "flat":
            values: torch.Tensor = observation if observation.dtype == torch.float32 else observation.float()
            return values if self._rank == 1 else values.flatten(-self._rank) if self._rank else values.unsqueeze(-1)
        if self._kind == "image":
            images: torch.Tensor = self.parts["image"](observation)
            return images
        if self._kind == "one_hot":
            return functional.one_hot(observation.long() - self._start[0], self._sizes[0]).float()
        if self._kind == "one_hots":
            flat = observation.long().flatten(observation.dim() - self._axes(observation))
            columns = [
                functional.one_hot(flat[..., i] - start, size)
                for i, (size, start) in enumerate(zip(self._sizes, self._start, strict=True))
            ]
            return torch.cat(columns, -1).float()
        return torch.cat(
            [part(observation[key]) for key, part in zip(self._keys, self.parts.values(), strict=True)], -1
        )

    def _axes(self, observation: torch.Tensor) -> int:
        """How many of the last axes are the space's."""
        axes, size = 0, 1
        while size < len(self._sizes):
            axes += 1
            size *= observation.shape[-axes]
        return max(axes, 1)


class Encoder(nn.Module):
    """A tokenizer, then layers, then (where asked for) an LSTM over the time axis.

    Args:
        space: of observations.
        config: the networks' form.
    """

    def __init__(self, space: gym.Space[Any], config: DefaultModelConfig) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(space, config)
        size = self.tokenizer.output_size
        fusion = isinstance(space, gym.spaces.Dict | gym.spaces.Tuple)
        layers = []
        if fusion and config.fusionnet_hiddens:
            layers += list(
                mlp(size, config.fusionnet_hiddens, config.fusionnet_activation, **_initializers(config, "fusionnet"))
            )
            size = config.fusionnet_hiddens[-1]
        layers += list(
            mlp(
                size,
                config.fcnet_hiddens,
                config.fcnet_activation,
                layernorm=config.fcnet_use_layernorm,
                **_initializers(config, "fcnet"),
            )
        )
        self.layers = Mlp(*layers)
        size = config.fcnet_hiddens[-1] if config.fcnet_hiddens else size
        self.lstm: nn.LSTM | None = None
        if config.use_lstm:
            self.lstm = nn.LSTM(size, config.lstm_cell_size, batch_first=True)
            initialize(self.lstm, **_initializers(config, "lstm"))
            size = config.lstm_cell_size
        self.output_size = size
        self._plain = self.tokenizer.is_identity

    def forward(self, observation: Any, state: Any = None) -> tuple[torch.Tensor, dict[str, torch.Tensor] | None]:
        """Returns features, and the state after them (of an LSTM, whose observations have a time axis: (B, T, ...))."""
        plain = self._plain and observation.dtype == torch.float32
        features: torch.Tensor = self.layers(observation if plain else self.tokenizer(observation))
        if self.lstm is None:
            return features, None
        before = (state["h"].unsqueeze(0).contiguous(), state["c"].unsqueeze(0).contiguous())
        after, (h, c) = self.lstm(features, before)
        return after, {"h": h.squeeze(0), "c": c.squeeze(0)}
