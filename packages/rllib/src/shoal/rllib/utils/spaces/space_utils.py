"""Values of spaces: how they are batched, flattened, and brought between bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from shoal.rllib._internal.structures import leaves, map_structure, unflatten_as


def get_base_struct_from_space(space: gym.Space[Any]) -> Any:
    """The spaces that a Dict or Tuple space is made of, as a nested value; any other space as it is.

    Example:
        >>> import gymnasium as gym
        >>> get_base_struct_from_space(gym.spaces.Dict({"a": gym.spaces.Tuple([gym.spaces.Discrete(2)])}))
        {'a': (Discrete(2),)}
    """
    if isinstance(space, gym.spaces.Dict):
        return {key: get_base_struct_from_space(part) for key, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(get_base_struct_from_space(part) for part in space.spaces)
    return space


def flatten_space(space: gym.Space[Any]) -> list[gym.Space[Any]]:
    """The spaces that a Dict or Tuple space is made of, from left to right."""
    return leaves(get_base_struct_from_space(space))


def is_composite_space(space: gym.Space[Any]) -> bool:
    """Whether it is a Dict or a Tuple space."""
    return isinstance(space, gym.spaces.Dict | gym.spaces.Tuple)


class BatchedNdArray(np.ndarray[Any, Any]):
    """An array whose first axis is that of a batch already."""

    def __new__(cls, input_array: Any) -> BatchedNdArray:
        return np.asarray(input_array).view(cls)


def batch(list_of_structs: Sequence[Any], *, individual_items_already_have_batch_dim: bool | str = False) -> Any:
    """One nested value of batches, from many nested values.

    Args:
        list_of_structs: nested alike, at least one.
        individual_items_already_have_batch_dim: they are batches already, which come one after the other; 'auto': where they are
            BatchedNdArrays.

    Raises:
        ValueError: there are none.

    Example:
        >>> batch([{"a": 1}, {"a": 2}])
        {'a': array([1, 2])}
    """
    if not list_of_structs:
        raise ValueError("list_of_structs is empty; give one or more")
    along = individual_items_already_have_batch_dim
    if along == "auto":
        along = isinstance(leaves(list_of_structs[0])[0], BatchedNdArray)
    join: Any = np.concatenate if along else np.stack
    return map_structure(lambda *together: join([np.asarray(leaf) for leaf in together]), *list_of_structs)


def unbatch(batches_struct: Any) -> list[Any]:
    """The nested values that a nested value of batches holds.

    Example:
        >>> unbatch({"a": np.array([1, 2])})
        [{'a': np.int64(1)}, {'a': np.int64(2)}]
    """
    flat = leaves(batches_struct)
    return [unflatten_as(batches_struct, [leaf[row] for leaf in flat]) for row in range(len(flat[0]))]


def flatten_to_single_ndarray(input_: Any) -> NDArray[Any]:
    """All numbers of a nested value as one vector; an array that is not nested as it is."""
    if isinstance(input_, dict | list | tuple):
        return np.concatenate([np.reshape(leaf, -1) for leaf in leaves(input_)])
    return np.asarray(input_)


def clip_action(action: Any, action_space: Any) -> Any:
    """Actions whose continuous parts are within their bounds.

    Args:
        action: one, or a batch; maybe nested.
        action_space: their space, or spaces nested alike.
    """
    return map_structure(
        lambda leaf, space: np.clip(leaf, space.low, space.high) if isinstance(space, gym.spaces.Box) else leaf,
        action,
        _struct(action_space),
    )


def unsquash_action(action: Any, action_space_struct: Any) -> Any:
    """Actions between -1 and 1 as what their environment takes: `low` for -1, `high` for 1, clipped.

    Args:
        action: one, or a batch; maybe nested.
        action_space_struct: their space, or spaces nested alike. A Box without bounds, and what is discrete, stay; a Box of integers counts
            from its `low`.
    """

    def unsquash(leaf: Any, space: Any) -> Any:
        if not _is_bounded(space):
            return leaf
        if np.issubdtype(space.dtype, np.integer):
            return space.low + leaf
        return np.clip(space.low + (leaf + 1.0) * ((space.high - space.low) / 2.0), space.low, space.high)

    return map_structure(unsquash, action, _struct(action_space_struct))


def normalize_action(action: Any, action_space_struct: Any) -> Any:
    """The inverse of `unsquash_action` for what lies within the bounds."""

    def normalize(leaf: Any, space: Any) -> Any:
        if not _is_bounded(space):
            return leaf
        if np.issubdtype(space.dtype, np.integer):
            return leaf - space.low
        return (leaf - space.low) * 2.0 / (space.high - space.low) - 1.0

    return map_structure(normalize, action, _struct(action_space_struct))


def get_dummy_batch_for_space(
    space: gym.Space[Any],
    batch_size: int = 32,
    *,
    fill_value: float | int | str = 0.0,
    time_size: int | None = None,
    time_major: bool = False,
    one_hot_discrete: bool = False,
) -> Any:
    """A batch of a space's values that stand for nothing.

    Args:
        space: whose.
        batch_size: how many; 0 for a single one without a batch axis.
        fill_value: what all numbers are; 'random' for samples of the space.
        time_size: length of a time axis after that of the batch; None for none.
        time_major: the time axis comes first.
        one_hot_discrete: what is discrete comes as vectors, as long as a one-hot vector.
    """

    def fill(leaf: Any) -> NDArray[Any]:
        if one_hot_discrete and isinstance(leaf, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
            width = int(leaf.n) if isinstance(leaf, gym.spaces.Discrete) else int(leaf.nvec.sum())
            leaf = gym.spaces.Box(0.0, 1.0, (width,), np.float32)
        axes = [batch_size] if batch_size else []
        if time_size is not None:
            axes = [time_size, *axes] if time_major else [*axes, time_size]
        if fill_value == "random":
            drawn = [leaf.sample() for _ in range(math.prod(axes))]
            return np.asarray(drawn, dtype=leaf.dtype).reshape((*axes, *leaf.shape))
        return np.full((*axes, *leaf.shape), fill_value, dtype=leaf.dtype)

    return map_structure(fill, get_base_struct_from_space(space))


def convert_element_to_space_type(element: Any, sampled_element: Any) -> Any:
    """A nested value with the types that one sampled from its space has."""

    def convert(leaf: Any, like: Any) -> Any:
        if isinstance(like, np.ndarray):
            return np.asarray(leaf, dtype=like.dtype)
        return type(like)(leaf) if isinstance(like, int | float | np.generic) else leaf

    return map_structure(convert, element, sampled_element)


def _struct(space: Any) -> Any:
    return get_base_struct_from_space(space) if isinstance(space, gym.Space) else space


def _is_bounded(space: Any) -> bool:
    return isinstance(space, gym.spaces.Box) and space.is_bounded("both")
