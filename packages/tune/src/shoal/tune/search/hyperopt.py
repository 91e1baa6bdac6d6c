"""Search by Hyperopt's tree of Parzen estimators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.space_searcher import SpaceSearcher, Values, canonical, closest, missing_library
from shoal.tune.search_space import Categorical, Domain, Float, Integer, Normal


class HyperOptSearch(SpaceSearcher):
    """Suggests what Hyperopt's TPE suggests.

    Args:
        space: domains, nested, or Hyperopt's own expressions, nested (`{"x": hp.uniform("x", 0, 1)}`). None to take the search's
            param_space.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first; where the space is Hyperopt's, numbers by label, of an
            `hp.choice` the index.
        n_initial_points: random suggestions before the first that are modelled.
        random_state_seed: the same seed gives the same suggestions for one max_concurrent_trials, whatever the timing.
        gamma: part of the results that count as good.

    Raises:
        ImportError: hyperopt is not installed.
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.hyperopt import HyperOptSearch
        >>> searcher = HyperOptSearch({"x": tune.uniform(0, 1)}, metric="loss", mode="min", random_state_seed=1)
        >>> 0 <= searcher.suggest("t1")["x"] <= 1
        True
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        n_initial_points: int = 20,
        random_state_seed: int | None = None,
        gamma: float = 0.25,
    ) -> None:
        try:
            import hyperopt
        except ImportError as error:
            raise missing_library("HyperOptSearch", "hyperopt", error) from error
        if not isinstance(n_initial_points, int) or n_initial_points < 1:
            raise InvalidArgumentError(
                f"HyperOptSearch: n_initial_points is {n_initial_points!r}; give a whole number >= 1"
            )
        if not 0 < gamma < 1:
            raise InvalidArgumentError(f"HyperOptSearch: gamma is {gamma!r}; give a number between 0 and 1")
        self._suggest_next = partial(hyperopt.tpe.suggest, n_startup_jobs=n_initial_points, gamma=gamma, verbose=False)
        self._trials = hyperopt.Trials()
        self._domain: Any = None
        self._numbers: dict[str, int] = {}
        self._given: Any = space if _has_expressions(space) else None
        self._labels = [] if self._given is None else list(hyperopt.base.Domain(_nothing, self._given).params)
        super().__init__(
            None if self._given is not None else space, metric, mode, points_to_evaluate, seed=random_state_seed
        )
        if self._given is not None:
            self._own_space, self._space = True, {}
            for point in self._points:
                self._wanted(point)

    def _start(self) -> None:
        import hyperopt

        space = self._given
        if space is None:
            space = {name: _expression(hyperopt.hp, name, domain) for name, domain in self._searched.items()}
        self._domain = hyperopt.base.Domain(_nothing, space)

    def get_state(self) -> dict[str, Any]:
        # The domain is a graph of the space, which is stored anyway.
        return super().get_state() | {"_domain": None}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if self._started:
            self._start()

    def _ask(self, trial_id: str, wanted: Values | None) -> Values:
        [number] = self._trials.new_trial_ids(1)
        self._trials.refresh()
        [document] = self._suggest_next([number], self._domain, self._trials, int(self._random().integers(2**31)))
        found: dict[str, list[Any]] = document["misc"]["vals"]
        if wanted:
            self._draw_missing(found)
            numbers = {name: value for name, [value] in found.items()}
            numbers |= {name: self._to_number(name, value) for name, value in wanted.items() if name in found}
            _set_numbers(document, numbers)
        self._insert(document)
        self._numbers[trial_id] = number
        # What depends on another's choice may have no value.
        return {name: self._to_value(name, value) for name, values in found.items() for value in values}

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        import hyperopt

        number = self._numbers.pop(trial_id)
        document = next(one for one in self._trials.trials if one["tid"] == number)
        document["state"] = hyperopt.JOB_STATE_DONE if outcome is not None else hyperopt.JOB_STATE_ERROR
        document["result"] = self._result(outcome)
        self._trials.refresh()

    def _observe(self, values: Values, outcome: Sequence[float] | None) -> None:
        import hyperopt

        [number] = self._trials.new_trial_ids(1)
        [document] = hyperopt.rand.suggest([number], self._domain, self._trials, 0)
        _set_numbers(document, {name: self._to_number(name, value) for name, value in values.items()})
        document["state"] = hyperopt.JOB_STATE_DONE if outcome is not None else hyperopt.JOB_STATE_ERROR
        document["result"] = self._result(outcome)
        self._insert(document)

    def _wanted(self, point: Mapping[str, Any]) -> Values:
        if self._given is None:
            return super()._wanted(point)
        for name in point:
            if name not in self._labels:
                raise InvalidArgumentError(
                    f"a point to begin with has {name!r}, which is no label of the space; {closest(str(name), self._labels)}"
                )
        return dict(point)

    def _filled(self, values: Values) -> Values:
        return values if self._given is not None else super()._filled(values)

    def _config_of(self, values: Values) -> dict[str, Any]:
        config = super()._config_of(values)
        if self._given is None:
            return config
        import hyperopt

        return {**config, **hyperopt.space_eval(self._given, values)}

    def _draw_missing(self, found: dict[str, list[Any]]) -> None:
        """Gives all labels a value: a point may choose what Hyperopt did not, on which others depend."""
        from hyperopt.pyll import stochastic

        random = self._random()
        for name, values in found.items():
            if not values:
                values.append(stochastic.sample(self._domain.params[name], random))

    def _to_value(self, name: str, number: Any) -> Any:
        if self._given is not None:
            return number.item() if isinstance(number, np.generic) else number
        return _value(self._searched[name], number)

    def _to_number(self, name: str, value: Any) -> Any:
        return value if self._given is not None else _number(self._searched[name], value)

    def _insert(self, document: Any) -> None:
        self._trials.insert_trial_doc(document)
        self._trials.refresh()

    def _result(self, outcome: Sequence[float] | None) -> dict[str, Any]:
        import hyperopt

        if outcome is None:
            return {"status": hyperopt.STATUS_FAIL}
        return {"status": hyperopt.STATUS_OK, "loss": self._loss(outcome)}


