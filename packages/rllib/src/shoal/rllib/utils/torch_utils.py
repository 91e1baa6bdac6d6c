"""Numeric functions on tensors."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from shoal.rllib._internal.structures import leaves, map_structure
from shoal.rllib.utils.error import ConfigError

FLOAT_MIN = -3.4e38
FLOAT_MAX = 3.4e38


def convert_to_torch_tensor(x: Any, device: Any = None, pin_memory: bool = False) -> Any:
    """A nested value whose arrays and numbers are tensors; None, texts and objects stay.

    Args:
        x: arrays, tensors and numbers, maybe nested. Arrays share their memory with the tensors where the types allow.
        device: where the tensors go; None for the CPU (a tensor then stays where it is).
        pin_memory: of tensors that go to a GPU.

    Example:
        >>> import numpy as np
        >>> convert_to_torch_tensor({"a": np.ones(2)})
        {'a': tensor([1., 1.])}
    """

    def convert(leaf: Any) -> Any:
        if leaf is None:
            return None
        if isinstance(leaf, Tensor):
            tensor = leaf
        else:
            array = np.asarray(leaf)
            if array.dtype.kind in "OSU":
                return leaf
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a read-only array could be written to
                tensor = torch.from_numpy(array) if array.ndim else torch.as_tensor(array.item(), dtype=_dtype(array))
        if tensor.dtype == torch.float64:
            tensor = tensor.float()
        if device is None:
            return tensor
        if pin_memory and torch.device(device).type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=pin_memory)

    return map_structure(convert, x)


def _dtype(array: np.ndarray[Any, Any]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype


def copy_torch_tensors(x: Any, device: Any = None) -> Any:
    """A nested value with copies of its tensors, on a device where given."""
    return map_structure(
        lambda leaf: leaf.detach().clone().to(device or leaf.device) if isinstance(leaf, Tensor) else leaf, x
    )


def set_torch_seed(seed: int | None = None) -> None:
    """Seeds torch's, NumPy's and Python's global generators; None leaves them alone."""
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)


def explained_variance(y: Tensor, pred: Tensor) -> Tensor:
    """How much of the variance of `y` is in `pred`: 1 for all, 0 for none, -1 for less than none (and where y does not vary)."""
    if len(y) < 2:
        return torch.full_like(y[:1].squeeze(0), -1.0)
    variance = torch.var(y, dim=0)
    explained = 1 - torch.var(y - pred, dim=0) / variance
    return torch.where(variance > 0, explained, -1.0).clamp(min=-1.0)


def global_norm(tensors: Iterable[Tensor | None]) -> Tensor:
    """The Euclidean norm of all numbers of the tensors."""
    norms = [torch.linalg.vector_norm(tensor) for tensor in tensors if tensor is not None]
    whole: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return whole


def compute_global_norm(gradients_list: Iterable[Tensor | None]) -> Tensor:
    """The Euclidean norm of all gradients, 0 where there is none."""
    gradients = [gradient.detach() for gradient in gradients_list if gradient is not None]
    return global_norm(gradients) if gradients else torch.zeros(())


def clip_gradients(
    gradients_dict: dict[Any, Any], *, grad_clip: float | None = None, grad_clip_by: str = "value"
) -> Tensor | None:
    """Makes gradients smaller, in place.

    Args:
        gradients_dict: gradients by name; None where there is none.
        grad_clip: the limit; None for none.
        grad_clip_by: 'value' limits each number, 'norm' the norm of each gradient, 'global_norm' that of all of them.

    Returns:
        The norm of all before clipping, with 'global_norm'.

    Raises:
        ConfigError: (a ValueError) `grad_clip_by` is something else.
    """
    if grad_clip_by not in ("value", "norm", "global_norm"):
        raise ConfigError(f"grad_clip_by is {grad_clip_by!r}; give 'value', 'norm' or 'global_norm'")
    if grad_clip is None:
        return None
    gradients = [gradient.detach() for gradient in gradients_dict.values() if gradient is not None]
    if grad_clip_by == "value":
        if gradients:
            torch._foreach_clamp_min_(gradients, -grad_clip)
            torch._foreach_clamp_max_(gradients, grad_clip)
        return None
    if grad_clip_by == "norm":
        for gradient in gradients:
            gradient.mul_((grad_clip / (torch.linalg.vector_norm(gradient) + 1e-6)).clamp(max=1.0))
        return None
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (grad_clip / (norm + 1e-6)).clamp(max=1.0))
    return norm


def huber_loss(x: Tensor, delta: float = 1.0) -> Tensor:
    """x² / 2 up to |x| = delta, from there on a straight line."""
    size = x.abs()
    return torch.where(size < delta, 0.5 * x**2, delta * (size - 0.5 * delta))


def l2_loss(x: Tensor) -> Tensor:
    """Half the sum of the squares."""
    return 0.5 * (x**2).sum()


