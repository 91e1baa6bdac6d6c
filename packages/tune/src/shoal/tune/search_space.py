"""What a parameter may be: domains to draw from, grids to go through, functions of other parameters."""

from __future__ import annotations

import inspect
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np

from shoal.tune.exceptions import InvalidArgumentError

N = TypeVar("N", int, float)


class Sampler:
    """How values are drawn from a domain."""


@dataclass(frozen=True)
class Uniform(Sampler):
    """Evenly."""


@dataclass(frozen=True)
class LogUniform(Sampler):
    """Evenly in the logarithms. The base changes nothing; it is kept for Ray's signature."""

    base: float = 10


@dataclass(frozen=True)
class Normal(Sampler):
    """Around `mean`, with standard deviation `sd`; no bounds."""

    mean: float = 0.0
    sd: float = 1.0


@dataclass(frozen=True)
class Grid(Sampler):
    """All categories, one after the other: what `grid_search` means."""


@dataclass(frozen=True)
class Quantized(Sampler):
    """As `sampler` does, in multiples of `q`."""

    sampler: Sampler
    q: float


class Domain(ABC):
    """Values of one parameter."""

    sampler: Sampler

    @abstractmethod
    def draw(self, random: np.random.Generator, config: Mapping[str, Any]) -> Any:
        """Returns one value, by chance. `config`: the other parameters, for functions of them."""

    @abstractmethod
    def cast(self, value: Any) -> Any:
        """Returns the value in the domain's type."""

    @abstractmethod
    def is_valid(self, value: Any) -> bool:
        """Returns whether the domain has this value. Multiples of `q` are not insisted on."""

    @property
    @abstractmethod
    def domain_str(self) -> str:
        """The domain as a short text."""

    def sample(
        self,
        config: Mapping[str, Any] | None = None,
        size: int = 1,
        random_state: int | np.random.Generator | None = None,
    ) -> Any:
        """Returns one value, or a list of `size` > 1 values.

        Args:
            config: the other parameters, for `sample_from`.
            size: how many.
            random_state: a seed or a generator; None for other values each time.

        Example:
            >>> from shoal import tune
            >>> 0 <= tune.randint(0, 10).sample() < 10
            True
        """
        random = random_state if isinstance(random_state, np.random.Generator) else np.random.default_rng(random_state)
        values = [self.draw(random, config if config is not None else {}) for _ in range(size)]
        return values[0] if size == 1 else values

    def get_sampler(self) -> Sampler:
        """Returns how values are drawn."""
        return self.sampler

    def is_grid(self) -> bool:
        """Returns whether all values are gone through."""
        return isinstance(self.sampler, Grid)

    def is_function(self) -> bool:
        """Returns whether values come from a function."""
        return False


class _Number(Domain):
    """What floats and integers share."""

    @property
    def drawn(self) -> Sampler:
        """How values are drawn before they are quantized."""
        return self.sampler.sampler if isinstance(self.sampler, Quantized) else self.sampler

    @property
    def log(self) -> bool:
        """Whether values are even in their logarithms."""
        return isinstance(self.drawn, LogUniform)


