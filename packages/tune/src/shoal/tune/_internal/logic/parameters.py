"""Configurations as trees, and as flat tables of 'a/b'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flattened(tree: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Returns the leaves of nested dicts, by 'a/b'. A dict that is empty is a leaf."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{path}/")
        else:
            flat[path] = value
    return flat


def unflattened(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested dicts of names like 'a/b'."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *steps, last = path.split("/") if isinstance(path, str) else [path]
        into = tree
        for step in steps:
            into = into.setdefault(step, {})
        into[last] = unflattened(value) if isinstance(value, Mapping) and value else value
    return tree
