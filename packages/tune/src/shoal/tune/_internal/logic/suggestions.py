"""Asks a searcher for configurations, and tells it what came of them, in the order that it demands.

A searcher whose `ordered` is set gives the same suggestions whatever the timing: it is asked for trial n when trials up to n - window are
over and told, and no others, each with all its results, in the order of the trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.tune._internal.logic.parameters import unflattened
from shoal.tune.exceptions import TuneError
from shoal.tune.search.searcher import Searcher


class Suggestions:
    """One search's.

    Args:
        searcher: who is asked.
        total: suggestions that are wanted; None for as many as it has.
        window: for ordered searchers, trials that may be under way.
    """

    def __init__(self, searcher: Searcher, total: int | None, window: int) -> None:
        self.searcher = searcher
        self._total = total
        self._ordered = searcher.ordered
        self._window = window
        self._asked: list[str] = []
        self._told = 0  # of `_asked`, the first so many
        self._waiting: dict[str, _Story] = {}
        self._over: set[str] = set()
        self.is_finished = total == 0

    @property
    def wants_results(self) -> bool:
        """Whether the searcher looks at results before the last."""
        return type(innermost(self.searcher)).on_trial_result is not Searcher.on_trial_result

    @property
    def can_ask_early(self) -> bool:
        """Whether a suggestion is the same if it is asked for before a place is free for it."""
        return self._ordered or not self.searcher.needs_results

    def suggest(self, trial_id: str, force: bool = False) -> dict[str, Any] | None:
        """Returns a new trial's configuration; None for not now, or (`is_finished`) never again.

        `force`: ask now, whatever the order; for when nothing else can go on.
        """
        if self.is_finished:
            return None
        if self._ordered and not force and not self._may_ask():
            return None
        suggested = self.searcher.suggest(trial_id)
        if suggested is None:
            return None
        if isinstance(suggested, str):
            if suggested != Searcher.FINISHED:
                raise TuneError(
                    f"{type(self.searcher).__name__}.suggest returned {suggested!r}; return a dict, None or FINISHED"
                )
            self._finish()
            return None
        if not isinstance(suggested, Mapping):
            raise TuneError(
                f"{type(self.searcher).__name__}.suggest returned {suggested!r}; return a dict of parameters, None or Searcher.FINISHED"
            )
        self._asked.append(trial_id)
        if self._total is not None and len(self._asked) >= self._total:
            self._finish()
        if any(isinstance(name, str) and "/" in name for name in suggested):
            return unflattened(suggested)
        return dict(suggested)

    def result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial reported."""
        if self._ordered:
            self._waiting.setdefault(trial_id, _Story()).results.append(result)
        else:
            self.searcher.on_trial_result(trial_id, result)

    def complete(self, trial_id: str, result: dict[str, Any] | None, error: bool) -> None:
        """A trial is over. One that was tried again after its end is not told of twice."""
        if trial_id in self._over:
            return
        self._over.add(trial_id)
        if not self._ordered:
            self.searcher.on_trial_complete(trial_id, result=result, error=error)
            return
        story = self._waiting.setdefault(trial_id, _Story())
        story.last, story.error, story.is_over = result, error, True
        if self.is_finished:
            self._tell(len(self._asked))

    def replay(self, trial_id: str) -> None:
        """A trial that is there was perhaps suggested after the state was saved: the searcher is asked again, and suggests it again."""
        if trial_id in self._over or trial_id in self._asked:
            return
        asked = len(self._asked)
        if self.suggest(trial_id) is None:
            self.suggest(trial_id, force=True)
        if len(self._asked) == asked:
            self._asked.append(trial_id)

    def forget(self) -> None:
        """There will be no more trials: the search is being ended."""
        self._finish()

    def get_state(self) -> dict[str, Any]:
        """Returns what `set_state` needs."""
        return {
            "searcher": self.searcher.get_state(),
            "asked": list(self._asked),
            "told": self._told,
            "waiting": dict(self._waiting),
            "over": set(self._over),
            "is_finished": self.is_finished,
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_state` returned."""
        self.searcher.set_state(state["searcher"])
        self._asked = list(state["asked"])
        self._told = state["told"]
        self._waiting = dict(state["waiting"])
        self._over = set(state["over"])
        self.is_finished = state["is_finished"]

    @property
    def asked(self) -> list[str]:
        """Ids of the trials that were suggested, in order."""
        return self._asked

    def _may_ask(self) -> bool:
        needed = max(0, len(self._asked) - self._window + 1)
        self._tell(needed)
        return self._told >= needed

    def _tell(self, first: int) -> None:
        """Tells of the first so many trials, as far as they are over."""
        while self._told < first:
            trial_id = self._asked[self._told]
            story = self._waiting.get(trial_id)
            if story is None or not story.is_over:
                return
            for result in story.results:
                self.searcher.on_trial_result(trial_id, result)
            self.searcher.on_trial_complete(trial_id, result=story.last, error=story.error)
            del self._waiting[trial_id]
            self._told += 1

    def _finish(self) -> None:
        self.is_finished = True
        if self._ordered:
            self._tell(len(self._asked))


class _Story:
    """What an ordered searcher is still to be told of a trial."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.last: dict[str, Any] | None = None
        self.error = False
        self.is_over = False


def innermost(searcher: Searcher) -> Searcher:
    """Returns what limiters and the like wrap."""
    while isinstance(inner := getattr(searcher, "searcher", None), Searcher):
        searcher = inner
    return searcher
