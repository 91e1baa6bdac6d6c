"""Objects of a space that are made anew when its search is taken up again: references, datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.tune.search_space import Domain, Grid

_PLAIN = (str, bytes, int, float, bool, type(None))
_GRID = "grid_search"


def is_same_grid(stored: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether two dicts of `grid_search` differ in nothing but objects."""
    old, new = list(stored[_GRID]), list(given.get(_GRID, ()))
    return len(old) == len(new) and all(
        _is_equal(one, other) or (not isinstance(one, (*_PLAIN, list, tuple, dict)) and type(one) is type(other))
        for one, other in zip(old, new, strict=True)
    )


def with_renewed_objects(config: Any, stored: Any, given: Any) -> Any:
    """Returns a trial's configuration with the objects of the space that is given in place of those of the stored one.

    Args:
        config: of the trial, or a part of it.
        stored: the space that it was made of, or the same part of it.
        given: the space as it is now. What is plain (numbers, texts) counts as the trial has it.
    """
    if isinstance(stored, Mapping) and isinstance(given, Mapping):
        if set(stored) == {_GRID}:
            pairs = zip(stored[_GRID], given.get(_GRID, ()), strict=False)
            found = [new for old, new in pairs if _is_equal(old, config)]
            return found[0] if found and not isinstance(found[0], _PLAIN) else config
        if not isinstance(config, Mapping):
            return config
        both = stored.keys() & given.keys()
        return {
            name: with_renewed_objects(value, stored[name], given[name]) if name in both else value
            for name, value in config.items()
        }
    if isinstance(stored, (list, tuple)) and isinstance(given, type(stored)) and isinstance(config, type(stored)):
        if not len(config) == len(stored) == len(given):
            return config
        return type(config)(map(with_renewed_objects, config, stored, given))
    if isinstance(given, (*_PLAIN, Domain, Grid, Mapping, list, tuple)) or isinstance(stored, (Domain, Grid, Mapping)):
        return config
    return given


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:
        # Arrays and the like have no one answer.
        return False
