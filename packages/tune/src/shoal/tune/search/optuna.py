"""Search by Optuna: TPE, Gaussian processes, CMA-ES, NSGA-II and whatever sampler it has."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.tune._internal.logic.parameter_tree import nested, resolved
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.objective import lookup
from shoal.tune.search.space_searcher import SpaceSearcher, Values, bounds_of, canonical
from shoal.tune.search_space import Categorical, Domain, Float, Integer

if TYPE_CHECKING:
    import optuna

Definition = Callable[["optuna.Trial"], "dict[str, Any] | None"]
"""Suggests parameters by calls of the trial; returns constants, or None."""


class OptunaSearch(SpaceSearcher):
    """Suggests what a study of Optuna suggests, and stores in it what came of each trial.

    Args:
        space: domains, nested; or distributions of Optuna by name; or a function that is given Optuna's trial, calls its
            suggest_float(name, …) and so on, and returns None or a dict of constants ('define by run': later parameters may depend on
            earlier ones). None to take the search's param_space. Normal distributions are searched evenly, four standard deviations to
            each side of the mean.
        metric: to go by; a list for several objectives. None to take the search's.
        mode: 'min' or 'max'; a list where `metric` is one. None to take the search's.
        points_to_evaluate: configurations (or parts) to suggest first.
        sampler: of Optuna; None for its default (TPE; NSGA-II where there are several objectives).
        study_name: of the study in the storage; one that is there goes on.
        storage: an optuna storage, its URL ('sqlite:///search.db'), or the path of a journal file; None to keep the study in memory.
            optuna-dashboard shows a stored study while it runs.
        seed: of the default sampler. The same seed gives the same suggestions for one max_concurrent_trials, whatever the timing.
        evaluated_rewards: the metric (or metrics) of each of `points_to_evaluate`, where they were evaluated before.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be, or an existing study has other directions.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search.optuna import OptunaSearch
        >>> searcher = OptunaSearch({"x": tune.uniform(0, 1)}, metric="loss", mode="min", seed=1)
        >>> config = searcher.suggest("t1")
        >>> searcher.on_trial_complete("t1", {"loss": config["x"] ** 2})
    """

    def __init__(
        self,
        space: Mapping[str, Any] | Definition | None = None,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        sampler: optuna.samplers.BaseSampler | None = None,
        study_name: str | None = None,
        storage: str | optuna.storages.BaseStorage | None = None,
        seed: int | None = None,
        evaluated_rewards: Sequence[Any] | None = None,
    ) -> None:
        import optuna

        if sampler is not None and not isinstance(sampler, optuna.samplers.BaseSampler):
            hint = f"; call it: {sampler.__name__}()" if isinstance(sampler, type) else ""
            raise InvalidArgumentError(f"OptunaSearch: sampler is {sampler!r}; give a sampler of Optuna{hint}")
        if isinstance(space, Mapping) and any(_is_distribution(value) for value in space.values()):
            space = _Distributions(space)
        if space is not None and not isinstance(space, Mapping) and not callable(space):
            raise InvalidArgumentError(
                f"OptunaSearch: space is {space!r}; give a dict of domains, or a function of a trial"
            )
        self._define: Definition | None = space if callable(space) else None
        self._sampler = sampler
        self._study_name = study_name
        self._storage = storage
        self._study: optuna.Study | None = None
        self._trials: dict[str, optuna.Trial] = {}
        self._steps: dict[str, int] = {}
        self._author = uuid.uuid4().hex
        super().__init__(
            space if isinstance(space, Mapping) else None, metric, mode, points_to_evaluate, evaluated_rewards, seed
        )
        if self._define is not None:
            self._own_space, self._space = True, {}

    @property
    def study(self) -> optuna.Study:
        """The study: its best trials, its table, its plots. Raises InvalidArgumentError before the metric and the space are known."""
        self._ensure_started()
        assert self._study is not None
        return self._study

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        trial = self._trials.get(trial_id)
        if trial is None or len(self._objective.metrics) > 1:
            return
        value = lookup(result, self._objective.metrics[0])
        if isinstance(value, int | float | np.number) and not isinstance(value, bool):
            last = self._steps.get(trial_id)
            step = int(result.get("training_iteration", (last or 0) + 1))
            if last is None or step > last:  # a trial that went back to an earlier checkpoint comes to a step again
                self._steps[trial_id] = step
                trial.report(float(value), step)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: Any,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        import optuna

        self._ensure_started()
        objective = self._objective
        several = value if isinstance(value, Sequence) else [value]
        if len(several) != len(objective.metrics):
            raise InvalidArgumentError(
                f"the evaluated point has the value {value!r}; give one for each of {list(objective.metrics)}"
            )
        outcome = None if error else objective.values(dict(zip(objective.metrics, several, strict=True)))
        state = optuna.trial.TrialState.COMPLETE if outcome is not None else optuna.trial.TrialState.FAIL
        if pruned and not error:
            state, outcome = optuna.trial.TrialState.PRUNED, None
        params, distributions = self._as_study_has_it(parameters)
        steps = dict(enumerate(intermediate_values or [], start=1))
        self.study.add_trial(
            optuna.trial.create_trial(
                state=state, values=outcome, params=params, distributions=distributions, intermediate_values=steps
            )
        )

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        del state["_define"]
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        import optuna

        super().set_state({**state, "_define": self._define})
        if self._study is None:
            return
        numbers = {trial.number for trial in self._trials.values()}
        # A storage outlives the search: what was suggested after this state was stored will be suggested again.
        for trial in self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if trial.user_attrs.get("search") == self._author and trial.number not in numbers:
                self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def _start(self) -> None:
        import optuna

        objective = self._objective
        directions: list[Any] = ["minimize" if mode == "min" else "maximize" for mode in objective.modes]
        sampler = self._sampler
        if sampler is None and self._seed is not None:
            several = len(directions) > 1
            sampler = (
                optuna.samplers.NSGAIISampler(seed=self._seed)
                if several
                else optuna.samplers.TPESampler(seed=self._seed)
            )
        with _quiet():
            self._study = optuna.create_study(
                storage=_storage_of(self._storage),
                sampler=sampler,
                study_name=self._study_name,
                directions=directions,
                load_if_exists=self._study_name is not None,
            )
        found = [direction.name.lower() for direction in self._study.directions]
        if found != directions:
            raise InvalidArgumentError(
                f"OptunaSearch: the study {self._study_name!r} has the directions {found}, and the mode is {list(objective.modes)}; "
                "give the modes that it was made with, or another study_name"
            )
        if len(self._study.get_trials(deepcopy=False)) == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.set_metric_names(list(objective.metrics))

    def _ask(self, trial_id: str, wanted: Values | None) -> Values | str | None:
        raise AssertionError("suggest is its own")

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._ensure_started()
        study = self.study
        if self._points:
            point = self._points.pop(0)
            study.enqueue_trial(self._as_study_has_it(point)[0])
        trial = study.ask()
        trial.set_user_attr("trial_id", trial_id)
        if self._storage is not None:
            trial.set_user_attr("search", self._author)
        random = self._random()
        self._suggested += 1
        try:
            if self._define is not None:
                constants = self._define(trial)
                if constants is not None and not isinstance(constants, Mapping):
                    raise InvalidArgumentError(
                        f"OptunaSearch: the function that defines the space returned {constants!r}; return None, or a dict of constants"
                    )
                if not trial.params and not constants:
                    raise InvalidArgumentError(
                        "OptunaSearch: the function that defines the space suggests nothing; call trial.suggest_float(name, …) in it"
                    )
                config = {**self._constants, **nested({**trial.params, **(constants or {})})}
            else:
                assert self._space is not None
                config = {**self._constants, **resolved(self._space, self._asking(trial), random)}
        except BaseException:
            import optuna

            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        self._trials[trial_id] = trial
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        import optuna

        trial = self._trials.get(trial_id)
        if trial is None:
            return
        outcome = None if error or result is None else self._objective.values(result)
        state = optuna.trial.TrialState.FAIL if outcome is None else optuna.trial.TrialState.COMPLETE
        self.study.tell(trial, outcome, state=state, skip_if_finished=True)
        del self._trials[trial_id]
        self._steps.pop(trial_id, None)

    def _asking(self, trial: optuna.Trial) -> Callable[[str, Domain], Any]:
        def ask(name: str, domain: Domain) -> Any:
            value = _suggested(trial, name, distribution_of(domain))
            if isinstance(domain, Categorical):
                return labels(domain).index(value)
            return canonical(domain, value)

        return ask

    def _as_study_has_it(self, point: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns a configuration's parameters and their distributions."""
        import optuna

        if self._define is None:
            values = self._wanted(point)
            distributions = {name: distribution_of(self._parameters[name]) for name in values}
            params = {
                name: labels(domain)[value] if isinstance(domain := self._parameters[name], Categorical) else value
                for name, value in values.items()
            }
            return params, distributions
        params = dict(_flat(point))
        trial = optuna.trial.FixedTrial(params)
        try:
            self._define(trial)  # type: ignore[arg-type]
        except ValueError:
            return params, {}  # only a part of the parameters: no more is known of it
        return trial.params, trial.distributions


