"""Nested values: dictionaries and tuples (or lists) whose leaves are arrays, tensors, spaces or whatever else is none of these.

Dictionaries are walked in the order of their sorted keys, so that two with equal keys always match. What sampling handles, where a list is
a series of steps and so a leaf, goes by `nested`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def leaves(structure: Any) -> list[Any]:
    """The leaves of a nested value, from left to right. A value that is not nested is its own leaf."""
    return [leaf for _, leaf in leaves_with_path(structure)]


def leaves_with_path(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each leaf with the keys and indices that lead to it."""
    if isinstance(structure, Mapping):
        for key in _keys(structure):
            yield from leaves_with_path(structure[key], (*path, key))
    elif isinstance(structure, tuple | list):
        for index, part in enumerate(structure):
            yield from leaves_with_path(part, (*path, index))
    else:
        yield path, structure


def map_structure(function: Callable[..., Any], structure: Any, *others: Any) -> Any:
    """A value of the same shape whose leaves are `function(leaf, *leaves of others in the same place)`."""
    if isinstance(structure, Mapping):
        return {key: map_structure(function, structure[key], *(other[key] for other in others)) for key in structure}
    if isinstance(structure, tuple | list):
        parts = [map_structure(function, *together) for together in zip(structure, *others, strict=True)]
        return _like(structure, parts)
    return function(structure, *others)


def unflatten_as(structure: Any, flat: Sequence[Any]) -> Any:
    """A value of the shape of `structure` with these leaves, in the order that `leaves` gives them."""
    rest = iter(flat)
    made = _unflatten(structure, rest)
    if next(rest, _END) is not _END:
        raise ValueError(f"{len(flat)} leaves are more than the structure {structure!r} has")
    return made


_END = object()


def _unflatten(structure: Any, rest: Iterator[Any]) -> Any:
    if isinstance(structure, Mapping):
        return {key: _unflatten(structure[key], rest) for key in _keys(structure)}
    if isinstance(structure, tuple | list):
        return _like(structure, [_unflatten(part, rest) for part in structure])
    leaf = next(rest, _END)
    if leaf is _END:
        raise ValueError(f"the structure {structure!r} needs more leaves than were given")
    return leaf


def _like(structure: Any, parts: list[Any]) -> Any:
    if isinstance(structure, list):
        return parts
    return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)


def _keys(structure: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(structure)
    except TypeError:  # keys of several types
        return sorted(structure, key=str)