def softmax_cross_entropy_with_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross entropy between distributions `labels` and those of `logits`, for each row."""
    return -(labels * functional.log_softmax(logits, dim=-1)).sum(-1)


def reduce_mean_ignore_inf(x: Tensor, axis: int | None = None) -> Tensor:
    """The mean of what is not minus infinity."""
    there = x != float("-inf")
    numbers = torch.where(there, x, 0.0)
    return numbers.sum() / there.sum() if axis is None else numbers.sum(axis) / there.sum(axis)


def sequence_mask(
    lengths: Tensor, maxlen: int | None = None, dtype: torch.dtype | None = None, time_major: bool = False
) -> Tensor:
    """True for the first `lengths[i]` of the `maxlen` places of row i.

    Args:
        lengths: shape (B,).
        maxlen: how many places there are; None for the largest length.
        dtype: of the result; None for bool.
        time_major: the result is (maxlen, B) in place of (B, maxlen).

    Example:
        >>> sequence_mask(torch.tensor([1, 3]))
        tensor([[ True, False, False],
                [ True,  True,  True]])
    """
    places = torch.arange(int(lengths.max()) if maxlen is None else maxlen, device=lengths.device)
    mask = places[None, :] < lengths[:, None]
    if time_major:
        mask = mask.T
    return mask if dtype is None else mask.to(dtype)


def one_hot(x: Tensor, space: gym.Space[Any]) -> Tensor:
    """The one-hot vectors of values of a Discrete or a MultiDiscrete space, those of a value's numbers one after the other.

    Raises:
        ValueError: the space is another.
    """
    if isinstance(space, gym.spaces.Discrete):
        return functional.one_hot(x.long() - int(space.start), int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        sizes = [int(n) for n in np.ravel(space.nvec)]
        columns = x.long().reshape(*x.shape[: x.ndim - space.nvec.ndim], len(sizes))
        return torch.cat([functional.one_hot(columns[..., i], n) for i, n in enumerate(sizes)], dim=-1)
    raise ValueError(f"space is {space!r}; give a Discrete or a MultiDiscrete space")


def flatten_inputs_to_1d_tensor(inputs: Any, spaces_struct: Any = None, time_axis: bool = False) -> Tensor:
    """Nested batches as one tensor: a row for each, with what is discrete one-hot.

    Args:
        inputs: tensors with a batch axis (and a time axis after it, with `time_axis`), maybe nested.
        spaces_struct: their spaces, nested alike (`get_base_struct_from_space`); None where nothing is discrete.
        time_axis: the result has one too.
    """
    axes = 2 if time_axis else 1
    spaces = leaves(spaces_struct) if spaces_struct is not None else [None] * len(leaves(inputs))
    columns = []
    for leaf, space in zip(leaves(inputs), spaces, strict=True):
        if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
            leaf = one_hot(leaf, space)
        columns.append(leaf.reshape(*leaf.shape[:axes], -1).float())
    return torch.cat(columns, dim=-1)


class Followed:
    """A network and its target, which is to come closer to it, again and again.

    Args:
        main_net: the network that learns.
        target_net: one of the same shape.
    """

    def __init__(self, main_net: nn.Module, target_net: nn.Module) -> None:
        self._main: list[Tensor] = list(main_net.parameters())
        self._target: list[Tensor] = list(target_net.parameters())
        self._buffers = list(zip(target_net.buffers(), main_net.buffers(), strict=True))

    def step(self, tau: float) -> None:
        """Has target = tau main + (1 - tau) target, in place; 1 copies. Buffers are copied."""
        with torch.no_grad():
            if tau >= 1.0:
                torch._foreach_copy_(self._target, self._main)
            elif self._target:
                torch._foreach_lerp_(self._target, self._main, tau)
            for mine, its in self._buffers:
                mine.copy_(its)


def update_target_network(main_net: nn.Module, target_net: nn.Module, tau: float) -> None:
    """Brings a target network closer to the one it follows, in place: target = tau main + (1 - tau) target.

    Args:
        main_net: the network that learns.
        target_net: one of the same shape.
        tau: how close: 1 copies.
    """
    Followed(main_net, target_net).step(tau)


def symlog(x: Tensor) -> Tensor:
    """The logarithm of |x| + 1, with the sign of x (Hafner et al., "Mastering Diverse Domains through World Models")."""
    return torch.sign(x) * torch.log1p(x.abs())


def inverse_symlog(y: Tensor) -> Tensor:
    """The number whose symlog this is."""
    return torch.sign(y) * torch.expm1(y.abs())


def two_hot(
    value: Tensor, num_buckets: int = 255, lower_bound: float = -20.0, upper_bound: float = 20.0, device: Any = None
) -> Tensor:
    """Each number as weights of the two evenly spaced points it lies between, whose weighted mean it is.

    Args:
        value: shape (B,); what is out of bounds counts as the bound.
        num_buckets: how many points there are, >= 2.
        lower_bound: the first point.
        upper_bound: the last.
        device: of the result; None for that of `value`.

    Returns:
        Weights that add up to 1, shape (B, num_buckets).

    Example:
        >>> two_hot(torch.tensor([0.1]), 5, -1.0, 1.0)
        tensor([[0.0000, 0.0000, 0.8000, 0.2000, 0.0000]])
    """
    place = (value.clamp(lower_bound, upper_bound) - lower_bound) * ((num_buckets - 1) / (upper_bound - lower_bound))
    below = place.floor().clamp(max=num_buckets - 2)
    above_weight = (place - below).unsqueeze(-1)
    index = below.long().unsqueeze(-1)
    made = torch.zeros((*value.shape, num_buckets), dtype=value.dtype, device=value.device)
    made.scatter_(-1, index, 1 - above_weight).scatter_(-1, index + 1, above_weight)
    return made if device is None else made.to(device)
