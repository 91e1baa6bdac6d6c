"""Search spaces and the configurations that come of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shoal.tune._internal.logic.parameters import flattened
from shoal.tune.search_space import Domain, Grid


def merged(constants: Mapping[str, Any], suggested: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration with the constants of a space where a searcher suggested nothing."""
    result = dict(suggested)
    for key, value in constants.items():
        if key not in result:
            if not is_open(value):
                result[key] = value
        elif isinstance(value, Mapping) and isinstance(result[key], Mapping):
            result[key] = merged(value, result[key])
    return result


def is_open(value: Any) -> bool:
    """Whether a part of a space has anything to draw or to go through."""
    if isinstance(value, Domain | Grid):
        return True
    if isinstance(value, Mapping):
        return set(value) == {"grid_search"} or any(is_open(one) for one in value.values())
    return isinstance(value, list | tuple) and any(is_open(one) for one in value)


def evaluated(space: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the part of a configuration that differs between trials, flat: what the space leaves open, and what is not in the space."""
    return dict(_evaluated(space, config, ""))


def _evaluated(space: Any, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(space, Mapping) and isinstance(value, Mapping) and set(space) != {"grid_search"}:
        for key, part in value.items():
            below = f"{path}/{key}" if path else str(key)
            if key in space:
                yield from _evaluated(space[key], part, below)
            else:
                yield from flattened({below: part}).items()
    elif isinstance(space, list | tuple) and isinstance(value, list | tuple) and len(space) == len(value):
        for number, (inner, part) in enumerate(zip(space, value, strict=True)):
            yield from _evaluated(inner, part, f"{path}/{number}" if path else str(number))
    elif is_open(space):
        yield path, value
