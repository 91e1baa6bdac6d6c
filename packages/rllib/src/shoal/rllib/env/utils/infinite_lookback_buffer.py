"""A series of an episode's data, with some of what came before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.nested import concatenate, is_nested, leaves, map_leaves, stack

Indices: TypeAlias = int | slice | Sequence[int] | None


class InfiniteLookbackBuffer:
    """Items by index: from 0 on this chunk's, before that the lookback buffer's, which earlier chunks left.

    Args:
        data: a list of items, or, where `finalized`, a tree of arrays whose first axis counts items.
        lookback: how many of the first items are the lookback buffer.
        space: the space of an item; needed for one-hot encodings and fills of empty series.
    """

    __slots__ = ("data", "finalized", "lookback", "space")

    def __init__(self, data: Any = None, lookback: int = 0, space: gym.Space[Any] | None = None) -> None:
        self.data: Any = [] if data is None else data
        self.finalized = not isinstance(self.data, list)
        self.lookback = min(lookback, self.len_incl_lookback())
        self.space = space

    def len_incl_lookback(self) -> int:
        """Returns how many items there are, those of the lookback buffer counted."""
        if not self.finalized:
            return len(self.data)
        for leaf in leaves(self.data):
            return len(leaf)
        return 0

    def __len__(self) -> int:
        return self.len_incl_lookback() - self.lookback

    def __getitem__(self, index: int | slice) -> Any:
        return self.get(index)

    def append(self, item: Any) -> None:
        """Adds an item at the end. Arrays are copied for it: add to lists, and call finalize() in the end."""
        if self.finalized:
            self.data = concatenate([self.data, stack([item])])
        else:
            self.data.append(item)

    def extend(self, items: Any) -> None:
        """Adds several items at the end, given as this series has its own."""
        if self.finalized:
            self.data = concatenate([self.data, stack(items) if isinstance(items, list) else items])
        else:
            self.data.extend(items)

    def pop(self, index: int = -1) -> None:
        """Removes an item; negative indices count from the end."""
        if self.finalized:
            self.data = map_leaves(lambda leaf: np.delete(leaf, index, axis=0), self.data)
        else:
            self.data.pop(index)

    def finalize(self) -> None:
        """Makes arrays of the list."""
        if not self.finalized and self.data:
            self.data = stack(self.data)
            self.finalized = True

    def get(
        self,
        indices: Indices = None,
        *,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        one_hot_discrete: bool = False,
    ) -> Any:
        """Returns an item, or several.

        Args:
            indices: an index, a slice or a list of indices; None for all items but the lookback buffer's.
            neg_index_as_lookback: -1 is the last item of the lookback buffer, instead of the last item of all.
            fill: the value of what is out of range. None: an index out of range is an error, and slices end where the items do.
            one_hot_discrete: encodes values of Discrete and MultiDiscrete spaces.

        Raises:
            IndexError: no such item, and no `fill`.
        """
        positions = self._positions(indices, neg_index_as_lookback, filled=fill is not None)
        if isinstance(positions, int):
            return self._item(positions, fill, one_hot_discrete)
        if self.finalized:
            return self._batch(positions, fill, one_hot_discrete)
        if isinstance(positions, slice):
            items = self.data[positions]
            return [one_hot(item, self.space) for item in items] if one_hot_discrete else items
        return [self._item(position, fill, one_hot_discrete) for position in positions]

    def set(self, new_data: Any, *, at_indices: Indices = None, neg_index_as_lookback: bool = False) -> None:
        """Overwrites items. `new_data` has as many items as `at_indices` names.

        Raises:
            IndexError: no such item.
            ValueError: more or fewer items than indices.
        """
        positions = self._positions(at_indices, neg_index_as_lookback, filled=False)
        if isinstance(positions, int):
            self._assign(positions, new_data)
            return
        numbers = range(*positions.indices(self.len_incl_lookback())) if isinstance(positions, slice) else positions
        given = len(new_data) if isinstance(new_data, list) else len(next(iter(leaves(new_data))))
        if given != len(numbers):
            raise ValueError(f"new_data has {given} items where at_indices={at_indices!r} names {len(numbers)}")
        if self.finalized:
            values = stack(new_data) if isinstance(new_data, list) else new_data
            self._assign(list(numbers), values)
            return
        for i, number in enumerate(numbers):
            self.data[number] = (
                new_data[i] if isinstance(new_data, list) else map_leaves(lambda leaf, i=i: leaf[i], new_data)
            )

    def concat(self, other: InfiniteLookbackBuffer) -> None:
        """Adds the other's items, without its lookback buffer."""
        if self.finalized and not other.finalized:
            other = InfiniteLookbackBuffer(list(other.data), other.lookback, other.space)
            other.finalize()
        items = other.get()
        if self.finalized:
            self.data = concatenate([self.data, items])
        else:
            self.data.extend(items if isinstance(items, list) else _items(items))

    def get_state(self) -> dict[str, Any]:
        data = self.data if self.finalized else list(self.data)
        return {"data": data, "lookback": self.lookback, "finalized": self.finalized, "space": self.space}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> InfiniteLookbackBuffer:
        data = state["data"]
        return cls(data if state["finalized"] else list(data), state["lookback"], state["space"])

    def __repr__(self) -> str:
        if is_nested(self.data):
            return f"InfiniteLookbackBuffer({len(self)} items, lookback={self.lookback})"
        return f"InfiniteLookbackBuffer({self.data[: self.lookback]} <- lookback({self.lookback}) | {self.data[self.lookback :]})"

    def _positions(self, indices: Indices, neg_index_as_lookback: bool, filled: bool) -> int | slice | list[int]:
        total = self.len_incl_lookback()

        def position(index: int) -> int:
            if index >= 0 or neg_index_as_lookback:
                return self.lookback + index
            return total + index

        if indices is None:
            return slice(self.lookback, total)
        if isinstance(indices, slice):
            step = 1 if indices.step is None else int(indices.step)
            if step < 1:
                raise ValueError(f"indices={indices!r}: the step has to be positive")
            start = self.lookback if indices.start is None else position(int(indices.start))
            stop = total if indices.stop is None else position(int(indices.stop))
            if filled and (start < 0 or stop > total):
                return list(range(start, stop, step))
            return slice(min(max(start, 0), total), min(max(stop, 0), total), step)
        if isinstance(indices, int | np.integer):
            found = position(int(indices))
            if not filled and not 0 <= found < total:
                raise self._no_item(int(indices))
            return found
        positions = [position(int(index)) for index in indices]
        if not filled:
            for given, found in zip(indices, positions, strict=True):
                if not 0 <= found < total:
                    raise self._no_item(int(given))
        return positions

    def _no_item(self, index: int) -> IndexError:
        return IndexError(
            f"there is no item {index}: there are {len(self)}, and {self.lookback} in the lookback buffer; fill= gives a value in its place"
        )

    def _item(self, position: int, fill: float | None, one_hot_discrete: bool) -> Any:
        if not 0 <= position < self.len_incl_lookback():
            assert fill is not None
            return map_leaves(lambda leaf: np.full_like(leaf, fill), self._example(one_hot_discrete))
        item = map_leaves(lambda leaf: leaf[position], self.data) if self.finalized else self.data[position]
        return one_hot(item, self.space) if one_hot_discrete else item

    def _batch(self, positions: slice | list[int], fill: float | None, one_hot_discrete: bool) -> Any:
        if isinstance(positions, slice):
            picked = map_leaves(lambda leaf: leaf[positions], self.data)
            return one_hot(picked, self.space) if one_hot_discrete else picked
        numbers = np.asarray(positions, dtype=np.int64)
        total = self.len_incl_lookback()
        outside = (numbers < 0) | (numbers >= total)
        if not total:
            example = self._example(one_hot_discrete)
            return map_leaves(lambda leaf: np.full((len(numbers), *np.shape(leaf)), fill, leaf.dtype), example)
        picked = map_leaves(lambda leaf: leaf[np.where(outside, 0, numbers)], self.data)
        if one_hot_discrete:
            picked = one_hot(picked, self.space)
        if outside.any():

            def filled(leaf: Any) -> Any:
                leaf = np.array(leaf)
                leaf[outside] = fill
                return leaf

            picked = map_leaves(filled, picked)
        return picked

    def _example(self, one_hot_discrete: bool) -> Any:
        if self.len_incl_lookback():
            item = map_leaves(lambda leaf: leaf[0], self.data) if self.finalized else self.data[0]
        elif self.space is not None:
            item = zeros(self.space)
        else:
            item = 0.0
        item = one_hot(item, self.space) if one_hot_discrete else item
        return map_leaves(np.asarray, item)

    def _assign(self, position: int | list[int], value: Any) -> None:
        if not self.finalized:
            self.data[position] = value
            return
        given = iter(leaves(value))
        for leaf in leaves(self.data):
            leaf[position] = next(given)


