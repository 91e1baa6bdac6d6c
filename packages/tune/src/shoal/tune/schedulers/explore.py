"""How population based training changes a configuration: draws anew, or steps from what it copied. A function of its arguments alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search_space import Categorical, Domain, Float, Integer

Mutations = Mapping[str, Any]
"""For each parameter: values (list or tuple), a domain, a function that draws, or again such a mapping."""


def check_mutations(argument: str, mutations: object) -> None:
    """Raises InvalidArgumentError where it is no mapping of parameters to what they may become."""
    if not isinstance(mutations, Mapping):
        raise InvalidArgumentError(f"{argument} is {mutations!r}; give a dict of parameters and their values")
    for key, values in mutations.items():
        name = f"{argument}[{key!r}]"
        if isinstance(values, Mapping):
            if set(values) == {"grid_search"}:
                raise InvalidArgumentError(f"{name} is a grid_search; give a list of values, a domain or a function")
            check_mutations(name, values)
        elif isinstance(values, list | tuple):
            if not values:
                raise InvalidArgumentError(f"{name} is empty; give at least one value")
        elif not isinstance(values, Domain) and not callable(values):
            raise InvalidArgumentError(
                f"{name} is {values!r}; give a list of values, a domain such as tune.uniform(0, 1), or a function that draws"
            )


def completed(config: Mapping[str, Any], mutations: Mutations, chance: random.Random) -> dict[str, Any]:
    """Returns a configuration with all parameters of `mutations`: those that it lacks are drawn."""
    complete = dict(config)
    for key, values in mutations.items():
        if isinstance(values, Mapping):
            inner = complete.get(key, {})
            complete[key] = completed(inner if isinstance(inner, Mapping) else {}, values, chance)
        elif key not in complete:
            complete[key] = drawn(values, chance, complete)
    return complete


def explored(
    config: Mapping[str, Any],
    mutations: Mutations,
    resample_probability: float,
    perturbation_factors: Sequence[float],
    chance: random.Random,
) -> dict[str, Any]:
    """Returns a configuration with all parameters of `mutations` changed.

    Args:
        resample_probability: of drawing a parameter anew. Else a number is multiplied by one of `perturbation_factors`, and stays
            within its domain; of a list, a value next to the old one is taken; and what can be neither is drawn anew.
    """
    new = dict(config)
    for key, values in mutations.items():
        if isinstance(values, Mapping):
            new[key] = explored(new[key], values, resample_probability, perturbation_factors, chance)
            continue
        resample = chance.random() < resample_probability
        if isinstance(values, list | tuple | Categorical):
            new[key] = _neighbour(new[key], _listed(values), resample, chance)
        elif resample or isinstance(new[key], bool) or not isinstance(new[key], int | float | np.number):
            new[key] = drawn(values, chance, new)
        else:
            new[key] = _scaled(new[key], chance.choice(list(perturbation_factors)), values)
    return new


def drawn(values: Any, chance: random.Random, config: dict[str, Any]) -> Any:
    """Returns one value by chance."""
    if isinstance(values, list | tuple | Categorical):
        return chance.choice(_listed(values))
    if isinstance(values, Domain):
        return values.draw(np.random.default_rng(chance.getrandbits(64)), config)
    return values()


def changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the parameters ('a/b' where nested) that differ, with their new values."""
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from changes(before, value, f"{prefix}{key}/")
        elif before is not value and not _same(before, value):
            yield f"{prefix}{key}", value


def tag_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Returns what is added to a trial's tag when its configuration changes."""
    texts = [
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in changes(old, new)
    ]
    return f"perturbed[{','.join(texts)}]"


def _listed(values: Any) -> list[Any]:
    return list(values.categories if isinstance(values, Categorical) else values)


def _neighbour(value: Any, values: list[Any], resample: bool, chance: random.Random) -> Any:
    places = [place for place, other in enumerate(values) if _same(other, value)]
    if resample or not places:
        return chance.choice(values)
    return values[min(max(places[0] + chance.choice((-1, 1)), 0), len(values) - 1)]


def _scaled(value: Any, factor: float, values: Domain | Callable[[], Any]) -> Any:
    number = float(value) * factor
    if isinstance(values, Float | Integer):
        return values.quantized_value(number)
    return int(number) if isinstance(value, int | np.integer) else number


def _same(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except ValueError:  # arrays
        return False
