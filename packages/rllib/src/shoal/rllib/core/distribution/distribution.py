"""What every distribution over actions offers. Loads no torch."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import gymnasium as gym


class Distribution(abc.ABC):
    """A batch of distributions over actions, made from the outputs of a module.

    Example:
        >>> import torch
        >>> from shoal.rllib.core.distribution.torch.torch_distribution import TorchCategorical
        >>> dist = TorchCategorical.from_logits(torch.tensor([[0.0, 100.0], [100.0, 0.0]]))
        >>> dist.sample()
        tensor([1, 0])
    """

    @abc.abstractmethod
    def sample(self, *, sample_shape: Any = None, **kwargs: Any) -> Any:
        """One draw for each row, which no gradient flows through.

        Args:
            sample_shape: axes of further draws, before the batch's; None for none.
            **kwargs: of the implementation.
        """

    @abc.abstractmethod
    def rsample(self, *, sample_shape: Any = None, **kwargs: Any) -> Any:
        """One draw for each row, which gradients flow through to the parameters."""

    @abc.abstractmethod
    def logp(self, value: Any, **kwargs: Any) -> Any:
        """The logarithm of the probability, or of its density, of each row's value; shape (B,)."""

    @abc.abstractmethod
    def kl(self, other: Any, **kwargs: Any) -> Any:
        """The Kullback-Leibler divergence KL(self || other) of each row, in nats; shape (B,)."""

    @abc.abstractmethod
    def entropy(self, **kwargs: Any) -> Any:
        """The entropy of each row, in nats; shape (B,)."""

    @staticmethod
    @abc.abstractmethod
    def required_input_dim(space: gym.Space[Any], **kwargs: Any) -> int:
        """How many numbers for each row the distribution over actions of this space is made from."""

    @classmethod
    def from_logits(cls, logits: Any, **kwargs: Any) -> Self:
        """The distribution that these outputs of a module, shape (B, required_input_dim), stand for."""
        raise NotImplementedError(f"{cls.__name__} does not say how it is made from logits; override from_logits")

    @abc.abstractmethod
    def to_deterministic(self) -> Distribution:
        """A distribution that always gives the most likely action (or, where that has no simple form, a typical one)."""

    @classmethod
    def get_partial_dist_cls(cls, **partial_kwargs: Any) -> type[Self]:
        """A subclass whose `from_logits` and `required_input_dim` know these arguments already.

        Example:
            >>> import torch
            >>> from shoal.rllib.core.distribution.torch.torch_distribution import TorchMultiCategorical
            >>> two_dice = TorchMultiCategorical.get_partial_dist_cls(input_lens=[6, 6])
            >>> two_dice.from_logits(torch.zeros(4, 12)).sample().shape
            torch.Size([4, 2])
        """
        parent: Any = cls

        def merged(kwargs: dict[str, Any]) -> dict[str, Any]:
            if twice := sorted(set(kwargs) & set(partial_kwargs)):
                raise ValueError(f"{', '.join(twice)}: given already when the class {cls.__name__}Partial was made")
            return {**partial_kwargs, **kwargs}

        def from_logits(made: Any, /, logits: Any, **kwargs: Any) -> Any:
            distribution = parent.from_logits(logits, **merged(kwargs))
            distribution.__class__ = made
            return distribution

        def required_input_dim(space: Any = None, **kwargs: Any) -> int:
            known = merged(kwargs)
            known.setdefault("space", space)
            return int(parent.required_input_dim(**known))

        return type(
            f"{cls.__name__}Partial",
            (cls,),
            {
                "__doc__": cls.__doc__,
                "__module__": cls.__module__,
                "from_logits": classmethod(from_logits),
                "required_input_dim": staticmethod(required_input_dim),
            },
        )
