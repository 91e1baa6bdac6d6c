"""Linear layers that explore by noise in their weights (Fortunato et al., "Noisy Networks for Exploration")."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class NoisyLinear(nn.Module):
    """A linear layer whose weights have noise of a learned size.

    Args:
        inputs: how many numbers go in.
        outputs: how many come out.
        sigma0: the noise's first size, times the square root of `inputs`.
    """

    def __init__(self, inputs: int, outputs: int, sigma0: float = 0.5) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full((outputs, inputs), sigma0 * bound))
        self.bias_sigma = nn.Parameter(torch.full((outputs,), sigma0 * bound))
        self._noise: tuple[Tensor, Tensor] | None = None  # of inputs and outputs; None for none

    def draw_noise(self, generator: torch.Generator | None = None) -> None:
        """Draws other noise, from torch's generator or the given one."""
        outputs, inputs = self.weight.shape
        device = None if generator is not None else self.weight.device
        drawn = torch.randn(inputs + outputs, generator=generator, device=device).to(self.weight.device)
        drawn = drawn.sign() * drawn.abs().sqrt()
        self._noise = drawn[:inputs], drawn[inputs:]

    def be_still(self) -> None:
        """Goes without noise."""
        self._noise = None

    def forward(self, values: Tensor) -> Tensor:
        if self._noise is None:
            return functional.linear(values, self.weight, self.bias)
        of_inputs, of_outputs = self._noise
        weight = self.weight + self.weight_sigma * torch.outer(of_outputs, of_inputs)
        return functional.linear(values, weight, self.bias + self.bias_sigma * of_outputs)
