"""Dicts in dicts, as configurations and results are."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError


def flatten_dict(dt: Mapping[str, Any], delimiter: str = "/", prevent_delimiter: bool = False) -> dict[str, Any]:
    """Returns what is nested in dicts under joined names.

    Args:
        dt: to flatten; empty dicts in it stay.
        delimiter: between the names.
        prevent_delimiter: names with the delimiter in them are an error.

    Raises:
        InvalidArgumentError: (a ValueError) a name has the delimiter in it.

    Example:
        >>> from shoal.tune.utils import flatten_dict
        >>> flatten_dict({"a": {"b": 1, "c": {"d": 2}}})
        {'a/b': 1, 'a/c/d': 2}
    """
    flat: dict[str, Any] = {}
    for name, value in dt.items():
        if prevent_delimiter and delimiter in str(name):
            raise InvalidArgumentError(
                f"dt has {name!r}, with the delimiter {delimiter!r} in it; give another delimiter"
            )
        if isinstance(value, Mapping) and value:
            for inner, item in flatten_dict(value, delimiter, prevent_delimiter).items():
                flat[f"{name}{delimiter}{inner}"] = item
        else:
            flat[name] = value
    return flat


def unflatten_dict(dt: Mapping[str, Any], delimiter: str = "/") -> dict[str, Any]:
    """Returns the nested dicts that `flatten_dict` made flat."""
    tree: dict[str, Any] = {}
    for path, value in dt.items():
        *steps, last = str(path).split(delimiter)
        into = tree
        for step in steps:
            into = into.setdefault(step, {})
        into[last] = value
    return tree


def unflattened_lookup(flat_key: str, lookup: Mapping[str, Any] | Sequence[Any], delimiter: str = "/") -> Any:
    """Returns what a joined name stands for. Raises KeyError, or IndexError in a list.

    Args:
        flat_key: such as 'a/b', or 'a/0' into a list.
        lookup: to look in.
        delimiter: between the names.
    """
    if isinstance(lookup, Mapping) and flat_key in lookup:
        return lookup[flat_key]
    first, _, rest = flat_key.partition(delimiter)
    found = lookup[first] if isinstance(lookup, Mapping) else lookup[int(first)]
    return unflattened_lookup(rest, found, delimiter) if rest else found


def deep_update(
    original: dict[str, Any],
    new_dict: Mapping[str, Any],
    new_keys_allowed: bool = False,
    allow_new_subkey_list: Sequence[str] | None = None,
    override_all_if_type_changes: Sequence[str] | None = None,
    override_all_key_list: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Changes a dict by another one, dicts inside of it part by part, and returns it.

    Args:
        original: which is changed.
        new_dict: what it is changed to.
        new_keys_allowed: names may come that are not there; where they may not, one is an error.
        allow_new_subkey_list: dicts into which new names may come in any case.
        override_all_if_type_changes: dicts that are replaced as a whole where their 'type' becomes another.
        override_all_key_list: dicts that are replaced as a whole.

    Raises:
        InvalidArgumentError: (a ValueError) a name is not there.
    """
    for name, value in new_dict.items():
        if name not in original and not new_keys_allowed:
            raise InvalidArgumentError(f"new_dict has {name!r}; there are {', '.join(map(repr, original))}")
        old: Any = original.get(name)
        is_whole = not isinstance(old, dict) or not isinstance(value, Mapping) or name in (override_all_key_list or ())
        if is_whole or (name in (override_all_if_type_changes or ()) and value.get("type") != old.get("type")):
            original[name] = value
        else:
            deep_update(old, value, new_keys_allowed or name in (allow_new_subkey_list or ()))
    return original


def merge_dicts(d1: Mapping[str, Any], d2: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a new dict of two, dicts inside of them likewise; the second one counts."""
    return deep_update(copy.deepcopy(dict(d1)), d2, new_keys_allowed=True)
