"""What searchers on other libraries share: the space in their terms, points to begin with, metrics, what is live, what is stored."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import cloudpickle
import numpy as np

from shoal.tune._internal.logic.parameter_tree import has_unresolved, matched, parameters, resolved
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.objective import Objective
from shoal.tune.search.searcher import Searcher
from shoal.tune.search_space import Categorical, Domain, Float, Integer, Normal
from shoal.tune.utils.warmstart import validate_warmstart

Values = dict[str, Any]
"""By parameter's name: a number, for a Categorical the index of the category."""


class SpaceSearcher(Searcher):
    """Derive from it: `_start`, `_ask`, `_tell`, and `_observe` where the library takes other points than it asked for.

    Args:
        space: domains, nested; None to take the search's param_space.
        metric: to go by. None to take the search's.
        mode: 'min' or 'max'. None to take the search's.
        points_to_evaluate: configurations to suggest first; parts of one are completed by the library.
        evaluated_rewards: the metric of each of them, where they were evaluated before: they are not suggested then, but learnt from.
        seed: of all chance; None for other suggestions each time.
    """

    _can_be_ordered = True
    """Whether a seed makes it demand that it is told of trials in their order."""

    def __init__(
        self,
        space: Mapping[str, Any] | None,
        metric: str | Sequence[str] | None,
        mode: str | Sequence[str] | None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[Any] | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(metric, mode)
        self._owner = type(self).__name__
        for name, given in (("metric", metric), ("mode", mode)):
            if given is not None and not isinstance(given, str | Sequence):
                raise InvalidArgumentError(f"{self._owner}: {name} is {given!r}; give a text, or a list of them")
        if metric is not None and mode is not None:
            Objective.of(metric, mode, self._owner)
        if seed is not None and (not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0):
            raise InvalidArgumentError(f"{self._owner}: the seed is {seed!r}; give a whole number >= 0, or None")
        self._check_points(points_to_evaluate, evaluated_rewards)
        self._own_space = space is not None
        self._space: Mapping[str, Any] | None = space
        self._points = [dict(point) for point in points_to_evaluate or ()]
        self._rewards = None if evaluated_rewards is None else list(evaluated_rewards)
        self._constants: Mapping[str, Any] = {}
        self._seed = None if seed is None else int(seed)
        self.ordered = self._can_be_ordered and self._seed is not None
        # Also without a seed a search that is restored goes on as it would have.
        self._entropy = int(np.random.default_rng().integers(2**32))
        self._suggested = 0
        self._live: dict[str, Values] = {}
        self._started = False
        self._parameters: dict[str, Domain] = {}
        self._searched: dict[str, Domain] = {}
        """Those with more than one value: libraries see no others."""
        self._samples: int | None = None
        if space is not None and isinstance(space, Mapping):
            self._take_space(space)

    # What a library does.

    def _start(self) -> None:
        """Makes the library's optimizer, of `self._parameters`, `self._objective` and `self._seed`."""
        raise NotImplementedError

    def _ask(self, trial_id: str, wanted: Values | None) -> Values | str | None:
        """Returns values of all parameters; None for not now, FINISHED for no more. `wanted`: values to suggest, maybe not of all."""
        raise NotImplementedError

    def _tell(self, trial_id: str, values: Values, outcome: Sequence[float] | None) -> None:
        """Takes what came of a suggestion; None where it failed, or gave no finite number."""
        raise NotImplementedError

    def _observe(self, values: Values, outcome: Sequence[float] | None) -> None:
        """Takes what came of values of which it was not asked."""
        raise NotImplementedError(f"{self._owner} takes no points that were evaluated elsewhere")

    # What the search calls.

    def set_search_properties(
        self,
        metric: str | Sequence[str] | None,
        mode: str | Sequence[str] | None,
        config: Mapping[str, Any],
        **spec: Any,
    ) -> bool:
        if has_unresolved(config):
            if self._own_space:
                raise InvalidArgumentError(
                    f"param_space has parameters to search, and {self._owner} has a space of its own: "
                    "give the parameters in one place; param_space may hold constants beside a searcher's space"
                )
            self._take_space(config)
        elif self._own_space:
            self._constants = config
        else:
            raise InvalidArgumentError(
                f"{self._owner}: the space is {dict(config)!r}, which has nothing to search; give domains such as uniform(0, 1)"
            )
        self._metric = self._one_of("metric", self._metric, metric)
        self._mode = self._one_of("mode", self._mode, mode)
        if self._seed is None and spec.get("seed") is not None:
            self._seed = int(spec["seed"])
            self.ordered = self._can_be_ordered
        Objective.of(self._metric, self._mode, self._owner)
        samples = spec.get("num_samples")
        self._samples = samples if samples is not None and samples > 0 else None
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._ensure_started()
        wanted = self._wanted(self._points[0]) if self._points else None
        values = self._ask(trial_id, wanted)
        if values is None or isinstance(values, str):
            return values
        if self._points:
            self._points.pop(0)
        self._live[trial_id] = values
        return self._config_of(values)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._live:
            return
        outcome = None if error or result is None else self._objective.values(result)
        self._tell(trial_id, self._live.pop(trial_id), outcome)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        self._ensure_started()
        objective = self._objective
        given = dict(zip(objective.metrics, value if isinstance(value, Sequence) else (value,), strict=True))
        values = self._wanted(parameters)
        missing = [
            name for name in self._parameters if name not in values and "[" not in name and name in self._searched
        ]
        if missing:
            raise InvalidArgumentError(
                f"the evaluated point {parameters!r} has no value for {', '.join(map(repr, missing))}"
            )
        self._observe(self._filled(values), None if error else objective.values(given))

    def get_state(self) -> dict[str, Any]:
        # Functions in a space are often lambdas, which plain pickle cannot store.
        state = {
            name: value for name, value in self.__dict__.items() if name not in ("_space", "_parameters", "_searched")
        }
        return state | {"space": None if self._space is None else cloudpickle.dumps(self._space)}

    def set_state(self, state: dict[str, Any]) -> None:
        state = dict(state)
        space = state.pop("space")
        self.__dict__.update(state)
        stored = cloudpickle.loads(space) if space is not None else None
        if stored:  # else a function defines it, or a client has it
            self._take_space(stored)

    # What derived classes use.

    @property
    def _objective(self) -> Objective:
        return Objective.of(self._metric, self._mode, self._owner)

    def _loss(self, outcome: Sequence[float]) -> float:
        return self._objective.loss(outcome[0])

    @property
    def _chance_seed(self) -> int:
        return self._entropy if self._seed is None else self._seed

    def _random(self) -> np.random.Generator:
        """A generator for the suggestion that is made now."""
        return np.random.default_rng([self._chance_seed, self._suggested])

    def _filled(self, values: Values) -> Values:
        """Returns values of all parameters: what is not given is drawn."""
        random = self._random()
        return {name: values.get(name, drawn_value(domain, random)) for name, domain in self._searched.items()}

    def _ensure_started(self) -> None:
        if self._started:
            return
        if self._space is None:
            raise InvalidArgumentError(
                f"{self._owner} has no space yet; give it as space=..., or as the search's param_space"
            )
        _ = self._objective
        self._start()
        self._started = True
        if self._rewards is not None:
            points, rewards, self._points, self._rewards = self._points, self._rewards, [], None
            for point, reward in zip(points, rewards, strict=True):
                self.add_evaluated_point(point, reward)

    def _take_space(self, space: Mapping[str, Any]) -> None:
        found = parameters(space)
        if not found:
            raise InvalidArgumentError(
                f"{self._owner}: the space {dict(space)!r} has nothing to search; give e.g. uniform(0, 1)"
            )
        if self._started and self._parameters and found != self._parameters:
            changed = sorted(
                name for name in found.keys() | self._parameters.keys() if found.get(name) != self._parameters.get(name)
            )
            raise InvalidArgumentError(
                f"{self._owner} has searched another space: {', '.join(map(repr, changed))} changed; keep the space, or begin a new search"
            )
        self._space, self._parameters = space, found
        self._searched = {name: domain for name, domain in found.items() if _single(domain) is None}
        if not self._searched:
            raise InvalidArgumentError(
                f"{self._owner}: each parameter of the space has one value only; there is nothing to search"
            )
        for point in self._points:
            self._wanted(point)

    def _wanted(self, point: Mapping[str, Any]) -> Values:
        # Functions are computed, also where the point comes from an earlier search's configuration.
        return {name: value for name, value in matched(self._space, point).items() if name in self._parameters}

    def _config_of(self, values: Values) -> dict[str, Any]:
        def ask(name: str, domain: Domain) -> Any:
            return values[name] if name in values else _single(domain)

        assert self._space is not None
        random = self._random()
        self._suggested += 1
        return {**self._constants, **resolved(self._space, ask, random)}

    def _one_of(self, name: str, own: Any, given: Any) -> Any:
        if own is not None and given is not None and own != given:
            raise InvalidArgumentError(
                f"{name} is {own!r} for {self._owner} and {given!r} for the search (TuneConfig); give it in one place"
            )
        return own if own is not None else given

    def _check_points(self, points: Any, rewards: Any) -> None:
        validate_warmstart((), points, rewards, validate_point_name_lengths=False)
        for point in points or ():
            if not isinstance(point, Mapping):
                raise InvalidArgumentError(
                    f"{self._owner}: points_to_evaluate has {point!r}; each has to be a dict of parameters"
                )


def canonical(domain: Domain, value: Any) -> Any:
    """Returns a library's number as the domain has it: quantized, in the bounds; for a Categorical the index."""
    if isinstance(domain, Categorical):
        return min(max(int(value), 0), len(domain.categories) - 1)
    assert isinstance(domain, Float | Integer), domain
    return domain.quantized_value(float(value))


def drawn_value(domain: Domain, random: np.random.Generator) -> Any:
    """Returns a value by chance; for a Categorical the index."""
    return int(random.integers(len(domain.categories))) if isinstance(domain, Categorical) else domain.draw(random, {})


def bounds_of(domain: Float) -> tuple[float, float]:
    """Returns where libraries without normal distributions search: four standard deviations to each side of the mean."""
    drawn = domain.drawn
    if not isinstance(drawn, Normal):
        return domain.lower, domain.upper
    return max(domain.lower, drawn.mean - 4 * drawn.sd), min(domain.upper, drawn.mean + 4 * drawn.sd)


def to_line(domain: Domain, value: Any) -> float:
    """Returns a value as a point of a line: logarithms where the domain is even in them, indices of categories."""
    return math.log(value) if isinstance(domain, Float | Integer) and domain.log else float(value)


def from_line(domain: Domain, point: float) -> Any:
    """Returns the domain's value that is nearest to a point of its line."""
    if isinstance(domain, Float | Integer) and domain.log:
        point = math.exp(point)
    return canonical(
        domain, round(point) if isinstance(domain, Integer | Categorical) and getattr(domain, "q", 1) == 1 else point
    )


def line_of(domain: Domain) -> tuple[float, float]:
    """Returns where a domain's line begins and ends. Each whole number and category has as much of it as any other."""
    if isinstance(domain, Categorical):
        return -0.499, len(domain.categories) - 0.501
    if isinstance(domain, Integer):
        low, high = domain.first - 0.499 * domain.q, domain.last + 0.499 * domain.q
        return (math.log(max(low, domain.first / 2)), math.log(high)) if domain.log else (low, high)
    assert isinstance(domain, Float), domain
    low, high = bounds_of(domain)
    return (math.log(low), math.log(high)) if domain.log else (low, high)


def _single(domain: Domain) -> Any:
    """Returns the only value of a domain; None where there are several."""
    if isinstance(domain, Categorical):
        return 0 if len(domain.categories) == 1 else None
    return domain.first if isinstance(domain, Integer) and domain.first == domain.last else None


def missing_library(searcher: str, extra: str, error: ImportError) -> ImportError:
    """Returns the error that says what to install."""
    return ImportError(f"{searcher} needs {extra}: pip install 'shoal-tune[{extra}]' ({error})")


def closest(name: str, known: Sequence[str]) -> str:
    """Returns a hint: what was meant, or what there is."""
    close = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {', '.join(map(repr, known))}"
