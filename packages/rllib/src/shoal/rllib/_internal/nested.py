"""Values of Dict and Tuple spaces: dictionaries and tuples of arrays. Lists are leaves; where they are parts, see `structures`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Returns a tree of the same form whose leaves are what the function returns of the trees' leaves at that place."""
    if isinstance(tree, dict):
        return {key: map_leaves(function, value, *(other[key] for other in others)) for key, value in tree.items()}
    if isinstance(tree, tuple):
        mapped = [map_leaves(function, *values) for values in zip(tree, *others, strict=True)]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else tuple(mapped)
    return function(tree, *others)


def leaves(tree: Any) -> Iterator[Any]:
    """Yields the leaves, in the order of their keys in the dictionaries."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, tuple):
        for value in tree:
            yield from leaves(value)
    else:
        yield tree


def is_nested(tree: Any) -> bool:
    return isinstance(tree, dict | tuple)


def first_leaf(tree: Any) -> Any:
    return next(leaves(tree))


def stack(items: Sequence[Any]) -> Any:
    """Returns one tree of arrays with a first axis for the items."""
    first = items[0]
    if is_nested(first):
        return map_leaves(lambda *values: np.asarray(values), first, *items[1:])
    return np.asarray(items)


def unstack(tree: Any) -> list[Any]:
    """Returns the items along the first axis of a tree of arrays."""
    if not is_nested(tree):
        return list(tree)
    return [map_leaves(lambda leaf, i=i: leaf[i], tree) for i in range(len(first_leaf(tree)))]


def concatenate(trees: Sequence[Any]) -> Any:
    """Returns one tree of arrays: those of the trees, one after the other along the first axis."""
    if len(trees) == 1:
        return trees[0]
    return map_leaves(lambda *values: np.concatenate(values), *trees)


def assign(tree: Any, index: Any, values: Any) -> None:
    """Sets, in each of a tree's arrays, what the index picks to the value at the same place of another tree."""
    if isinstance(tree, dict):
        for key, part in tree.items():
            assign(part, index, values[key])
    elif isinstance(tree, tuple):
        for part, value in zip(tree, values, strict=True):
            assign(part, index, value)
    else:
        tree[index] = values


def own(tree: Any) -> Any:
    """Returns a tree with copies of its arrays: whoever gave it may write into its own again."""
    return map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, tree)
