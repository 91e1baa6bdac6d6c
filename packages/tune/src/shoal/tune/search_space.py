"""What a parameter may be: domains to draw from, and grids to go through."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from shoal.tune.exceptions import InvalidArgumentError

N = TypeVar("N", int, float)


class Domain(ABC):
    """Values of one parameter."""

    @abstractmethod
    def draw(self, random: np.random.Generator, config: dict[str, Any]) -> Any:
        """Returns one value, by chance. `config`: what has been drawn so far."""


@dataclass(frozen=True)
class Float(Domain):
    """Numbers from `lower` to `upper`, evenly, or evenly in their logarithms; rounded to multiples of `q`."""

    lower: float
    upper: float
    log: bool = False
    q: float | None = None

    def draw(self, random: np.random.Generator, config: dict[str, Any]) -> float:
        if self.log:
            value = math.exp(random.uniform(math.log(self.lower), math.log(self.upper)))
        else:
            value = random.uniform(self.lower, self.upper)
        value = round(value / self.q) * self.q if self.q is not None else value
        return min(max(float(value), self.lower), self.upper)


@dataclass(frozen=True)
class Integer(Domain):
    """Whole numbers from `lower` to `upper` (without it; with it where there is a `q` > 1)."""

    lower: int
    upper: int
    log: bool = False
    q: int = 1

    def draw(self, random: np.random.Generator, config: dict[str, Any]) -> int:
        last = self.upper if self.q > 1 else self.upper - 1
        if self.log:
            value = int(math.exp(random.uniform(math.log(self.lower), math.log(last + 1))))
        else:
            value = int(random.integers(self.lower, last, endpoint=True))
        value = round(value / self.q) * self.q if self.q > 1 else value
        return min(max(value, self.lower), last)


@dataclass(frozen=True)
class Normal(Domain):
    """Numbers around `mean`, with standard deviation `sd`; rounded to multiples of `q`."""

    mean: float
    sd: float
    q: float | None = None

    def draw(self, random: np.random.Generator, config: dict[str, Any]) -> float:
        value = float(random.normal(self.mean, self.sd))
        return round(value / self.q) * self.q if self.q is not None else value


@dataclass(frozen=True)
class Categorical(Domain):
    """One of some values."""

    categories: tuple[Any, ...]

    def draw(self, random: np.random.Generator, config: dict[str, Any]) -> Any:
        return self.categories[int(random.integers(len(self.categories)))]


@dataclass(frozen=True)
class Function(Domain):
    """What a function makes of the parameters that were drawn before."""

    function: Callable[[dict[str, Any]], Any]

    def draw(self, random: np.random.Generator, config: dict[str, Any]) -> Any:
        return self.function(config)


@dataclass(frozen=True)
class Grid:
    """All of some values, one after the other."""

    values: tuple[Any, ...]


def uniform(lower: float, upper: float) -> Float:
    """Returns numbers from `lower` to `upper`. Raises InvalidArgumentError where there are none."""
    return Float(*_ordered("uniform", lower, upper))


def loguniform(lower: float, upper: float, base: float = 10) -> Float:
    """Returns numbers from `lower` (> 0) to `upper`, evenly in their logarithms; the base does not matter."""
    return Float(*_positive("loguniform", lower, upper), log=True)


def quniform(lower: float, upper: float, q: float) -> Float:
    """Returns multiples of `q` from `lower` to `upper`."""
    return Float(*_ordered("quniform", lower, upper), q=q)


def qloguniform(lower: float, upper: float, q: float, base: float = 10) -> Float:
    """Returns multiples of `q`, evenly in their logarithms."""
    return Float(*_positive("qloguniform", lower, upper), log=True, q=q)


def randint(lower: int, upper: int) -> Integer:
    """Returns whole numbers from `lower` to `upper` - 1."""
    return Integer(*_ordered("randint", lower, upper))


def qrandint(lower: int, upper: int, q: int = 1) -> Integer:
    """Returns multiples of `q` from `lower` to `upper`, with it."""
    return Integer(*_ordered("qrandint", lower, upper), q=q)


def lograndint(lower: int, upper: int, base: float = 10) -> Integer:
    """Returns whole numbers from `lower` (> 0) to `upper` - 1, evenly in their logarithms."""
    return Integer(*_positive("lograndint", lower, upper), log=True)


def qlograndint(lower: int, upper: int, q: int, base: float = 10) -> Integer:
    """Returns multiples of `q` from `lower` (> 0) to `upper`, with it, evenly in their logarithms."""
    return Integer(*_positive("qlograndint", lower, upper), log=True, q=q)


def randn(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """Returns numbers of a normal distribution."""
    return Normal(mean, sd)


def qrandn(mean: float, sd: float, q: float) -> Normal:
    """Returns the same, as multiples of `q`."""
    return Normal(mean, sd, q)


def choice(categories: Sequence[Any]) -> Categorical:
    """Returns one of some values. Raises InvalidArgumentError where there are none."""
    if len(categories) == 0:
        raise InvalidArgumentError("choice: categories is empty; give at least one value")
    return Categorical(tuple(categories))


def sample_from(func: Callable[[dict[str, Any]], Any]) -> Function:
    """Returns what a function makes of the parameters that stand before it."""
    return Function(func)


def grid_search(values: Sequence[Any]) -> Grid:
    """Returns all of some values: each becomes a trial, with all values of other grids. Raises InvalidArgumentError for none."""
    if len(values) == 0:
        raise InvalidArgumentError("grid_search: values is empty; give at least one value")
    return Grid(tuple(values))


def _ordered(name: str, lower: N, upper: N) -> tuple[N, N]:
    if not lower < upper:
        raise InvalidArgumentError(f"{name}: lower is {lower!r} and upper is {upper!r}; lower has to be below upper")
    return lower, upper


def _positive(name: str, lower: N, upper: N) -> tuple[N, N]:
    if lower <= 0:
        raise InvalidArgumentError(f"{name}: lower is {lower!r}; logarithms need numbers > 0")
    return _ordered(name, lower, upper)
