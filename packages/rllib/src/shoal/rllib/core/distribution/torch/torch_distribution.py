"""The distributions over actions that modules use, in PyTorch.

They are what samples at every step of every environment, so they do no more than the arithmetic: `torch.distributions` checks its
arguments and normalises them anew for each object.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, Self

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shoal.rllib._internal.structures import leaves, map_structure, unflatten_as
from shoal.rllib.core.distribution.distribution import Distribution

LOG_STD_MIN = -5.0
LOG_STD_MAX = 2.0
"""Between these are the logarithms of a squashed Gaussian's standard deviations."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class TorchDistribution(Distribution, abc.ABC):
    """A distribution over tensors.

    `sample` and `rsample` draw from torch's global generator, or from `generator` where one is given.
    """

    @property
    def action_size(self) -> int:
        """How many numbers an action of one row has."""
        return 1

    @abc.abstractmethod
    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Any: ...

    @abc.abstractmethod
    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Any: ...

    def sample_and_logp(self, *, sample_shape: Any = None, generator: torch.Generator | None = None) -> tuple[Any, Any]:
        """A draw for each row, and its log-probability."""
        drawn = self.sample(sample_shape=sample_shape, generator=generator)
        return drawn, self.logp(drawn)

    def rsample_and_logp(
        self, *, sample_shape: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Any, Any]:
        """A draw that gradients flow through for each row, and its log-probability."""
        drawn = self.rsample(sample_shape=sample_shape, generator=generator)
        return drawn, self.logp(drawn)


class TorchCategorical(TorchDistribution):
    """Over the numbers 0, 1, ..., n - 1.

    Args:
        logits: unnormalised log-probabilities, shape (..., n); -inf for what cannot be.
        probs: probabilities in their place.
    """

    def __init__(self, logits: Tensor | None = None, probs: Tensor | None = None) -> None:
        if (logits is None) == (probs is None):
            raise ValueError("give one of logits and probs")
        self.logits: Tensor = logits if logits is not None else torch.log(probs)  # type: ignore[arg-type]
        self._normalised: Tensor | None = None

    @property
    def log_probs(self) -> Tensor:
        """Log-probabilities of all n, shape (..., n)."""
        if self._normalised is None:
            self._normalised = functional.log_softmax(self.logits, dim=-1)
        return self._normalised

    @property
    def probs(self) -> Tensor:
        """Probabilities of all n, shape (..., n)."""
        return self.log_probs.exp()

    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        logits = self.logits.detach()
        if sample_shape:
            logits = logits.expand((*sample_shape, *logits.shape))
        # The largest of logits plus Gumbel noise: a draw without normalising first.
        noise = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device).exponential_(generator=generator)
        return (logits - noise.log_()).argmax(dim=-1)

    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        """Draws as one-hot vectors, shape (..., n), whose gradient is that of the probabilities (straight through)."""
        drawn = functional.one_hot(
            self.sample(sample_shape=sample_shape, generator=generator), num_classes=self.logits.shape[-1]
        )
        return drawn + (self.probs - self.probs.detach())

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        index = value.long().unsqueeze(-1)
        log_probs = self.log_probs
        if index.ndim != log_probs.ndim:  # further draws
            log_probs = log_probs.expand((*index.shape[:-1], log_probs.shape[-1]))
        return log_probs.gather(-1, index).squeeze(-1)

    def entropy(self, **kwargs: Any) -> Tensor:
        return -(self.probs * _finite(self.log_probs)).sum(-1)

    def kl(self, other: TorchCategorical, **kwargs: Any) -> Tensor:
        apart = _finite(self.log_probs) - _finite(other.log_probs)
        return (self.probs * apart).sum(-1)

    @staticmethod
    def required_input_dim(space: gym.Space[Any], **kwargs: Any) -> int:
        return int(_of_type(space, gym.spaces.Discrete).n)

    @classmethod
    def from_logits(cls, logits: Tensor, **kwargs: Any) -> Self:
        return cls(logits=logits, **kwargs)

    def to_deterministic(self) -> TorchDeterministic:
        return TorchDeterministic(self.logits.argmax(dim=-1))


