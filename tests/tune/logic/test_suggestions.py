"""Who suggests is asked and told in its order."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.tune._internal.logic.suggestions import Suggestions
from shoal.tune.exceptions import TuneError
from shoal.tune.search.searcher import Searcher


class Counts(Searcher):
    def __init__(self, answers: list[Any]) -> None:
        super().__init__()
        self.answers = answers
        self.told: list[str] = []

    def suggest(self, trial_id: str) -> Any:
        return self.answers.pop(0)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append(trial_id)


def test_flat_suggestions_become_nested() -> None:
    assert Suggestions(Counts([{"a/b": 1, "c": 2}]), 1, 1).suggest("t") == {"a": {"b": 1}, "c": 2}


def test_a_total_ends_the_suggestions() -> None:
    suggestions = Suggestions(Counts([{"x": 1}, {"x": 2}, {"x": 3}]), 2, 1)
    assert [suggestions.suggest("a"), suggestions.suggest("b"), suggestions.suggest("c")] == [{"x": 1}, {"x": 2}, None]
    assert suggestions.is_finished


def test_the_searcher_may_say_that_it_has_no_more() -> None:
    suggestions = Suggestions(Counts([None, Searcher.FINISHED]), None, 1)
    assert suggestions.suggest("a") is None
    assert not suggestions.is_finished
    assert suggestions.suggest("a") is None
    assert suggestions.is_finished


@pytest.mark.parametrize("answer", [3, "nonsense"])
def test_what_is_no_configuration_is_an_error_that_names_the_searcher(answer: Any) -> None:
    with pytest.raises(TuneError, match="Counts"):
        Suggestions(Counts([answer]), 1, 1).suggest("a")


def test_a_trial_is_told_of_once() -> None:
    searcher = Counts([{"x": 1}])
    suggestions = Suggestions(searcher, 1, 1)
    suggestions.suggest("a")
    suggestions.complete("a", None, error=True)
    suggestions.complete("a", None, error=False)
    assert searcher.told == ["a"]


def test_a_suggestion_after_the_saved_state_is_made_again() -> None:
    suggestions = Suggestions(Counts([{"x": 1}, {"x": 2}, {"x": 3}]), 3, 1)
    suggestions.suggest("a")
    again = Suggestions(Counts([]), 3, 1)
    again.set_state(suggestions.get_state())
    again.replay("a")
    again.replay("b")
    assert again.asked == ["a", "b"]
    assert again.suggest("c") == {"x": 3}
    assert again.is_finished