@dataclass(frozen=True, init=False)
class Float(_Number):
    """Numbers from `lower` to `upper`; -inf and inf, or None, for no bound."""

    lower: float
    upper: float
    sampler: Sampler = field(default_factory=Uniform)

    def __init__(self, lower: float | None, upper: float | None, sampler: Sampler | None = None) -> None:
        object.__setattr__(self, "lower", -math.inf if lower is None else lower)
        object.__setattr__(self, "upper", math.inf if upper is None else upper)
        object.__setattr__(self, "sampler", Uniform() if sampler is None else sampler)

    def draw(self, random: np.random.Generator, config: Mapping[str, Any]) -> float:
        drawn = self.drawn
        if isinstance(drawn, Normal):
            return self.quantized_value(float(random.normal(drawn.mean, drawn.sd)))
        if self.log:
            return self.quantized_value(math.exp(random.uniform(math.log(self.lower), math.log(self.upper))))
        if self.q is not None:
            first, last = round(self.lower / self.q), round(self.upper / self.q)
            return _multiple(int(random.integers(first, last, endpoint=True)), self.q)
        return min(max(float(random.uniform(self.lower, self.upper)), self.lower), self.upper)

    def quantized_value(self, value: float) -> float:
        """Returns the value's nearest multiple of `q` in the bounds; without `q` the value, in the bounds."""
        if self.q is not None:
            value = _multiple(round(value / self.q), self.q)
        return min(max(value, self.lower), self.upper)

    def cast(self, value: Any) -> float:
        return float(value)

    def is_valid(self, value: Any) -> bool:
        return _is_number(value) and math.isfinite(value) and self.lower <= value <= self.upper

    @property
    def q(self) -> float | None:
        """Values are its multiples; None for no such demand."""
        return self.sampler.q if isinstance(self.sampler, Quantized) else None

    @property
    def is_bounded(self) -> bool:
        """Whether it has both bounds."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    @property
    def domain_str(self) -> str:
        return f"({self.lower}, {self.upper})"

    def uniform(self) -> Float:
        """Returns the same bounds, evenly. Raises InvalidArgumentError where a bound is missing."""
        if not self.is_bounded:
            raise InvalidArgumentError(f"uniform: the bounds are {self.domain_str}; give both, or use normal()")
        return uniform(self.lower, self.upper)

    def loguniform(self, base: float = 10) -> Float:
        """Returns the same bounds, evenly in the logarithms. Raises InvalidArgumentError where a bound is missing or <= 0."""
        if not self.is_bounded:
            raise InvalidArgumentError(f"loguniform: the bounds are {self.domain_str}; give both")
        return loguniform(self.lower, self.upper, base)

    def normal(self, mean: float = 0.0, sd: float = 1.0) -> Float:
        """Returns numbers around `mean`."""
        return Float(self.lower, self.upper, randn(mean, sd).sampler)

    def quantized(self, q: float) -> Float:
        """Returns multiples of `q`. Raises InvalidArgumentError where a bound is none."""
        return Float(self.lower, self.upper, Quantized(self.sampler, _step("quantized", self, q)))


@dataclass(frozen=True)
class Integer(_Number):
    """Whole numbers from `lower` to `upper`: without `upper`, unless they are quantized."""

    lower: int
    upper: int
    sampler: Sampler = field(default_factory=Uniform)

    @property
    def q(self) -> int:
        """Values are its multiples."""
        return int(self.sampler.q) if isinstance(self.sampler, Quantized) else 1

    @property
    def first(self) -> int:
        """The lowest value."""
        return -(-self.lower // self.q) * self.q

    @property
    def last(self) -> int:
        """The highest value."""
        return self.upper // self.q * self.q if isinstance(self.sampler, Quantized) else self.upper - 1

    def draw(self, random: np.random.Generator, config: Mapping[str, Any]) -> int:
        if self.log:
            return self.quantized_value(math.exp(random.uniform(math.log(self.first), math.log(self.last + 1))))
        return int(random.integers(self.first // self.q, self.last // self.q, endpoint=True)) * self.q

    def quantized_value(self, value: float) -> int:
        """Returns the whole number, or the nearest multiple of `q`, in the bounds."""
        whole = round(value / self.q) * self.q if self.q > 1 else math.floor(value + 1e-9)
        return min(max(whole, self.first), self.last)

    def cast(self, value: Any) -> int:
        return int(value)

    def is_valid(self, value: Any) -> bool:
        return _is_number(value) and value == math.floor(value) and self.lower <= value <= max(self.last, self.first)

    @property
    def domain_str(self) -> str:
        return f"({self.lower}, {self.upper})"

    def uniform(self) -> Integer:
        """Returns the same bounds, evenly."""
        return randint(self.lower, self.upper)

    def loguniform(self, base: float = 10) -> Integer:
        """Returns the same bounds, evenly in the logarithms. Raises InvalidArgumentError where `lower` <= 0."""
        return lograndint(self.lower, self.upper, base)

    def quantized(self, q: int) -> Integer:
        """Returns multiples of `q`, with `upper`. Raises InvalidArgumentError where there are none."""
        return replace(self, sampler=Quantized(self.sampler, _whole_step("quantized", self, q)))


@dataclass(frozen=True)
class Categorical(Domain):
    """One of some values."""

    categories: tuple[Any, ...]
    sampler: Sampler = field(default_factory=Uniform)

    def draw(self, random: np.random.Generator, config: Mapping[str, Any]) -> Any:
        return self.categories[int(random.integers(len(self.categories)))]

    def index_of(self, value: Any) -> int | None:
        """Returns the place of a value; None where it is not among the categories."""
        for index, category in enumerate(self.categories):
            if type(category) is type(value) and same(category, value):
                return index
        return next((index for index, category in enumerate(self.categories) if same(category, value)), None)

    def cast(self, value: Any) -> Any:
        return value

    def is_valid(self, value: Any) -> bool:
        return self.index_of(value) is not None

    def uniform(self) -> Categorical:
        """Returns the same categories, evenly."""
        return Categorical(self.categories)

    def grid(self) -> Categorical:
        """Returns the same categories, to go through all of them."""
        return Categorical(self.categories, Grid())

    def __len__(self) -> int:
        return len(self.categories)

    def __getitem__(self, index: int) -> Any:
        return self.categories[index]

    @property
    def domain_str(self) -> str:
        return str(list(self.categories))


@dataclass(frozen=True)
class Function(Domain):
    """What a function makes of the other parameters."""

    function: Callable[..., Any]
    sampler: Sampler = field(default_factory=Uniform)

    @cached_property
    def takes_config(self) -> bool:
        """Whether it takes an argument."""
        try:
            inspect.signature(self.function).bind({})
        except ValueError:  # a builtin that tells no signature
            return False
        except TypeError:
            return False
        return True

    def draw(self, random: np.random.Generator, config: Mapping[str, Any]) -> Any:
        return self.function(config) if self.takes_config else self.function()

    def cast(self, value: Any) -> Any:
        return value

    def is_valid(self, value: Any) -> bool:
        return True

    def is_function(self) -> bool:
        return True

    @property
    def domain_str(self) -> str:
        return f"{getattr(self.function, '__name__', repr(self.function))}()"

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        return type(self), (self.function, self.sampler)


def uniform(lower: float, upper: float) -> Float:
    """Returns numbers from `lower` to `upper`.

    Raises:
        InvalidArgumentError: (a ValueError) the bounds are no finite numbers, or in the wrong order.

    Example:
        >>> from shoal import tune
        >>> tune.uniform(0, 1).is_valid(0.5)
        True
    """
    return Float(*_ordered("uniform", _float("uniform", "lower", lower), _float("uniform", "upper", upper)))


def loguniform(lower: float, upper: float, base: float = 10) -> Float:
    """Returns numbers from `lower` (> 0) to `upper`, evenly in their logarithms; the base does not matter.

    Raises:
        InvalidArgumentError: as `uniform`, or `lower` <= 0.

    Example:
        >>> from shoal import tune
        >>> space = {"lr": tune.loguniform(1e-5, 1e-1)}
    """
    bounds = _float("loguniform", "lower", lower), _float("loguniform", "upper", upper)
    return Float(*_positive("loguniform", *bounds), LogUniform(_base("loguniform", base)))


def quniform(lower: float, upper: float, q: float) -> Float:
    """Returns multiples of `q` from `lower` to `upper`, with both. Raises InvalidArgumentError as `uniform`, or if `q` divides no bound."""
    domain = Float(*_ordered("quniform", _float("quniform", "lower", lower), _float("quniform", "upper", upper)))
    return Float(domain.lower, domain.upper, Quantized(Uniform(), _step("quniform", domain, q)))


def qloguniform(lower: float, upper: float, q: float, base: float = 10) -> Float:
    """Returns multiples of `q` from `lower` (> 0) to `upper`, evenly in their logarithms. Raises as `quniform` and `loguniform`."""
    bounds = _float("qloguniform", "lower", lower), _float("qloguniform", "upper", upper)
    domain = Float(*_positive("qloguniform", *bounds))
    sampler = Quantized(LogUniform(_base("qloguniform", base)), _step("qloguniform", domain, q))
    return Float(domain.lower, domain.upper, sampler)


def randint(lower: int, upper: int) -> Integer:
    """Returns whole numbers from `lower` to `upper` - 1. Raises InvalidArgumentError where there are none.

    Example:
        >>> from shoal import tune
        >>> tune.randint(0, 2).is_valid(2)
        False
    """
    return Integer(*_ordered("randint", _whole("randint", "lower", lower), _whole("randint", "upper", upper)))


def qrandint(lower: int, upper: int, q: int = 1) -> Integer:
    """Returns multiples of `q` from `lower` to `upper`, with it. Raises InvalidArgumentError where there are none."""
    domain = Integer(*_ordered("qrandint", _whole("qrandint", "lower", lower), _whole("qrandint", "upper", upper)))
    return replace(domain, sampler=Quantized(Uniform(), _whole_step("qrandint", domain, q)))


def lograndint(lower: int, upper: int, base: float = 10) -> Integer:
    """Returns whole numbers from `lower` (> 0) to `upper` - 1, evenly in their logarithms. Raises InvalidArgumentError."""
    bounds = _whole("lograndint", "lower", lower), _whole("lograndint", "upper", upper)
    return Integer(*_positive("lograndint", *bounds), LogUniform(_base("lograndint", base)))


def qlograndint(lower: int, upper: int, q: int, base: float = 10) -> Integer:
    """Returns multiples of `q` from `lower` (> 0) to `upper`, with it, evenly in their logarithms. Raises InvalidArgumentError."""
    bounds = _whole("qlograndint", "lower", lower), _whole("qlograndint", "upper", upper)
    domain = Integer(*_positive("qlograndint", *bounds))
    return replace(
        domain, sampler=Quantized(LogUniform(_base("qlograndint", base)), _whole_step("qlograndint", domain, q))
    )


def randn(mean: float = 0.0, sd: float = 1.0) -> Float:
    """Returns numbers of a normal distribution. Raises InvalidArgumentError where `sd` <= 0."""
    normal = Normal(_float("randn", "mean", mean), _float("randn", "sd", sd))
    if normal.sd <= 0:
        raise InvalidArgumentError(f"randn: sd is {sd!r}; give a number > 0")
    return Float(None, None, normal)


def qrandn(mean: float, sd: float, q: float) -> Float:
    """Returns numbers of a normal distribution, as multiples of `q`. Raises InvalidArgumentError where `sd` or `q` <= 0."""
    domain = randn(mean, sd)
    return Float(None, None, Quantized(domain.sampler, _step("qrandn", domain, q)))


def choice(categories: Sequence[Any]) -> Categorical:
    """Returns one of some values. A value may be a dict or list with domains of its own: they are drawn where it is chosen.

    Raises:
        InvalidArgumentError: (a ValueError) there are none.

    Example:
        >>> from shoal import tune
        >>> tune.choice(["sgd", "adam"]).is_valid("adam")
        True
    """
    return Categorical(_several("choice", "categories", categories))


def sample_from(func: Callable[..., Any]) -> Function:
    """Returns what a function makes of the other parameters, in whatever order they stand.

    Args:
        func: gets the parameters, as `config["a"]`, `config.a`, or as in Ray `spec.config.a`; or no argument. Chance that it takes from
            `random` or `numpy.random` is seeded by the search.

    Raises:
        InvalidArgumentError: (a ValueError) it cannot be called.

    Example:
        >>> from shoal import tune
        >>> space = {"width": tune.randint(1, 9), "depth": tune.sample_from(lambda config: 10 - config["width"])}
    """
    if not callable(func):
        raise InvalidArgumentError(f"sample_from: func is {func!r}; give a function of the configuration")
    return Function(func)


def grid_search(values: Sequence[Any]) -> dict[str, list[Any]]:
    """Returns all of some values: each becomes a trial, with all values of other grids.

    Raises:
        InvalidArgumentError: (a ValueError) there are none.

    Example:
        >>> from shoal import tune
        >>> tune.grid_search([1, 2])
        {'grid_search': [1, 2]}
    """
    return {"grid_search": list(_several("grid_search", "values", values))}


def same(one: Any, other: Any) -> bool:
    """Returns whether two values are equal; arrays where all of their elements are."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except ValueError:
        return bool(np.array_equal(one, other))