class _Gaussian(TorchDistribution):
    """What the Gaussians share: independent normal numbers.

    Args:
        loc: means, shape (..., *event).
        scale: standard deviations, > 0.
        event_dims: how many axes at the end are those of one action.
    """

    def __init__(self, loc: Tensor, scale: Tensor, *, event_dims: int = 1) -> None:
        self.loc = loc
        self.scale = scale
        self._event_axes = tuple(range(-event_dims, 0))

    @property
    def action_size(self) -> int:
        return math.prod(int(self.loc.shape[axis]) for axis in self._event_axes)

    def _sum(self, each: Tensor) -> Tensor:
        return each.sum(self._event_axes) if self._event_axes else each

    def _normal(self, sample_shape: Any, generator: torch.Generator | None) -> Tensor:
        loc = self.loc
        noise = torch.randn(
            (*(sample_shape or ()), *loc.shape), dtype=loc.dtype, device=loc.device, generator=generator
        )
        return torch.addcmul(loc, noise, self.scale)

    def _normal_logp(self, value: Tensor) -> Tensor:
        return self._sum(-0.5 * ((value - self.loc) / self.scale) ** 2 - self.scale.log() - _HALF_LOG_2PI)

    def _normal_kl(self, other: _Gaussian) -> Tensor:
        spread = (self.scale / other.scale) ** 2
        return self._sum(0.5 * (spread + ((self.loc - other.loc) / other.scale) ** 2 - 1 - spread.log()))

    @staticmethod
    def required_input_dim(space: gym.Space[Any], **kwargs: Any) -> int:
        return 2 * int(math.prod(_of_type(space, gym.spaces.Box).shape))


class TorchDiagGaussian(_Gaussian):
    """Over vectors of independent normal numbers. From logits: the means, then the logarithms of the standard deviations."""

    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        return self._normal(sample_shape, generator).detach()

    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        return self._normal(sample_shape, generator)

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        return self._normal_logp(value)

    def entropy(self, **kwargs: Any) -> Tensor:
        return self._sum(self.scale.log() + (0.5 + _HALF_LOG_2PI))

    def kl(self, other: TorchDiagGaussian, **kwargs: Any) -> Tensor:
        return self._normal_kl(other)

    @classmethod
    def from_logits(cls, logits: Tensor, *, shape: tuple[int, ...] | None = None, **kwargs: Any) -> Self:
        """See the class; `shape` is that of one action, where it is not a vector."""
        loc, log_std = logits.chunk(2, dim=-1)
        return cls(*_shaped(loc, log_std.exp(), shape), event_dims=1 if shape is None else len(shape), **kwargs)

    def to_deterministic(self) -> TorchDeterministic:
        return TorchDeterministic(self.loc)


