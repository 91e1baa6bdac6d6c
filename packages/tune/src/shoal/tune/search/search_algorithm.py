"""Searchers as Ray's older interface has them: they are given experiments, and make trials."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal.tune._internal.logic.parameter_tree import varied
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial
from shoal.tune.search.searcher import Searcher


class SearchAlgorithm:
    """Makes trials of experiments. Derive from it, or use SearchGenerator with a Searcher."""

    def __init__(self) -> None:
        self._finished = False

    @property
    def total_samples(self) -> int:
        """How many trials there will be; 0 where that is not known."""
        return 0

    def add_configurations(self, experiments: Mapping[str, Mapping[str, Any]] | Sequence[Any] | Any) -> None:
        """Takes experiments: {name: {'run': ..., 'config': space, 'num_samples': ...}}, or Experiment objects."""
        raise NotImplementedError

    def next_trial(self) -> Trial | None:
        """Returns a new trial; None for not now, or, where `is_finished`, for no more."""
        raise NotImplementedError

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial reported."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial is over."""

    def is_finished(self) -> bool:
        """Returns whether there will be no more trials."""
        return self._finished

    def set_finished(self) -> None:
        """There shall be no more trials."""
        self._finished = True

    def has_checkpoint(self, dirpath: str) -> bool:
        """Returns whether a folder holds a state to restore."""
        return any(Path(dirpath).glob("searcher-state-*.pkl"))

    def save_to_dir(self, dirpath: str, session_str: str = "default") -> None:
        """Writes its state into a folder."""

    def restore_from_dir(self, dirpath: str) -> None:
        """Reads what `save_to_dir` wrote."""


class SearchGenerator(SearchAlgorithm):
    """Makes trials of what a Searcher suggests.

    Args:
        searcher: that suggests.

    Raises:
        InvalidArgumentError: (a ValueError) it is none.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search import BasicVariantGenerator, SearchGenerator
        >>> algorithm = SearchGenerator(BasicVariantGenerator(random_state=1))
        >>> algorithm.add_configurations({"e": {"run": "t", "config": {"x": tune.grid_search([1, 2])}}})
        >>> algorithm.total_samples, algorithm.next_trial().config
        (2, {'x': 1})
    """

    def __init__(self, searcher: Searcher) -> None:
        super().__init__()
        if not isinstance(searcher, Searcher):
            raise InvalidArgumentError(f"searcher is {searcher!r}; give a Searcher")
        self.searcher = searcher
        self._space: Mapping[str, Any] = {}
        self._name = ""
        self._trainable = "trainable"
        self._samples = 0
        self._made = 0

    @property
    def total_samples(self) -> int:
        total = getattr(self.searcher, "total_samples", None)
        return total if total is not None else max(self._samples, 0)

    def add_configurations(self, experiments: Mapping[str, Mapping[str, Any]] | Sequence[Any] | Any) -> None:
        found = _specs(experiments)
        if len(found) != 1 or self._name:
            raise InvalidArgumentError("a searcher searches one space: give one experiment")
        [(self._name, spec)] = found.items()
        run = spec.get("run", "trainable")
        self._trainable = run if isinstance(run, str) else getattr(run, "__name__", type(run).__name__)
        self._space, self._samples = spec.get("config", {}), spec.get("num_samples", 1)
        self.searcher.set_search_properties(
            self.searcher.metric, self.searcher.mode, self._space, num_samples=self._samples
        )

    def next_trial(self) -> Trial | None:
        limited = getattr(self.searcher, "total_samples", None) is None and self._samples >= 0
        if self._finished or (limited and self._made >= self._samples):
            self._finished = True
            return None
        trial_id = uuid.uuid4().hex[:8]
        config = self.searcher.suggest(trial_id)
        if config == Searcher.FINISHED:
            self._finished = True
        if not isinstance(config, dict):
            return None
        params = varied(self._space, config)
        tag = ",".join([str(self._made), *(f"{name.split('/')[-1]}={value}" for name, value in params.items())])
        trial = Trial(
            trial_id,
            self._made,
            config,
            trainable_name=self._trainable,
            evaluated_params=params,
            experiment_tag=tag,
            experiment_name=self._name,
        )
        self._made += 1
        return trial

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.searcher.on_trial_complete(trial_id, result, error)

    def save_to_dir(self, dirpath: str, session_str: str = "default") -> None:
        self.searcher.save_to_dir(dirpath, session_str)

    def restore_from_dir(self, dirpath: str) -> None:
        self.searcher.restore_from_dir(dirpath)


def _specs(experiments: Any) -> dict[str, Mapping[str, Any]]:
    if isinstance(experiments, Mapping):
        return dict(experiments)
    several = experiments if isinstance(experiments, Sequence) else [experiments]
    return {experiment.name: experiment.spec for experiment in several}
