"""A search space as a tree: which parameters it has, and how it becomes a configuration once each has its value."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from shoal.tune._internal.logic.partial_config import PartialConfig, Unresolved, UnresolvedRead
from shoal.tune._internal.logic.shared_randomness import SharedRandomness
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search_space import Categorical, Domain, Function, same

Path = tuple[str | int, ...]
Ask = Callable[[str, Domain], Any]
"""Returns the value of the parameter with this name; for a Categorical the index of the category."""


def parameters(space: Any) -> dict[str, Domain]:
    """Returns what there is to search, by name ('a/b'; 'a[1]/b' for a parameter of the choice's second category).

    Raises InvalidArgumentError where there is a grid: whoever asks this cannot go through grids.
    """
    found = dict(_parameters(space, ""))
    grids = [name for name, domain in found.items() if domain.is_grid()]
    if grids:
        raise InvalidArgumentError(
            f"the space has grid_search at {', '.join(map(repr, grids))}, and this searcher suggests values of its own: "
            "use choice(...) there, or leave search_alg out to go through grids"
        )
    return found


def grids(space: Any) -> dict[str, tuple[Any, ...]]:
    """Returns the values of each grid, by name. Those inside of values of a grid are not among them."""
    return dict(_grids(space, ""))


def has_unresolved(space: Any) -> bool:
    """Returns whether there is anything to search, or to compute."""
    return any(isinstance(leaf, Domain) for _, leaf in _leaves(space, ()))


def resolved(space: Mapping[str, Any], ask: Ask, random: np.random.Generator) -> Any:
    """Returns the configuration in which each parameter has the value that `ask` returns, asked in the order of the space.

    Functions are called when what they read has its value. `random` seeds them.

    Raises:
        InvalidArgumentError: functions wait for each other.
    """
    config = _asked(space, ask, "")
    waiting: list[tuple[Path, Function]] = [
        (path, leaf.what) for path, leaf in _leaves(config, ()) if isinstance(leaf, Unresolved)
    ]
    if not waiting:
        return config
    chance = SharedRandomness(int(random.integers(2**32)))
    while waiting:
        still: list[tuple[Path, Function]] = []
        reads: dict[str, str] = {}
        for path, function in waiting:
            try:
                with chance.lent():
                    value = function.draw(random, PartialConfig(config))
            except UnresolvedRead as read:
                reads["/".join(map(str, path))] = str(read)
                still.append((path, function))
                continue
            except Exception as error:
                error.add_note(f"It was raised by the function given to sample_from for {'/'.join(map(str, path))!r}.")
                raise
            made = _asked(_plain(value), ask, "/".join(map(str, path)))
            config = _put(config, path, made)
            still.extend(
                ((*path, *inner), leaf.what) for inner, leaf in _leaves(made, ()) if isinstance(leaf, Unresolved)
            )
        if len(still) == len(waiting) and len(reads) == len(waiting):
            circle = "; ".join(f"{path!r} reads {read!r}" for path, read in reads.items())
            raise InvalidArgumentError(
                f"sample_from: parameters wait for each other: {circle}. Let one of them have a value of its own"
            )
        waiting = still
    return config


def fixed(space: Any, values: Mapping[str, Any], name: str = "") -> Any:
    """Returns the space with values (indices of categories) in the place of some parameters, by their names."""
    if isinstance(space, Domain):
        if name not in values:
            return space
        if isinstance(space, Categorical):
            return fixed(space.categories[values[name]], values, f"{name}[{values[name]}]")
        return values[name]
    grid = _grid_in(space)
    if grid is not None:
        return fixed(grid, values, name) if name in values else space
    return _mapped(space, name, lambda value, inner: fixed(value, values, inner))


def matched(space: Any, point: Any, name: str = "") -> dict[str, Any]:
    """Returns the values (indices of categories) by parameters' names that make this configuration, or this part of one.

    Names may also be given flat: {'a/b': 1} for {'a': {'b': 1}}.

    Raises:
        InvalidArgumentError: the point has a key that the space has not, or a value that its domain has not.
    """
    grid = _grid_in(space)
    space = grid if grid is not None else space
    if isinstance(space, Categorical):
        index = space.index_of(point)
        if index is not None and not has_unresolved(space.categories[index]):
            return {name: index}
        for index, category in enumerate(space.categories):
            if _shaped(category, point):
                try:
                    return {name: index} | matched(category, point, f"{name}[{index}]")
                except InvalidArgumentError:
                    continue
        raise InvalidArgumentError(f"the point has {point!r} at {name!r}, which is none of {space.domain_str}")
    if isinstance(space, Function):
        return {name: point}
    if isinstance(space, Domain):
        if not space.is_valid(point):
            raise InvalidArgumentError(f"the point has {point!r} at {name!r}, which is not in {space.domain_str}")
        return {name: space.cast(point)}
    if isinstance(space, dict) and isinstance(point, Mapping):
        found: dict[str, Any] = {}
        for key, value in point.items():
            inner, rest = _entered(space, key, name)
            found |= matched(inner, value, rest)
        return found
    if type(space) in (list, tuple) and isinstance(point, list | tuple) and len(space) == len(point):
        found = {}
        for index, (inner, value) in enumerate(zip(space, point, strict=True)):
            found |= matched(inner, value, _joined(name, index))
        return found
    if not same(space, point):
        raise InvalidArgumentError(f"the point has {point!r} at {name!r}, where the space has {space!r} for all trials")
    return {}


def varied(space: Any, config: Any, path: str = "") -> dict[str, Any]:
    """Returns the part of a configuration that differs between trials, flat ('a/b')."""
    if isinstance(space, Domain) or _grid_in(space) is not None:
        return {path: config}
    found: dict[str, Any] = {}
    if isinstance(space, dict) and isinstance(config, Mapping):
        for key, value in space.items():
            if key in config:
                found |= varied(value, config[key], _joined(path, key))
    elif type(space) in (list, tuple) and isinstance(config, list | tuple):
        for index, (value, inner) in enumerate(zip(space, config, strict=False)):
            found |= varied(value, inner, _joined(path, index))
    return found


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {'a': {'b': 1}} for {'a/b': 1}."""
    config: dict[str, Any] = {}
    for name, value in flat.items():
        *outer, last = name.split("/")
        inside = config
        for key in outer:
            inside = inside.setdefault(key, {})
        inside[last] = value
    return config


def _parameters(space: Any, name: str) -> Iterator[tuple[str, Domain]]:
    if isinstance(space, Function):
        return
    grid = _grid_in(space)
    space = grid if grid is not None else space
    if isinstance(space, Domain):
        yield name, space
        if isinstance(space, Categorical):
            for index, category in enumerate(space.categories):
                yield from _parameters(category, f"{name}[{index}]")
        return
    for key, value in _children(space):
        yield from _parameters(value, _joined(name, key))


def _grids(space: Any, name: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    grid = _grid_in(space)
    if grid is not None:
        yield name, grid.categories
    elif not isinstance(space, Domain):
        for key, value in _children(space):
            yield from _grids(value, _joined(name, key))


def _leaves(space: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    grid = _grid_in(space)
    if grid is not None:
        yield path, grid
    elif isinstance(space, Domain | Unresolved):
        yield path, space
    else:
        for key, value in _children(space):
            yield from _leaves(value, (*path, key))


def _asked(space: Any, ask: Ask, name: str) -> Any:
    if isinstance(space, Function):
        return Unresolved(space)
    if isinstance(space, Categorical):
        index = ask(name, space)
        return _asked(space.categories[index], ask, f"{name}[{index}]")
    if isinstance(space, Domain):
        return ask(name, space)
    if _grid_in(space) is not None:
        raise InvalidArgumentError(
            f"there is a grid_search at {name!r}, only for some values of other parameters; put it outside of choice and sample_from"
        )
    return _mapped(space, name, lambda value, inner: _asked(value, ask, inner))


def _mapped(space: Any, name: str, make: Callable[[Any, str], Any]) -> Any:
    if isinstance(space, dict):
        return {key: make(value, _joined(name, key)) for key, value in space.items()}
    if type(space) in (list, tuple):
        return type(space)(make(value, _joined(name, index)) for index, value in enumerate(space))
    return space


def _children(space: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(space, dict):
        yield from space.items()
    elif type(space) in (list, tuple):
        yield from enumerate(space)


def _grid_in(space: Any) -> Categorical | None:
    """Ray writes a grid as a dict."""
    if isinstance(space, Categorical) and space.is_grid():
        return space
    if isinstance(space, dict) and len(space) == 1 and "grid_search" in space:
        values = space["grid_search"]
        if not isinstance(values, list | tuple) or not values:
            raise InvalidArgumentError(f"grid_search: values is {values!r}; give a list with at least one value")
        return Categorical(tuple(values)).grid()
    return None


def _entered(space: dict[Any, Any], key: Any, name: str) -> tuple[Any, str]:
    if key in space:
        return space[key], _joined(name, key)
    if isinstance(key, str) and "/" in key:
        first, rest = key.split("/", 1)
        if isinstance(space.get(first), dict):
            return _entered(space[first], rest, _joined(name, first))
        if type(space.get(first)) in (list, tuple) and rest.isdigit() and int(rest) < len(space[first]):
            return space[first][int(rest)], _joined(_joined(name, first), int(rest))
    known = [_joined(name, known) for known in space]
    close = difflib.get_close_matches(_joined(name, key), known, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"it has {', '.join(map(repr, known))}"
    raise InvalidArgumentError(f"the point has {_joined(name, key)!r}, which the space has not; {hint}")


def _shaped(category: Any, point: Any) -> bool:
    """Whether a point may be meant for this category: partial points would match each."""
    if isinstance(category, dict):
        return isinstance(point, Mapping) and set(category) == set(point)
    return has_unresolved(category)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value


def _put(config: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    step: Any = path[0]
    inner = _put(config[step], path[1:], value)
    if isinstance(config, tuple):
        return (*config[:step], inner, *config[step + 1 :])
    config[step] = inner
    return config


def _joined(name: str, key: Any) -> str:
    return f"{name}/{key}" if name else str(key)