class TorchSquashedGaussian(_Gaussian):
    """Over vectors of normal numbers that a hyperbolic tangent has brought between two bounds.

    Args:
        loc: means before squashing, shape (..., *event).
        scale: standard deviations before squashing, > 0.
        low: lower bound, a number or one for each of an action's numbers.
        high: upper bound, > low.
        event_dims: how many axes at the end are those of one action.
    """

    def __init__(self, loc: Tensor, scale: Tensor, low: Any = -1.0, high: Any = 1.0, *, event_dims: int = 1) -> None:
        super().__init__(loc, scale, event_dims=event_dims)
        if not np.all(np.less(low, high)):
            raise ValueError(f"low is {low!r} and high {high!r}; give a low that is below high")
        self.low, self.high = low, high
        plain = isinstance(low, float | int) and isinstance(high, float | int)
        as_is = (lambda bound: bound) if plain else (lambda bound: torch.as_tensor(bound).to(loc))
        self._half = as_is((np.asarray(high) - np.asarray(low)) / 2 if not plain else (high - low) / 2)
        self._middle = as_is((np.asarray(high) + np.asarray(low)) / 2 if not plain else (high + low) / 2)

    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        return self._squash(self._normal(sample_shape, generator)).detach()

    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        return self._squash(self._normal(sample_shape, generator))

    def sample_and_logp(
        self, *, sample_shape: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        drawn = self._normal(sample_shape, generator).detach()
        return self._squash(drawn), self._logp_before_squashing(drawn)

    def rsample_and_logp(
        self, *, sample_shape: Any = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        drawn = self._normal(sample_shape, generator)
        return self._squash(drawn), self._logp_before_squashing(drawn)

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        # A value on a bound comes from a number too large for a tangent of its precision: the nearest that is not.
        nearest = 1 - 4 * torch.finfo(self.loc.dtype).eps
        return self._logp_before_squashing(torch.atanh(((value - self._middle) / self._half).clamp(-nearest, nearest)))

    def entropy(self, **kwargs: Any) -> Tensor:
        raise NotImplementedError(
            "the entropy of a squashed Gaussian has no closed form; estimate it by -logp of what rsample_and_logp() gives"
        )

    def kl(self, other: TorchSquashedGaussian, **kwargs: Any) -> Tensor:
        """See Distribution. Squashing is invertible, so the divergence is that of the Gaussians; bounds must be equal."""
        if not (np.array_equal(self.low, other.low) and np.array_equal(self.high, other.high)):
            raise ValueError(
                f"the bounds ({self.low!r}, {self.high!r}) and ({other.low!r}, {other.high!r}) differ: "
                "the divergence between distributions on different ranges is infinite"
            )
        return self._normal_kl(other)

    @classmethod
    def from_logits(
        cls,
        logits: Tensor,
        low: Any = -1.0,
        high: Any = 1.0,
        *,
        shape: tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> Self:
        """From means and logarithms of standard deviations (held between -5 and 2); `shape` as in TorchDiagGaussian."""
        loc, log_std = logits.chunk(2, dim=-1)
        loc, scale = _shaped(loc, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX).exp(), shape)
        return cls(loc, scale, low, high, event_dims=1 if shape is None else len(shape), **kwargs)

    def to_deterministic(self) -> TorchDeterministic:
        return TorchDeterministic(self._squash(self.loc))

    def _squash(self, unbounded: Tensor) -> Tensor:
        return torch.tanh(unbounded) * self._half + self._middle

    def _logp_before_squashing(self, unbounded: Tensor) -> Tensor:
        # log(1 - tanh(x)²) = 2 (log 2 - x - softplus(-2x)), which does not lose its digits where tanh nears 1.
        log_slope = 2 * (math.log(2) - unbounded - functional.softplus(-2 * unbounded))
        half = self._half.log() if isinstance(self._half, Tensor) else math.log(self._half)
        return self._normal_logp(unbounded) - self._sum(log_slope + half)


class TorchDeterministic(TorchDistribution):
    """Always the same action for a row.

    Args:
        loc: the actions, shape (B, ...).
    """

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc

    @property
    def action_size(self) -> int:
        return math.prod(self.loc.shape[1:])

    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        return self.rsample(sample_shape=sample_shape).detach()

    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        return self.loc.expand((*sample_shape, *self.loc.shape)) if sample_shape else self.loc

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        """Zero for every row."""
        return torch.zeros(self.loc.shape[:1], device=self.loc.device)

    def entropy(self, **kwargs: Any) -> Tensor:
        """Zero for every row."""
        return torch.zeros(self.loc.shape[:1], device=self.loc.device)

    def kl(self, other: TorchDistribution, **kwargs: Any) -> Tensor:
        raise NotImplementedError("a deterministic distribution has no useful divergence: it is 0 or infinite")

    @staticmethod
    def required_input_dim(space: gym.Space[Any], **kwargs: Any) -> int:
        return math.prod(_of_type(space, gym.spaces.Box).shape)

    @classmethod
    def from_logits(cls, logits: Tensor, **kwargs: Any) -> Self:
        return cls(logits, **kwargs)

    def to_deterministic(self) -> TorchDeterministic:
        return self


class TorchMultiCategorical(TorchDistribution):
    """Over vectors whose numbers are independent, each from a set of its own size.

    Args:
        categoricals: one for each number.
        shape: of one action, where it is not a vector.
    """

    def __init__(self, categoricals: Sequence[TorchCategorical], *, shape: tuple[int, ...] | None = None) -> None:
        self._cats = list(categoricals)
        self._shape = shape

    @property
    def action_size(self) -> int:
        return len(self._cats)

    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        drawn = torch.stack([cat.sample(sample_shape=sample_shape, generator=generator) for cat in self._cats], dim=-1)
        return drawn if self._shape is None else torch.unflatten(drawn, -1, self._shape)

    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Tensor:
        """The draws of all as one-hot vectors, one after the other, shape (..., sum of n)."""
        return torch.cat([cat.rsample(sample_shape=sample_shape, generator=generator) for cat in self._cats], dim=-1)

    def logp(self, value: Tensor, **kwargs: Any) -> Tensor:
        if self._shape is not None:
            value = value.flatten(-len(self._shape))
        each = [cat.logp(part) for cat, part in zip(self._cats, value.unbind(-1), strict=True)]
        return torch.stack(each, dim=-1).sum(-1)

    def entropy(self, **kwargs: Any) -> Tensor:
        return torch.stack([cat.entropy() for cat in self._cats], dim=-1).sum(-1)

    def kl(self, other: TorchMultiCategorical, **kwargs: Any) -> Tensor:
        each = [cat.kl(its) for cat, its in zip(self._cats, other._cats, strict=True)]
        return torch.stack(each, dim=-1).sum(-1)

    @staticmethod
    def required_input_dim(space: gym.Space[Any], input_lens: Sequence[int] = (), **kwargs: Any) -> int:
        return sum(input_lens) if input_lens else int(_of_type(space, gym.spaces.MultiDiscrete).nvec.sum())

    @classmethod
    def from_logits(
        cls,
        logits: Tensor,
        input_lens: Sequence[int] = (),
        temperatures: Sequence[float] | None = None,
        *,
        shape: tuple[int, ...] | None = None,
        **kwargs: Any,
    ) -> Self:
        """From the logits of all numbers, one after the other.

        Args:
            logits: shape (..., sum of input_lens).
            input_lens: how many logits each number has.
            temperatures: what the logits of each are divided by; None for 1.
            shape: of one action, where it is not a vector.
            **kwargs: of the constructor.
        """
        if sum(input_lens) != logits.shape[-1]:
            raise ValueError(
                f"input_lens {list(input_lens)} come to {sum(input_lens)}, and the logits have {logits.shape[-1]} columns"
            )
        parts = torch.split(logits, list(input_lens), dim=-1)
        if temperatures is not None:
            parts = tuple(part / heat for part, heat in zip(parts, temperatures, strict=True))
        return cls([TorchCategorical(part) for part in parts], shape=shape, **kwargs)

    def to_deterministic(self) -> TorchDeterministic:
        best = torch.stack([cat.logits.argmax(dim=-1) for cat in self._cats], dim=-1)
        return TorchDeterministic(best if self._shape is None else torch.unflatten(best, -1, self._shape))


class TorchMultiDistribution(TorchDistribution):
    """Over nested actions, whose parts are independent: of a Dict or a Tuple space.

    Args:
        child_distribution_struct: a nested value of distributions, of the shape of an action.
    """

    def __init__(self, child_distribution_struct: Any) -> None:
        self._original_struct = child_distribution_struct
        self._flat_child_distributions: list[TorchDistribution] = leaves(child_distribution_struct)

    @property
    def action_size(self) -> int:
        return sum(child.action_size for child in self._flat_child_distributions)

    def sample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Any:
        drawn = [c.sample(sample_shape=sample_shape, generator=generator) for c in self._flat_child_distributions]
        return unflatten_as(self._original_struct, drawn)

    def rsample(self, *, sample_shape: Any = None, generator: torch.Generator | None = None, **kwargs: Any) -> Any:
        drawn = [c.rsample(sample_shape=sample_shape, generator=generator) for c in self._flat_child_distributions]
        return unflatten_as(self._original_struct, drawn)

    def logp(self, value: Any, **kwargs: Any) -> Tensor:
        """See Distribution. The value is nested, or a tensor (..., action_size) of all its parts one after the other."""
        if isinstance(value, Tensor):
            parts = list(torch.split(value, [child.action_size for child in self._flat_child_distributions], dim=-1))
            parts = [
                part.squeeze(-1) if isinstance(child, TorchCategorical) else part
                for child, part in zip(self._flat_child_distributions, parts, strict=True)
            ]
        else:
            parts = leaves(value)
        each = [child.logp(part) for child, part in zip(self._flat_child_distributions, parts, strict=True)]
        return torch.stack(each, dim=-1).sum(-1)

    def entropy(self, **kwargs: Any) -> Tensor:
        return torch.stack([child.entropy() for child in self._flat_child_distributions], dim=-1).sum(-1)

    def kl(self, other: TorchMultiDistribution, **kwargs: Any) -> Tensor:
        pairs = zip(self._flat_child_distributions, other._flat_child_distributions, strict=True)
        return torch.stack([mine.kl(its) for mine, its in pairs], dim=-1).sum(-1)

    @staticmethod
    def required_input_dim(space: gym.Space[Any], input_lens: Any = (), **kwargs: Any) -> int:
        return sum(leaves(input_lens))

    @classmethod
    def from_logits(
        cls, logits: Tensor, child_distribution_cls_struct: Any = (), input_lens: Any = (), **kwargs: Any
    ) -> Self:
        """From the logits of all parts, one after the other.

        Args:
            logits: shape (..., sum of input_lens).
            child_distribution_cls_struct: a nested value of the parts' classes.
            input_lens: how many logits each part has: a nested value of the same shape, or a list.
            **kwargs: not used.
        """
        parts = unflatten_as(child_distribution_cls_struct, torch.split(logits, leaves(input_lens), dim=-1))
        return cls(map_structure(lambda kind, part: kind.from_logits(part), child_distribution_cls_struct, parts))

    def to_deterministic(self) -> TorchMultiDistribution:
        certain = [child.to_deterministic() for child in self._flat_child_distributions]
        return TorchMultiDistribution(unflatten_as(self._original_struct, certain))


def _finite(log_probs: Tensor) -> Tensor:
    """With the logarithm of zero as a number that a probability of zero makes nothing of."""
    return log_probs.clamp(min=torch.finfo(log_probs.dtype).min)


def _shaped(loc: Tensor, scale: Tensor, shape: tuple[int, ...] | None) -> tuple[Tensor, Tensor]:
    if shape is None:
        return loc, scale
    whole = (*loc.shape[:-1], *shape)
    return loc.reshape(whole), scale.reshape(whole)


def _of_type(space: Any, kind: type[Any]) -> Any:
    if not isinstance(space, kind):
        raise TypeError(f"space is {space!r}; give a {kind.__name__} space")
    return space