def _set_numbers(document: Any, numbers: Mapping[str, Any]) -> None:
    """Has a document of Hyperopt's say that its labels have these numbers, and the others none."""
    fields = document["misc"]
    for name in fields["vals"]:
        fields["vals"][name] = [numbers[name]] if name in numbers else []
        fields["idxs"][name] = [document["tid"]] if name in numbers else []


def _has_expressions(space: Any) -> bool:
    """Whether Hyperopt's own expressions are in a space."""
    import hyperopt

    if isinstance(space, Mapping):
        return any(map(_has_expressions, space.values()))
    if isinstance(space, list | tuple):
        return any(map(_has_expressions, space))
    return isinstance(space, hyperopt.pyll.Apply)


def _nothing(values: Any) -> None:
    """Hyperopt wants a function; the search evaluates."""


def _expression(hp: Any, name: str, domain: Domain) -> Any:
    if isinstance(domain, Categorical):
        return hp.randint(name, len(domain.categories))
    if isinstance(domain, Integer):
        if domain.log:
            return hp.qloguniform(name, math.log(domain.first), math.log(domain.last), domain.q)
        # Half a step more on each side: rounding makes the first and the last as likely as the others.
        return hp.quniform(name, domain.first / domain.q - 0.5, domain.last / domain.q + 0.5, 1)
    assert isinstance(domain, Float), domain
    drawn = domain.drawn
    if isinstance(drawn, Normal):
        if domain.q is not None:
            return hp.qnormal(name, drawn.mean, drawn.sd, domain.q)
        return hp.normal(name, drawn.mean, drawn.sd)
    bounds = (math.log(domain.lower), math.log(domain.upper)) if domain.log else (domain.lower, domain.upper)
    if domain.q is not None:
        return (hp.qloguniform if domain.log else hp.quniform)(name, *bounds, domain.q)
    return (hp.loguniform if domain.log else hp.uniform)(name, *bounds)


def _value(domain: Domain, number: Any) -> Any:
    if isinstance(domain, Integer) and not domain.log:
        return canonical(domain, number * domain.q)
    return canonical(domain, number)


def _number(domain: Domain, value: Any) -> Any:
    return value / domain.q if isinstance(domain, Integer) and not domain.log else value
