"""Search by Nevergrad's optimizers: evolution, particle swarms, and portfolios of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.space_searcher import SpaceSearcher, Values, canonical, missing_library
from shoal.tune.search_space import Categorical, Domain, Float, Integer, Normal


class NevergradSearch(SpaceSearcher):
    """Suggests what an optimizer of Nevergrad asks for.

    Args:
        optimizer: a class or family of `nevergrad.optimizers`; None for NGOpt, which chooses by the space and the budget.
        optimizer_kwargs: arguments of it, such as `budget` (else the search's num_samples, or 100) and `num_workers`.
        space: domains, nested. None to take the search's param_space.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first.
        seed: the same seed gives the same suggestions for one max_concurrent_trials, whatever the timing.

    Raises:
        ImportError: nevergrad is not installed.
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.nevergrad import NevergradSearch
        >>> searcher = NevergradSearch(space={"x": tune.uniform(0, 1)}, metric="loss", mode="min", seed=1)
        >>> 0 <= searcher.suggest("t1")["x"] <= 1
        True
    """

    def __init__(
        self,
        optimizer: Any = None,
        optimizer_kwargs: Mapping[str, Any] | None = None,
        space: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        seed: int | None = None,
    ) -> None:
        try:
            import nevergrad
        except ImportError as error:
            raise missing_library("NevergradSearch", "nevergrad", error) from error
        if optimizer is not None and not callable(optimizer):
            raise InvalidArgumentError(
                f"NevergradSearch: optimizer is {optimizer!r}; give a class of nevergrad.optimizers, such as NGOpt"
            )
        self._optimizer_class = optimizer if optimizer is not None else nevergrad.optimizers.NGOpt
        self._optimizer_kwargs = dict(optimizer_kwargs or {})
        self._optimizer: Any = None
        self._candidates: dict[str, Any] = {}
        self._worst: float | None = None
        super().__init__(space, metric, mode, points_to_evaluate, seed=seed)

    def _start(self) -> None:
        import nevergrad

        space = nevergrad.p.Dict(**{name: _parameter(nevergrad.p, domain) for name, domain in self._searched.items()})
        space.random_state = np.random.RandomState(self._chance_seed % 2**32)
        # NGOpt cannot choose without a budget.
        kwargs = {"budget": self._samples or 100} | self._optimizer_kwargs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._optimizer = self._optimizer_class(parametrization=space, **kwargs)

    def _ask(self, trial_id: str, wanted: Values | None) -> Values:
        with warnings.catch_warnings():
            # That other optimizers may do better, or that a library it uses is old, is no news for each trial.
            warnings.simplefilter("ignore")
            if wanted is not None:
                values = self._filled(wanted)
                self._optimizer.suggest({name: _number(self._searched[name], value) for name, value in values.items()})
            candidate = self._optimizer.ask()
        self._candidates[trial_id] = candidate
        return {name: _value(self._searched[name], value) for name, value in candidate.value.items()}

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        self._tell_candidate(self._candidates.pop(trial_id), outcome)

    def _observe(self, values: Values, outcome: Sequence[float] | None) -> None:
        number = {name: _number(self._searched[name], value) for name, value in values.items()}
        self._tell_candidate(self._optimizer.parametrization.spawn_child(new_value=number), outcome)

    def _tell_candidate(self, candidate: Any, outcome: Sequence[float] | None) -> None:
        # Nevergrad knows no failures: a failed point is as bad as the worst so far.
        loss = self._worst if outcome is None else self._loss(outcome)
        if loss is None:
            return
        self._worst = loss if self._worst is None else max(self._worst, loss)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._optimizer.tell(candidate, loss)


def _parameter(p: Any, domain: Domain) -> Any:
    if isinstance(domain, Categorical):
        return p.Choice(list(range(len(domain.categories))))
    if isinstance(domain, Integer):
        if domain.log:
            return p.Log(lower=domain.first, upper=domain.last)
        return p.Scalar(lower=domain.first // domain.q, upper=domain.last // domain.q).set_integer_casting()
    assert isinstance(domain, Float), domain
    drawn = domain.drawn
    if isinstance(drawn, Normal):
        return p.Scalar(init=drawn.mean).set_mutation(sigma=drawn.sd)
    return (p.Log if domain.log else p.Scalar)(lower=domain.lower, upper=domain.upper)


def _value(domain: Domain, number: Any) -> Any:
    if isinstance(domain, Integer):
        return canonical(domain, round(number) if domain.log else number * domain.q)
    return canonical(domain, number)


def _number(domain: Domain, value: Any) -> Any:
    return value // domain.q if isinstance(domain, Integer) and not domain.log else value