def zeros(space: gym.Space[Any]) -> Any:
    """Returns a value of zeros in the form of the space."""
    if isinstance(space, gym.spaces.Dict):
        return {key: zeros(part) for key, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(zeros(part) for part in space.spaces)
    return np.zeros(space.shape or (), space.dtype)


def one_hot(value: Any, space: gym.Space[Any] | None) -> Any:
    """Returns values of Discrete and MultiDiscrete spaces (one, or many along first axes) as float32 with a one at the value's place."""
    if isinstance(space, gym.spaces.Dict):
        return {key: one_hot(value[key], part) for key, part in space.spaces.items()}
    if isinstance(space, gym.spaces.Tuple):
        return tuple(one_hot(item, part) for item, part in zip(value, space.spaces, strict=True))
    if isinstance(space, gym.spaces.Discrete):
        encoded: Any = np.eye(int(space.n), dtype=np.float32)[np.asarray(value, dtype=np.int64) - int(space.start)]
        return encoded
    if isinstance(space, gym.spaces.MultiDiscrete):
        values = np.asarray(value, dtype=np.int64) - space.start
        flat = values.reshape(*values.shape[: values.ndim - len(space.nvec.shape)], -1)
        parts = [np.eye(int(n), dtype=np.float32)[flat[..., i]] for i, n in enumerate(space.nvec.reshape(-1))]
        return np.concatenate(parts, axis=-1)
    return value


def _items(tree: Any) -> list[Any]:
    count = len(next(iter(leaves(tree))))
    return [map_leaves(lambda leaf, i=i: leaf[i], tree) for i in range(count)]
