"""From a search space to configurations: grids times samples. A function of the seed and the trial's number alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.tune._internal.logic.parameter_tree import fixed, grids, matched, resolved
from shoal.tune.search_space import Categorical, Domain


def variants(
    space: Mapping[str, Any],
    samples: int,
    seed: int,
    points: Sequence[Mapping[str, Any]] = (),
    constant_grid: bool = False,
    skip: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yields one configuration a trial: all combinations of the grids, `samples` times (-1: without end).

    Args:
        space: parameters, nested in dicts and lists; what is no domain is taken as it is.
        samples: how often the grids are gone through.
        seed: trial n draws from a generator of its own, so its values depend on neither other trials nor timing.
        points: values that the first samples have, one after the other.
        constant_grid: what is drawn is drawn once for all combinations of the grids.
        skip: how many of them are not yielded.
    """
    number = 0
    for sample in itertools.count() if samples == -1 else range(samples):
        given = fixed(space, matched(space, points[sample])) if sample < len(points) else space
        for combination in _combinations(given):
            if number >= skip:
                random = np.random.default_rng([seed, sample if constant_grid else number])
                yield resolved(combination, _drawing(random), random)
            number += 1


def count_of(space: Mapping[str, Any], samples: int, points: Sequence[Mapping[str, Any]] = ()) -> int | None:
    """Returns how many trials there will be; None for no end."""
    if samples == -1:
        return None
    given = sum(_size(fixed(space, matched(space, point))) for point in points[:samples])
    return given + max(0, samples - len(points)) * _size(space)


def _combinations(space: Any) -> Iterator[Any]:
    found = grids(space)
    if not found:
        yield space
        return
    for chosen in itertools.product(*(range(len(values)) for values in found.values())):
        # A grid's value may hold grids of its own.
        yield from _combinations(fixed(space, dict(zip(found, chosen, strict=True))))


def _size(space: Any) -> int:
    found = grids(space)
    if not any(_holds_grid(value) for values in found.values() for value in values):
        size = 1
        for values in found.values():
            size *= len(values)
        return size
    return sum(1 for _ in _combinations(space))


def _holds_grid(value: Any) -> bool:
    return bool(grids(value))


def _drawing(random: np.random.Generator) -> Any:
    def ask(name: str, domain: Domain) -> Any:
        if isinstance(domain, Categorical):
            return int(random.integers(len(domain.categories)))
        return domain.draw(random, {})

    return ask
