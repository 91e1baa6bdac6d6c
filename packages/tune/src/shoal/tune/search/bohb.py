"""Search by BOHB: kernel densities of good and bad results at the largest budget that has enough of them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from shoal.tune._internal.logic.parameter_tree import nested
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.objective import MISSING, lookup
from shoal.tune.search.space_searcher import SpaceSearcher, Values, bounds_of, canonical, closest, missing_library
from shoal.tune.search_space import Categorical, Domain, Float, Integer, Normal

logger = logging.getLogger(__name__)

_OPTIONS = (
    "min_points_in_model",
    "top_n_percent",
    "num_samples",
    "random_fraction",
    "bandwidth_factor",
    "min_bandwidth",
)


class TuneBOHB(SpaceSearcher):
    """Suggests what HpBandSter's BOHB suggests.

    Falkner, Klein and Hutter, *BOHB: Robust and Efficient Hyperparameter Optimization at Scale*, 2018. Give it together with
    HyperBandForBOHB: each result at a rung counts at that rung's budget, and suggestions come from the largest budget of which enough is
    known. A trial that reached no rung counts with its last result, or as a failure, at the smallest budget; so with another scheduler the
    last results are all that counts.

    HyperBand keeps trials waiting for each other, so no order of trials is kept for the searcher: what a seed fixes are its own draws.
    Suggestions are the same where the results come in the same order, as with one trial at a time.

    Args:
        space: domains, nested, or a `ConfigSpace.ConfigurationSpace`. None to take the search's param_space.
        bohb_config: options of the generator of HpBandSter: min_points_in_model, top_n_percent, num_samples, random_fraction,
            bandwidth_factor, min_bandwidth.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first.
        seed: of its draws.
        max_concurrent: trials at a time, without those that wait at a rung; 0 for no limit.

    Raises:
        ImportError: hpbandster or ConfigSpace is not installed.
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.bohb import TuneBOHB
        >>> searcher = TuneBOHB({"x": tune.uniform(0, 1)}, metric="loss", mode="min", seed=1)
        >>> 0 <= searcher.suggest("t1")["x"] <= 1
        True
    """

    _can_be_ordered = False

    def __init__(
        self,
        space: Any = None,
        bohb_config: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
        max_concurrent: int = 0,
    ) -> None:
        try:
            with _quiet():
                import ConfigSpace
                import hpbandster.optimizers.config_generators.bohb  # noqa: F401
        except ImportError as error:
            raise missing_library("TuneBOHB", "bohb", error) from error
        if not isinstance(max_concurrent, int) or isinstance(max_concurrent, bool) or max_concurrent < 0:
            raise InvalidArgumentError(
                f"TuneBOHB: max_concurrent is {max_concurrent!r}; give a whole number, 0 for no limit"
            )
        for name in bohb_config or {}:
            if name not in _OPTIONS:
                raise InvalidArgumentError(f"TuneBOHB: bohb_config has {name!r}; {closest(str(name), _OPTIONS)}")
        self._options = dict(bohb_config or {})
        self._max_concurrent = max_concurrent
        self._generator: Any = None
        self._events = 0
        """Calls of the generator; each has chance of its own."""
        self._budgets: dict[str, float] = {}
        """The last budget at which each live trial was told."""
        self._smallest: float | None = None
        self._waiting: set[str] = set()
        """Live trials whose last result was at a rung."""
        self._given: Any = space if isinstance(space, ConfigSpace.ConfigurationSpace) else None
        given = self._given is not None
        super().__init__(None if given else space, metric, mode, points_to_evaluate, seed=seed)
        if given:
            self._own_space = True
            self._space = {}
            for point in self._points:
                self._wanted(point)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        if self._max_concurrent and self._max_concurrent != max_concurrent:
            raise InvalidArgumentError(
                f"max_concurrent_trials is {max_concurrent!r}, and TuneBOHB has max_concurrent={self._max_concurrent}; "
                "give the limit in one place"
            )
        self._max_concurrent = max_concurrent
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._max_concurrent and len(self._live) - len(self._waiting) >= self._max_concurrent:
            return None
        return super().suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id not in self._live:
            return
        budget = lookup(result, "hyperband_info/budget")
        if budget is None:
            self._waiting.discard(trial_id)
            return
        self._waiting.add(trial_id)
        # A trial that failed, and is tried again from an earlier checkpoint, comes to a rung twice.
        if budget > self._budgets.get(trial_id, -np.inf) and self._has_metric(result):
            self._learn(self._live[trial_id], budget, self._objective.values(result))
            self._budgets[trial_id] = budget
            self._smallest = budget if self._smallest is None else min(self._smallest, budget)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._waiting.discard(trial_id)
        super().on_trial_complete(trial_id, result, error)

    def _start(self) -> None:
        import ConfigSpace
        from hpbandster.optimizers.config_generators.bohb import BOHB

        with _quiet():
            space = self._given
            if space is None:
                space = ConfigSpace.ConfigurationSpace()
                space.add([_hyperparameter(label, domain) for _, label, domain in self._labelled()])
            self._generator = BOHB(space, logger=_OnlyDebug(logger), **self._options)

    def _ask(self, trial_id: str, wanted: Values | None) -> Values:
        if wanted is not None:
            return self._filled(wanted)
        with self._chance():
            found, _ = self._generator.get_config(None)
        if self._given is not None:
            return {name: _plain(value) for name, value in found.items()}
        return {name: _value(domain, found[label]) for name, label, domain in self._labelled()}

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        if self._budgets.pop(trial_id, None) is None:
            self._learn(values, self._smallest or 0.0, outcome)

    def _learn(self, values: Values, budget: float, outcome: Sequence[float] | None) -> None:
        if self._given is None:
            values = {label: _number(domain, values[name]) for name, label, domain in self._labelled()}
        result = None if outcome is None else {"loss": self._loss(outcome)}
        with self._chance():
            self._generator.new_result(
                SimpleNamespace(exception=None, result=result, kwargs={"budget": budget, "config": values})
            )

    def _labelled(self) -> Iterator[tuple[str, str, Domain]]:
        """Yields each parameter with its name in the library, to which some characters mean something."""
        for place, (name, domain) in enumerate(self._searched.items()):
            yield name, f"p{place}", domain

    def _has_metric(self, result: Mapping[str, Any]) -> bool:
        return lookup(result, self._objective.metrics[0], MISSING) is not MISSING

    def _wanted(self, point: Mapping[str, Any]) -> Values:
        if self._given is None:
            return super()._wanted(point)
        import ConfigSpace

        for name in point:
            if name not in self._given:
                raise InvalidArgumentError(
                    f"a point to begin with has {name!r}, which the space has not; {closest(str(name), list(self._given))}"
                )
        try:
            ConfigSpace.Configuration(self._given, values=point)
        except ValueError as error:  # all of ConfigSpace's own
            raise InvalidArgumentError(
                f"TuneBOHB: points_to_evaluate has {dict(point)!r}, which is none of the ConfigurationSpace: {error}"
            ) from error
        return dict(point)

    def _filled(self, values: Values) -> Values:
        return super()._filled(values) if self._given is None else values

    def _config_of(self, values: Values) -> dict[str, Any]:
        if self._given is None:
            return super()._config_of(values)
        self._suggested += 1
        return {**self._constants, **nested(values)}

    @contextmanager
    def _chance(self) -> Iterator[None]:
        """HpBandSter draws from numpy's one generator for all: it is seeded, and left as it was."""
        own = np.random.default_rng([self._chance_seed, self._events])
        self._events += 1
        before = np.random.get_state()
        np.random.seed(int(own.integers(2**32)))
        self._generator.configspace.seed(int(own.integers(2**31)))
        try:
            with _quiet():
                yield
        finally:
            np.random.set_state(before)


