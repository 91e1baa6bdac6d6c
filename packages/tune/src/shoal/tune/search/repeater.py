"""Runs each suggestion several times, for metrics that chance moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.objective import Objective
from shoal.tune.search.searcher import Searcher

TRIAL_INDEX = "__trial_index__"
"""The key under which a trial finds which of the repetitions it is, from 0."""


class Repeater(Searcher):
    """Runs each suggestion of a searcher `repeat` times, and tells it the mean.

    Args:
        searcher: that suggests.
        repeat: trials of each suggestion. A search's `num_samples` should be a multiple of it.
        set_index: each trial's configuration has its place among the repetitions as `__trial_index__`, for use as a seed.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.tune.search import Repeater
        >>> from shoal.tune.search.optuna import OptunaSearch
        >>> repeated = Repeater(OptunaSearch(), repeat=3)
    """

    def __init__(self, searcher: Searcher, repeat: int = 1, set_index: bool = True) -> None:
        if not isinstance(searcher, Searcher):
            raise InvalidArgumentError(f"searcher is {searcher!r}; give a Searcher")
        if not isinstance(repeat, int) or isinstance(repeat, bool) or repeat < 1:
            raise InvalidArgumentError(f"repeat is {repeat!r}; give a whole number >= 1")
        self.searcher = searcher
        self.repeat = repeat
        self._set_index = set_index
        self._config: dict[str, Any] | None = None
        self._groups: dict[str, dict[str, list[float] | None]] = {}
        """The outcomes of each group's trials that are over, by the id of its first trial."""
        self._group_of: dict[str, str] = {}
        self._suggested = 0

    @property
    def metric(self) -> str | Sequence[str] | None:
        return self.searcher.metric

    @property
    def mode(self) -> str | Sequence[str] | None:
        return self.searcher.mode

    @property
    def ordered(self) -> bool:  # type: ignore[override]
        """As its searcher."""
        return self.searcher.ordered

    @property
    def needs_results(self) -> bool:  # type: ignore[override]
        """As its searcher."""
        return self.searcher.needs_results

    @property
    def total_samples(self) -> int | None:
        """How many trials there will be in all, where the searcher knows."""
        total = getattr(self.searcher, "total_samples", None)
        return None if total is None else total * self.repeat

    def set_search_properties(
        self,
        metric: str | Sequence[str] | None,
        mode: str | Sequence[str] | None,
        config: Mapping[str, Any],
        **spec: Any,
    ) -> bool:
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._suggested == 0:
            config = self.searcher.suggest(trial_id)
            if not isinstance(config, dict):
                return config
            self._config = config
            self._groups[trial_id] = {}
        assert self._config is not None
        index, group = self._suggested, next(reversed(self._groups))
        self._group_of[trial_id] = group
        self._suggested = (index + 1) % self.repeat
        return self._config | ({TRIAL_INDEX: index} if self._set_index else {})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        group = self._group_of.pop(trial_id, None)
        if group is None:
            return
        objective = Objective.of(self.metric, self.mode, "Repeater")
        outcomes = self._groups[group]
        outcomes[trial_id] = None if error or result is None else objective.values(result)
        if len(outcomes) < self.repeat:
            return
        del self._groups[group]
        good = [outcome for outcome in outcomes.values() if outcome is not None]
        if not good:
            self.searcher.on_trial_complete(group, error=True)
            return
        # fsum: the mean is the same in whatever order they ended.
        means = [math.fsum(values) / len(values) for values in zip(*good, strict=True)]
        self.searcher.on_trial_complete(group, dict(zip(objective.metrics, means, strict=True)))

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        return self.searcher.set_max_concurrency(max_concurrent)

    def get_state(self) -> dict[str, Any]:
        return {
            "searcher": self.searcher.get_state(),
            "config": self._config,
            "groups": self._groups,
            "group_of": self._group_of,
            "suggested": self._suggested,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.searcher.set_state(state["searcher"])
        self._config, self._suggested = state["config"], state["suggested"]
        self._groups, self._group_of = dict(state["groups"]), dict(state["group_of"])
