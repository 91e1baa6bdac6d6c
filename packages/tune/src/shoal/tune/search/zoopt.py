"""Search by ZOOpt's asynchronous sequential RACOS."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cloudpickle

from shoal.tune._internal.logic.shared_randomness import SharedRandomness
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.space_searcher import SpaceSearcher, Values, from_line, line_of, missing_library, to_line
from shoal.tune.search_space import Categorical, Domain, Integer


class ZOOptSearch(SpaceSearcher):
    """Suggests what ZOOpt's ASRacos suggests.

    Args:
        algo: 'asracos' (or 'sracos', which is the same here).
        budget: how many trials there will be; None to take the search's num_samples.
        dim_dict: domains, nested. None to take the search's param_space.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first.
        parallel_num: trials at a time, once the first are over.
        seed: the same seed gives the same suggestions for one max_concurrent_trials, whatever the timing.
        kwargs: of `zoopt.Parameter`.

    Raises:
        ImportError: zoopt is not installed.
        InvalidArgumentError: (a ValueError) an argument cannot be, or the budget is not known.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.zoopt import ZOOptSearch
        >>> searcher = ZOOptSearch(budget=20, dim_dict={"x": tune.uniform(0, 1)}, metric="loss", mode="min", seed=1)
        >>> 0 <= searcher.suggest("t1")["x"] <= 1
        True
    """

    def __init__(
        self,
        algo: str = "asracos",
        budget: int | None = None,
        dim_dict: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        parallel_num: int = 1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            import zoopt  # noqa: F401 - here the missing library is told
        except ImportError as error:
            raise missing_library("ZOOptSearch", "zoopt", error) from error
        if algo.lower() not in ("asracos", "sracos"):
            raise InvalidArgumentError(f"ZOOptSearch: algo is {algo!r}; give 'asracos'")
        if parallel_num < 1:
            raise InvalidArgumentError(f"ZOOptSearch: parallel_num is {parallel_num!r}; give a whole number >= 1")
        self._budget = budget
        self._parallel = parallel_num
        self._kwargs = kwargs
        self._algorithm: Any = None
        self._chance: SharedRandomness | None = None
        self._solutions: dict[str, Any] = {}
        super().__init__(dim_dict, metric, mode, points_to_evaluate, seed=seed)

    def _start(self) -> None:
        import zoopt
        from zoopt.algos.opt_algorithms.racos.sracos import SRacosTune

        budget = self._budget if self._budget is not None else self._samples
        if budget is None:
            raise InvalidArgumentError(
                "ZOOptSearch: budget is None, and the search has no num_samples; give budget=..."
            )
        self._chance = SharedRandomness(int(self._random().integers(2**32)))
        with self._chance.lent():
            self._algorithm = SRacosTune(
                dimension=zoopt.Dimension2([_dimension(domain) for domain in self._searched.values()]),
                parameter=zoopt.Parameter(budget=budget, algorithm="racos", **self._kwargs),
                parallel_num=self._parallel,
            )

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        # Together: solutions that are live are the algorithm's own. It holds functions that plain pickle cannot store.
        both = cloudpickle.dumps((state.pop("_algorithm"), state.pop("_solutions")))
        return state | {"algorithm": both}

    def set_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        self._algorithm, self._solutions = cloudpickle.loads(state.pop("algorithm"))
        super().set_state(state)

    def _ask(self, trial_id: str, wanted: Values | None) -> Values | str | None:
        assert self._chance is not None
        with self._chance.lent():
            solution = self._algorithm.suggest()
            if solution is None and not self._solutions:
                # It waits for its first trials to end: they all have, before it began to wait.
                self._algorithm.semaphore = 1
                solution = self._algorithm.suggest()
        if solution is None:
            return None
        names = list(self._searched)
        if isinstance(solution, str):
            # It found none that is new in a hundred attempts: chance goes on where it gives up.
            drawn = self._filled({})
            point = [_coordinate(self._searched[name], drawn[name]) for name in names]
            solution = self._algorithm.get_objective().construct_solution(point)
            self._algorithm.live_num += 1
        if wanted:
            given = {name: _coordinate(self._searched[name], value) for name, value in wanted.items() if name in names}
            solution.set_x([given.get(name, old) for name, old in zip(names, solution.get_x(), strict=True)])
        self._solutions[trial_id] = solution
        return {
            name: _value(self._searched[name], coordinate)
            for name, coordinate in zip(names, solution.get_x(), strict=True)
        }

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        assert self._chance is not None
        loss = math.inf if outcome is None else self._loss(outcome)
        with self._chance.lent():
            self._algorithm.complete(self._solutions.pop(trial_id), loss)


def _dimension(domain: Domain) -> tuple[Any, ...]:
    from zoopt import ValueType

    if isinstance(domain, Categorical):
        return ValueType.DISCRETE, [0, len(domain.categories) - 1], False
    if isinstance(domain, Integer) and not domain.log:
        return ValueType.DISCRETE, [domain.first // domain.q, domain.last // domain.q], True
    return ValueType.CONTINUOUS, list(line_of(domain)), 1e-9


def _value(domain: Domain, coordinate: Any) -> Any:
    if isinstance(domain, Categorical):
        return int(coordinate)
    if isinstance(domain, Integer) and not domain.log:
        return int(coordinate) * domain.q
    return from_line(domain, float(coordinate))


def _coordinate(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Integer) and not domain.log:
        return value // domain.q
    return value if isinstance(domain, Categorical) else to_line(domain, value)