class _OnlyDebug(logging.LoggerAdapter[logging.Logger]):
    """Warnings of HpBandSter are of densities without overlap, which every search of categories has: no news."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        self.debug(msg, *args, **kwargs)


@contextmanager
def _quiet() -> Iterator[None]:
    """HpBandSter uses old names of ConfigSpace, which warn, and divides by zero where a density has one category only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _hyperparameter(label: str, domain: Domain) -> Any:
    import ConfigSpace

    if isinstance(domain, Categorical):
        return ConfigSpace.CategoricalHyperparameter(label, list(range(len(domain.categories))))
    if isinstance(domain, Integer):
        low, high = _number(domain, domain.first), _number(domain, domain.last)
        return ConfigSpace.UniformIntegerHyperparameter(label, low, high, log=domain.log)
    assert isinstance(domain, Float), domain
    low, high = bounds_of(domain)
    drawn = domain.drawn
    if isinstance(drawn, Normal):
        return ConfigSpace.NormalFloatHyperparameter(label, drawn.mean, drawn.sd, lower=low, upper=high)
    return ConfigSpace.UniformFloatHyperparameter(label, low, high, log=domain.log)


def _value(domain: Domain, number: Any) -> Any:
    if isinstance(domain, Integer):
        return canonical(domain, int(number) if domain.log else int(number) * domain.q)
    return canonical(domain, number)


def _number(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Integer):
        return int(value) if domain.log else int(value) // domain.q
    if isinstance(domain, Float):
        low, high = bounds_of(domain)
        return min(max(float(value), low), high)
    return value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