def _multiple(count: int, q: float) -> float:
    # 3 * 0.1 is 0.30000000000000004; what users write, see and group by is 0.3.
    return float(f"{count * q:.15g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _float(function: str, argument: str, value: Any) -> float:
    if not _is_number(value) or not math.isfinite(value):
        raise InvalidArgumentError(f"{function}: {argument} is {value!r}; give a finite number")
    return float(value)


def _whole(function: str, argument: str, value: Any) -> int:
    if _is_number(value) and math.isfinite(value) and value == int(value):
        return int(value)
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise InvalidArgumentError(f"{function}: {argument} is {value!r}; give a whole number") from None


def _base(function: str, base: Any) -> float:
    if not _is_number(base) or not math.isfinite(base) or base <= 0 or base == 1:
        raise InvalidArgumentError(f"{function}: base is {base!r}; give a number > 0, not 1, such as 10 or 2")
    return float(base)


def _step(function: str, domain: Float, q: Any) -> float:
    step = _float(function, "q", q)
    if step <= 0:
        raise InvalidArgumentError(f"{function}: q is {q!r}; give a number > 0")
    for name, bound in (("lower", domain.lower), ("upper", domain.upper)):
        if math.isfinite(bound) and not math.isclose(bound / step, round(bound / step), rel_tol=1e-7, abs_tol=1e-9):
            nearest = _multiple(round(bound / step), step)
            raise InvalidArgumentError(
                f"{function}: {name} is {bound!r}, which is no multiple of q = {q!r}; give {nearest!r}, or another q"
            )
    return step


def _whole_step(function: str, domain: Integer, q: Any) -> int:
    step = _whole(function, "q", q)
    if step < 1:
        raise InvalidArgumentError(f"{function}: q is {q!r}; give a whole number >= 1")
    if -(-domain.lower // step) * step > domain.upper:
        raise InvalidArgumentError(
            f"{function}: there is no multiple of q = {q!r} from {domain.lower} to {domain.upper}; give a smaller q, or wider bounds"
        )
    return step


def _several(function: str, argument: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__"):
        raise InvalidArgumentError(f"{function}: {argument} is {values!r}; give a list of values")
    if isinstance(values, set | frozenset):
        raise InvalidArgumentError(f"{function}: {argument} is a set, which has no order to repeat; give a list")
    found = tuple(values.tolist() if isinstance(values, np.ndarray) and values.ndim == 1 else values)
    if not found:
        raise InvalidArgumentError(f"{function}: {argument} is empty; give at least one value")
    return found


def _ordered(name: str, lower: N, upper: N) -> tuple[N, N]:
    if not lower < upper:
        hint = "; they are swapped" if lower > upper else ""
        raise InvalidArgumentError(
            f"{name}: lower is {lower!r} and upper is {upper!r}; lower has to be below upper{hint}"
        )
    return lower, upper


def _positive(name: str, lower: N, upper: N) -> tuple[N, N]:
    if lower <= 0:
        raise InvalidArgumentError(f"{name}: lower is {lower!r}; logarithms need numbers > 0")
    return _ordered(name, lower, upper)