class _Distributions:
    """A space as Optuna writes it."""

    def __init__(self, space: Mapping[str, Any]) -> None:
        self._space = dict(space)

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        constants: dict[str, Any] = {}
        for name, value in self._space.items():
            if _is_distribution(value):
                _suggested(trial, name, value)
            elif isinstance(value, Domain):
                raise InvalidArgumentError(
                    f"OptunaSearch: space has a domain at {name!r} beside distributions of Optuna; use one kind"
                )
            else:
                constants[name] = value
        return constants


def distribution_of(domain: Domain) -> optuna.distributions.BaseDistribution:
    """Returns the distribution that a domain is to Optuna."""
    from optuna import distributions

    if isinstance(domain, Categorical):
        return distributions.CategoricalDistribution(labels(domain))
    if isinstance(domain, Integer):
        if domain.log:
            return distributions.IntDistribution(domain.first, domain.last, log=True)
        return distributions.IntDistribution(domain.first, domain.last, step=domain.q)
    assert isinstance(domain, Float), domain
    low, high = bounds_of(domain)
    # Optuna takes steps or logarithms: values are quantized when they come back.
    step = domain.q if not domain.log and domain.is_bounded else None
    return distributions.FloatDistribution(low, high, log=domain.log, step=step)


def labels(domain: Categorical) -> list[Any]:
    """Returns what Optuna shows for each category: itself, or a text where it is no plain value or equals another."""
    plain = all(value is None or type(value) in (bool, int, float, str) for value in domain.categories)
    if plain and len(set(domain.categories)) == len(domain.categories):
        return list(domain.categories)
    return [f"{index}: {_short(value)}" for index, value in enumerate(domain.categories)]


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}..."


def _suggested(trial: optuna.Trial, name: str, distribution: Any) -> Any:
    from optuna import distributions

    if isinstance(distribution, distributions.FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, distributions.IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    return trial.suggest_categorical(name, distribution.choices)


def _is_distribution(value: Any) -> bool:
    from optuna.distributions import BaseDistribution

    return isinstance(value, BaseDistribution)


def _storage_of(storage: Any) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    if storage is None or isinstance(storage, optuna.storages.BaseStorage):
        return storage
    if not isinstance(storage, str):
        raise InvalidArgumentError(
            f"OptunaSearch: storage is {storage!r}; give an optuna storage, a URL, or the path of a journal file"
        )
    return storage if "://" in storage else JournalStorage(JournalFileBackend(storage))


def _flat(point: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in point.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}/")
        else:
            yield f"{before}{key}", value


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna says at each study that it is there."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
