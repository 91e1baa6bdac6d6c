"""Population based bandits: population based training that learns which parameters improve most."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.schedulers.pbt import Member, PopulationBasedTraining
from shoal.tune.schedulers.policy_log import PolicyLog
from shoal.tune.schedulers.trial_scheduler import TuneController


@dataclass(frozen=True, slots=True)
class Sample:
    """What one trial did between two comparisons."""

    time: float
    score: float
    """At the beginning."""
    parameters: tuple[float, ...]
    improvement: float
    """Of the score, per unit of time."""


class PB2(PopulationBasedTraining):
    """Population based training that chooses new parameters by a model of what they will improve.

    Parker-Holder, Nguyen and Roberts, *Provably Efficient Online Hyperparameter Optimization with Population-Based Bandits*, 2020: a
    Gaussian process over time, score and parameters predicts how fast the score will improve, and copies go on with the parameters whose
    upper confidence bound is highest. Until there are samples, parameters are drawn evenly. Needs scikit-learn:
    `pip install 'shoal-tune[pb2]'`.

    Args:
        time_attr: what time is measured by; a number that each report has, and that grows.
        metric: to compare by ('a/b' for nested reports); None to take TuneConfig's.
        mode: 'min' or 'max'; None to take TuneConfig's.
        perturbation_interval: time between comparisons of a trial (> 0).
        hyperparam_bounds: [lower, upper] of each parameter, or again such a dict. Trials that begin without one get it drawn;
            parameters that are whole numbers stay whole.
        quantile_fraction: of the population, from 0 to 0.5.
        log_config: whether pbt_global.txt and pbt_policy_<trial id>.txt are written to the folder of the search.
        require_attrs: whether a report without `time_attr` or `metric` is an error; else it decides nothing.
        synch: whether all trials are compared together, once all have come as far.
        custom_explore_fn: takes the new configuration, and returns it with changes of its own.
        seed: for everything that happens by chance; None to take the search's, or 0.
        policy_log: who is told of exploitations instead of the files.

    Raises:
        InvalidArgumentError: an argument cannot be.
        ImportError: scikit-learn is not installed.
    """

    _STATE = (*PopulationBasedTraining._STATE, "_samples", "_starts", "_pending")

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        hyperparam_bounds: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        *,
        seed: int | None = None,
        policy_log: PolicyLog | None = None,
    ) -> None:
        if not hyperparam_bounds or not isinstance(hyperparam_bounds, Mapping):
            raise InvalidArgumentError(
                f"hyperparam_bounds is {hyperparam_bounds!r}; give a dict with [lower, upper] for each parameter to learn"
            )
        self._bounds = dict(_bounds("hyperparam_bounds", hyperparam_bounds, ()))
        try:
            import sklearn  # noqa: F401
        except ImportError as error:
            raise ImportError(
                "PB2 needs scikit-learn, which is not installed: pip install 'shoal-tune[pb2]'"
            ) from error
        super().__init__(
            time_attr,
            metric,
            mode,
            perturbation_interval,
            hyperparam_mutations=_nested({path: list(bounds) for path, bounds in self._bounds.items()}),
            quantile_fraction=quantile_fraction,
            custom_explore_fn=custom_explore_fn,
            log_config=log_config,
            require_attrs=require_attrs,
            synch=synch,
            seed=seed,
            policy_log=policy_log,
        )
        self._samples: list[Sample] = []
        self._starts: dict[str, tuple[float, float]] = {}
        """Time and score from which each trial goes on, since it was compared last."""
        self._pending: dict[str, tuple[float, ...]] = {}
        """Parameters that copies went on with, and of which nothing was heard yet."""

    def _completed(self, config: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
        complete = _nested({}, config)
        for path, (lower, upper) in self._bounds.items():
            value = chance.uniform(lower, upper)
            if _get(complete, path) is None:
                _put(complete, path, round(value) if isinstance(lower, int) and isinstance(upper, int) else value)
        return complete

    def _compared(self, trial: Trial, member: Member, time: float, score: float) -> None:
        super()._compared(trial, member, time, score)
        self._pending.pop(trial.trial_id, None)
        start = self._starts.get(trial.trial_id)
        if start is not None and time > start[0] and np.isfinite(score - start[1]):
            improvement = (score - start[1]) / (time - start[0])
            self._samples.append(Sample(*start, self._parameters(trial.config), improvement))
        self._starts[trial.trial_id] = (time, score)

    def _explored(self, trial: Trial, donor: Trial, chance: random.Random) -> dict[str, Any]:
        generator = np.random.default_rng(chance.getrandbits(64))
        bounds = np.array(list(self._bounds.values()), dtype=float)
        start = self._starts[trial.trial_id] = self._starts[donor.trial_id]
        if len(self._samples) < 2 or not np.isfinite(start[1]):
            values = bounds[:, 0] + generator.random(len(bounds)) * (bounds[:, 1] - bounds[:, 0])
        else:
            from shoal.tune.schedulers.pb2_model import most_promising

            values = most_promising(
                np.array([(one.time, one.score, *one.parameters) for one in self._samples]),
                np.array([one.improvement for one in self._samples]),
                np.array(start),
                np.array(list(self._pending.values())).reshape(-1, len(bounds)),
                bounds,
                generator,
            )
        config = _nested({}, donor.config)
        for path, value in zip(self._bounds, values.tolist(), strict=True):
            _put(config, path, round(value) if isinstance(_get(config, path), int) else value)
        self._pending[trial.trial_id] = self._parameters(config)
        return config

    def _ended(self, tune_controller: TuneController, trial: Trial) -> None:
        super()._ended(tune_controller, trial)
        self._starts.pop(trial.trial_id, None)
        self._pending.pop(trial.trial_id, None)

    def _parameters(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        return tuple(float(_get(config, path)) for path in self._bounds)


Path = tuple[str, ...]


def _bounds(argument: str, given: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, tuple[float, float]]]:
    for key, value in given.items():
        name = f"{argument}[{key!r}]"
        if isinstance(value, Mapping):
            yield from _bounds(name, value, (*path, key))
            continue
        numbers = isinstance(value, list | tuple) and all(
            isinstance(bound, int | float) and not isinstance(bound, bool) for bound in value
        )
        if not numbers or len(value) != 2 or not value[0] < value[1]:
            raise InvalidArgumentError(f"{name} is {value!r}; give [lower, upper], two numbers with lower < upper")
        yield (*path, key), (value[0], value[1])


def _nested(flat: Mapping[Path, Any], config: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns a copy of a nested configuration, with some values put into it."""
    nested: dict[str, Any] = {
        key: _nested({}, value) if isinstance(value, Mapping) else value for key, value in (config or {}).items()
    }
    for path, value in flat.items():
        _put(nested, path, value)
    return nested


def _get(config: Mapping[str, Any], path: Path) -> Any:
    value: Any = config
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _put(config: dict[str, Any], path: Path, value: Any) -> None:
    for step in path[:-1]:
        config = config.setdefault(step, {})
    config[path[-1]] = value
