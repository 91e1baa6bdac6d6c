"""Grids times random samples: the searcher where no other is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.tune._internal.logic.variants import count_of, variants
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.searcher import Searcher


class BasicVariantGenerator(Searcher):
    """Goes through all combinations of the grids, `num_samples` times, and draws the rest by chance.

    Trial n draws from a generator of its own: the same seed gives the same trials at any concurrency.

    Args:
        points_to_evaluate: values that the first samples have; what they leave out is drawn.
        max_concurrent: trials at a time; 0 for as many as there is room for.
        constant_grid_search: one sample's draws are the same for all combinations of the grids.
        random_state: a seed, or a generator of numpy to take one from; None to take it from the search, else from numpy's shared generator.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be; on `set_search_properties` also: a point does not fit the space.

    Example:
        >>> from shoal import tune
        >>> from shoal.tune.search import BasicVariantGenerator
        >>> searcher = BasicVariantGenerator(random_state=1)
        >>> searcher.set_search_properties(None, None, {"a": tune.grid_search([1, 2])}, num_samples=2)
        True
        >>> searcher.total_samples, searcher.suggest("t1")
        (4, {'a': 1})
    """

    needs_results = False

    def __init__(
        self,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        max_concurrent: int = 0,
        constant_grid_search: bool = False,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(max_concurrent, int) or max_concurrent < 0:
            raise InvalidArgumentError(f"max_concurrent is {max_concurrent!r}; give a whole number >= 0")
        self._points = [dict(point) for point in points_to_evaluate or ()]
        self._max_concurrent = max_concurrent
        self._constant_grid = constant_grid_search
        self._seed = _seed_of(random_state)
        self._space: Mapping[str, Any] | None = None
        self._samples = 1
        self._number = 0
        self._live: set[str] = set()
        self._variants: Iterator[dict[str, Any]] | None = None

    @property
    def total_samples(self) -> int | None:
        """How many trials there will be in all; None where there is no end, or where the space is not known yet."""
        return None if self._space is None else count_of(self._space, self._samples, self._points)

    def set_search_properties(
        self,
        metric: str | Sequence[str] | None,
        mode: str | Sequence[str] | None,
        config: Mapping[str, Any],
        **spec: Any,
    ) -> bool:
        self._metric, self._mode = metric, mode
        self._space = config
        self._samples = spec.get("num_samples", 1)
        if self._seed is None:
            self._seed = spec.get("seed")
        if self._seed is None:
            # As in Ray: whoever seeds numpy's shared generator gets the same trials again.
            self._seed = int(np.random.randint(2**31))
        self._variants = None
        count_of(config, self._samples, self._points)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._space is None or self._seed is None:
            raise InvalidArgumentError(
                "the searcher has no space yet; call set_search_properties(metric, mode, config)"
            )
        if self._max_concurrent and len(self._live) >= self._max_concurrent:
            return None
        if self._variants is None:
            self._variants = variants(
                self._space, self._samples, self._seed, self._points, self._constant_grid, self._number
            )
        config = next(self._variants, None)
        if config is None:
            return self.FINISHED
        self._number += 1
        self._live.add(trial_id)
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._live.discard(trial_id)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        self._max_concurrent = max_concurrent
        return True

    def get_state(self) -> dict[str, Any]:
        return {"seed": self._seed, "number": self._number, "live": sorted(self._live), "points": self._points}

    def set_state(self, state: dict[str, Any]) -> None:
        self._seed, self._number, self._points = state["seed"], state["number"], state["points"]
        self._live = set(state["live"])
        self._variants = None


def _seed_of(random_state: Any) -> int | None:
    if random_state is None:
        return None
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool) and random_state >= 0:
        return int(random_state)
    raise InvalidArgumentError(f"random_state is {random_state!r}; give a whole number >= 0, or a generator of numpy")
