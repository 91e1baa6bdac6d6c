"""From a search space to configurations: grids times samples. A function of the seed and the trial's number alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from shoal.tune.search_space import Domain, Grid

Path = tuple[str | int, ...]


def variants(space: Mapping[str, Any], samples: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yields one configuration a trial: all combinations of the grids, `samples` times (-1: without end).

    Args:
        space: parameters, nested in dicts and lists; what is no domain is taken as it is.
        samples: how often the grids are gone through.
        seed: trial n draws from a generator of its own, so its values depend on neither other trials nor timing.
    """
    grids = list(_found(space, Grid))
    number = 0
    for _ in itertools.count() if samples == -1 else range(samples):
        for chosen in itertools.product(*(grid.values for _, grid in grids)):
            random = np.random.default_rng([seed, number])
            config: dict[str, Any] = _copied(space)
            for (path, _), value in zip(grids, chosen, strict=True):
                _put(config, path, value)
            for path, domain in _found(space, Domain):
                _put(config, path, domain.draw(random, config))
            yield config
            number += 1


def count_of(space: Mapping[str, Any], samples: int) -> int | None:
    """Returns how many trials there will be; None for no end."""
    grids = 1
    for _, grid in _found(space, Grid):
        grids *= len(grid.values)
    return None if samples == -1 else grids * samples


def _found(space: Any, kind: type[Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(space, kind):
        yield path, space
    elif isinstance(space, Mapping):
        # Ray writes a grid as a dict too.
        if kind is Grid and set(space) == {"grid_search"}:
            yield path, Grid(tuple(space["grid_search"]))
            return
        for key, value in space.items():
            yield from _found(value, kind, (*path, key))
    elif isinstance(space, list | tuple):
        for key, value in enumerate(space):
            yield from _found(value, kind, (*path, key))


def _copied(space: Any) -> Any:
    if isinstance(space, Mapping):
        return {key: _copied(value) for key, value in space.items()}
    return [_copied(value) for value in space] if isinstance(space, list | tuple) else space


def _put(config: Any, path: Path, value: Any) -> None:
    for step in path[:-1]:
        config = config[step]
    config[path[-1]] = value
