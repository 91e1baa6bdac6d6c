"""Search by the Gaussian processes of the library bayesian-optimization."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.space_searcher import SpaceSearcher, Values, from_line, line_of, missing_library, to_line
from shoal.tune.search_space import uniform


class BayesOptSearch(SpaceSearcher):
    """Suggests where a Gaussian process expects the most. Whole numbers, categories and logarithms are searched as parts of a line.

    Args:
        space: domains, nested, or {name: (lower, upper)}. None to take the search's param_space.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first.
        utility_kwargs: the acquisition: `kind` ('ucb', 'ei' or 'poi'), `kappa` (for 'ucb'), `xi` (for the others). None for ucb, 2.576.
        random_state: a seed: the same gives the same suggestions for one max_concurrent_trials, whatever the timing. None for others each
            time.
        random_search_steps: random suggestions before the first that are modelled.
        verbose: takes no effect; the library prints nothing.
        patience: how often a suggestion that was made before is replaced by a random one before the search ends.
        skip_duplicate: whether it is replaced at all.
        analysis: an earlier search whose trials are learnt from.

    Raises:
        ImportError: bayesian-optimization is not installed.
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.bayesopt import BayesOptSearch
        >>> searcher = BayesOptSearch({"x": tune.uniform(0, 1)}, metric="loss", mode="min")
        >>> 0 <= searcher.suggest("t1")["x"] <= 1
        True
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        utility_kwargs: Mapping[str, Any] | None = None,
        random_state: int | None = 42,
        random_search_steps: int = 10,
        verbose: int = 0,
        patience: int = 5,
        skip_duplicate: bool = True,
        analysis: Any = None,
    ) -> None:
        try:
            import bayes_opt  # noqa: F401 - here the missing library is told
        except ImportError as error:
            raise missing_library("BayesOptSearch", "bayesopt", error) from error
        self._utility: dict[str, Any] = {"kind": "ucb", "kappa": 2.576, "xi": 0.0} | dict(utility_kwargs or {})
        if self._utility["kind"] not in ("ucb", "ei", "poi"):
            raise InvalidArgumentError(
                f"BayesOptSearch: the kind in utility_kwargs is {self._utility['kind']!r}; give 'ucb', 'ei' or 'poi'"
            )
        if patience < 1:
            raise InvalidArgumentError(f"BayesOptSearch: patience is {patience!r}; give a whole number >= 1")
        self._random_steps = random_search_steps
        self._patience = patience
        self._skip_duplicate = skip_duplicate
        self._analysis = analysis
        self._observed: list[tuple[Values, float]] = []
        self._seen: set[tuple[Any, ...]] = set()
        if space is not None and all(isinstance(bounds, tuple) and len(bounds) == 2 for bounds in space.values()):
            space = {name: uniform(*bounds) for name, bounds in space.items()}
        super().__init__(space, metric, mode, points_to_evaluate, seed=random_state)

    def _start(self) -> None:
        if self._analysis is not None:
            analysis, self._analysis, self._started = self._analysis, None, True
            self.add_evaluated_trials(analysis, self._objective.metrics[0])

    def _ask(self, trial_id: str, wanted: Values | None) -> Values | str:
        if wanted is not None:
            return self._noted(self._filled(wanted))
        random = self._random()
        if len(self._seen) < self._random_steps or not self._observed:
            values = self._filled({})
        else:
            values = self._modelled(int(random.integers(2**31)))
        for _ in range(self._patience if self._skip_duplicate else 0):
            if tuple(values.values()) not in self._seen:
                break
            values = {
                name: from_line(domain, random.uniform(*line_of(domain))) for name, domain in self._searched.items()
            }
        else:
            if self._skip_duplicate:
                return self.FINISHED
        return self._noted(values)

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        # What failed teaches a Gaussian process nothing.
        if outcome is not None:
            self._observed.append((values, self._loss(outcome)))

    def _observe(self, values: Values, outcome: Sequence[float] | None) -> None:
        self._tell("", self._noted(values), outcome)

    def _noted(self, values: Values) -> Values:
        self._seen.add(tuple(values.values()))
        return values

    def _modelled(self, seed: int) -> Values:
        # Made anew for each suggestion: what it costs is nothing beside the fit, and the observations are all of its state.
        import bayes_opt

        bounds = {name: line_of(domain) for name, domain in self._searched.items()}
        kind, kappa, xi = (self._utility[name] for name in ("kind", "kappa", "xi"))
        options: dict[str, Any] = {
            "pbounds": bounds,
            "random_state": seed,
            "verbose": 0,
            "allow_duplicate_points": True,
        }
        arguments: tuple[Any, ...] = ()
        if hasattr(bayes_opt, "UtilityFunction"):  # before 2.0
            arguments = (bayes_opt.UtilityFunction(kind=kind, kappa=kappa, xi=xi),)
        else:
            from bayes_opt import acquisition

            options["acquisition_function"] = {
                "ucb": lambda: acquisition.UpperConfidenceBound(kappa=kappa),
                "ei": lambda: acquisition.ExpectedImprovement(xi=xi),
                "poi": lambda: acquisition.ProbabilityOfImprovement(xi=xi),
            }[kind]()
        with warnings.catch_warnings():
            # A fit that did not converge is still the best there is.
            warnings.simplefilter("ignore")
            optimizer = bayes_opt.BayesianOptimization(f=None, **options)
            for values, loss in self._observed:
                point = {name: to_line(self._searched[name], value) for name, value in values.items()}
                optimizer.register(params=point, target=-loss)
            found = optimizer.suggest(*arguments)
        return {name: from_line(domain, float(found[name])) for name, domain in self._searched.items()}
