"""Holds suggestions back while enough trials run, and, in batches, results until a batch is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.searcher import Searcher


class ConcurrencyLimiter(Searcher):
    """Limits how many trials of a searcher run at a time.

    Args:
        searcher: that suggests.
        max_concurrent: trials at a time.
        batch: suggests `max_concurrent` trials, waits for all of them, and tells the searcher then, in the order of its suggestions: it
            suggests the same whatever the timing and the number of CPUs.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.tune.search import ConcurrencyLimiter
        >>> from shoal.tune.search.optuna import OptunaSearch
        >>> limited = ConcurrencyLimiter(OptunaSearch(seed=1), max_concurrent=4, batch=True)
    """

    def __init__(self, searcher: Searcher, max_concurrent: int, batch: bool = False) -> None:
        if not isinstance(searcher, Searcher):
            raise InvalidArgumentError(f"searcher is {searcher!r}; give a Searcher")
        if isinstance(searcher, ConcurrencyLimiter):
            raise InvalidArgumentError("searcher is a ConcurrencyLimiter already; give it the limit that you want")
        self.searcher = searcher
        self.batch = batch
        self.max_concurrent = _checked(max_concurrent)
        self._events: dict[str, list[tuple[dict[str, Any] | None, bool, bool]]] = {}
        """What the searcher has not been told yet, by trial: result, whether it is the last, whether the trial failed."""
        self._running: set[str] = set()
        self._full = False
        self._samples: int | None = None
        self._suggested = 0

    @property
    def metric(self) -> str | Sequence[str] | None:
        return self.searcher.metric

    @property
    def mode(self) -> str | Sequence[str] | None:
        return self.searcher.mode

    @property
    def ordered(self) -> bool:  # type: ignore[override]
        """Whether timing has to be kept from the searcher. Batches do that by themselves."""
        return self.searcher.ordered and not self.batch

    @property
    def needs_results(self) -> bool:  # type: ignore[override]
        """As its searcher. Within a batch no suggestion depends on a result of it."""
        return self.searcher.needs_results and not self.batch

    @property
    def total_samples(self) -> int | None:
        """How many trials there will be in all, where the searcher knows."""
        return getattr(self.searcher, "total_samples", None)

    def set_search_properties(
        self,
        metric: str | Sequence[str] | None,
        mode: str | Sequence[str] | None,
        config: Mapping[str, Any],
        **spec: Any,
    ) -> bool:
        samples = spec.get("num_samples")
        self._samples = samples if samples is not None and samples > 0 and self.total_samples is None else None
        return self.searcher.set_search_properties(metric, mode, config, **spec)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._full or len(self._events) >= self.max_concurrent:
            return None
        config = self.searcher.suggest(trial_id)
        if isinstance(config, dict):
            self._events[trial_id] = []
            self._running.add(trial_id)
            self._suggested += 1
            self._full = self.batch and (len(self._events) == self.max_concurrent or self._suggested == self._samples)
        elif self.batch and self._events:
            # The searcher has no more, or none before it is told more: this batch is whole.
            self._full = True
            if not self._running:
                self._tell_batch()
                return self.suggest(trial_id)
        return config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id not in self._events:
            return
        if self.batch:
            self._events[trial_id].append((result, False, False))
        else:
            self.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id not in self._running:
            return
        self._running.remove(trial_id)
        if not self.batch:
            del self._events[trial_id]
            self.searcher.on_trial_complete(trial_id, result, error)
            return
        self._events[trial_id].append((result, True, error))
        if self._full and not self._running:
            self._tell_batch()

    def _tell_batch(self) -> None:
        events, self._events, self._full = self._events, {}, False
        for trial_id, told in events.items():
            for result, last, failed in told:
                if last:
                    self.searcher.on_trial_complete(trial_id, result, failed)
                elif result is not None:
                    self.searcher.on_trial_result(trial_id, result)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        self.searcher.add_evaluated_point(parameters, value, error, pruned, intermediate_values)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        if self.batch:
            return False  # how many are suggested together is what makes it independent of how many run
        raise InvalidArgumentError(
            f"max_concurrent_trials is {max_concurrent!r}, and search_alg is a ConcurrencyLimiter with max_concurrent="
            f"{self.max_concurrent}; give the limit in one place"
        )

    def get_state(self) -> dict[str, Any]:
        return {
            "searcher": self.searcher.get_state(),
            "events": self._events,
            "running": sorted(self._running),
            "full": self._full,
            "suggested": self._suggested,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self.searcher.set_state(state["searcher"])
        self._events, self._running, self._full = dict(state["events"]), set(state["running"]), state["full"]
        self._suggested = state["suggested"]


def _checked(max_concurrent: Any) -> int:
    if not isinstance(max_concurrent, int) or isinstance(max_concurrent, bool) or max_concurrent < 1:
        raise InvalidArgumentError(f"max_concurrent is {max_concurrent!r}; give a whole number >= 1")
    return max_concurrent
