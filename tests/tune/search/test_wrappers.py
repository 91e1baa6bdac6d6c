"""ConcurrencyLimiter, Repeater, SearchGenerator, BasicVariantGenerator, and searchers by name."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from shoal.tune import search_space as space
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search import (
    BasicVariantGenerator,
    ConcurrencyLimiter,
    Repeater,
    SearchAlgorithm,
    Searcher,
    SearchGenerator,
    create_searcher,
)
from shoal.tune.search.objective import Objective, lookup
from shoal.tune.search.repeater import TRIAL_INDEX
from shoal.tune.search.searcher_gone import SearcherGoneError


class Diary(Searcher):
    """Suggests whole numbers, and notes what it is told."""

    def __init__(self, suggestions: int = 100, ordered: bool = False) -> None:
        super().__init__("loss", "min")
        self.left = suggestions
        self.ordered = ordered
        self.told: list[tuple[Any, ...]] = []

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.left == 0:
            return self.FINISHED
        self.left -= 1
        return {"n": self.left}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.told.append((trial_id, "result", result["loss"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append((trial_id, "over", None if result is None else result["loss"], error))


def test_a_batch_is_told_whole_and_in_its_order() -> None:
    diary = Diary()
    limiter = ConcurrencyLimiter(diary, 3, batch=True)
    limiter.set_search_properties(None, None, {}, num_samples=5)
    for trial_id in "abc":
        assert isinstance(limiter.suggest(trial_id), dict)
    assert limiter.suggest("d") is None
    limiter.on_trial_result("c", {"loss": 1})
    limiter.on_trial_complete("c", {"loss": 2})
    limiter.on_trial_complete("b", error=True)
    assert limiter.suggest("d") is None
    assert diary.told == []
    limiter.on_trial_complete("a", {"loss": 3})
    assert diary.told == [
        ("a", "over", 3, False),
        ("b", "over", None, True),
        ("c", "result", 1),
        ("c", "over", 2, False),
    ]
    # The last batch is smaller: the search has no more trials.
    assert isinstance(limiter.suggest("d"), dict)
    assert isinstance(limiter.suggest("e"), dict)
    limiter.on_trial_complete("e", {"loss": 5})
    limiter.on_trial_complete("d", {"loss": 4})
    assert diary.told[-2:] == [("d", "over", 4, False), ("e", "over", 5, False)]


def test_a_batch_ends_where_the_searcher_has_no_more() -> None:
    diary = Diary(2)
    limiter = ConcurrencyLimiter(diary, 3, batch=True)
    assert isinstance(limiter.suggest("a"), dict)
    limiter.on_trial_complete("a", {"loss": 1})
    assert isinstance(limiter.suggest("b"), dict)
    assert diary.told == []
    assert limiter.suggest("c") == Searcher.FINISHED
    limiter.on_trial_complete("b", {"loss": 2})
    assert [told[0] for told in diary.told] == ["a", "b"]


def test_a_limiter_goes_on_from_its_state() -> None:
    limiter = ConcurrencyLimiter(Diary(), 2, batch=True)
    limiter.suggest("a")
    limiter.on_trial_complete("a", {"loss": 1})
    limiter.suggest("b")
    other = ConcurrencyLimiter(diary := Diary(), 2, batch=True)
    other.set_state(pickle.loads(pickle.dumps(limiter.get_state())))
    assert other.suggest("c") is None
    other.on_trial_complete("b", {"loss": 2})
    assert [told[0] for told in diary.told] == ["a", "b"]


def test_limiters_are_what_their_searcher_is() -> None:
    assert ConcurrencyLimiter(Diary(ordered=True), 2).ordered
    assert not ConcurrencyLimiter(Diary(ordered=True), 2, batch=True).ordered
    assert (ConcurrencyLimiter(Diary(), 2).metric, ConcurrencyLimiter(Diary(), 2).mode) == ("loss", "min")
    assert not ConcurrencyLimiter(Diary(), 4, batch=True).set_max_concurrency(2)
    with pytest.raises(InvalidArgumentError, match="give the limit in one place"):
        ConcurrencyLimiter(Diary(), 4).set_max_concurrency(2)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ConcurrencyLimiter(Diary(), 0), "max_concurrent is 0"),
        (lambda: ConcurrencyLimiter(None, 1), "searcher is None"),  # type: ignore[arg-type]
        (lambda: ConcurrencyLimiter(ConcurrencyLimiter(Diary(), 1), 1), "ConcurrencyLimiter already"),
        (lambda: Repeater(Diary(), 0), "repeat is 0"),
        (lambda: Repeater(3), "searcher is 3"),  # type: ignore[arg-type]
        (lambda: SearchGenerator(3), "searcher is 3"),  # type: ignore[arg-type]
        (lambda: BasicVariantGenerator(max_concurrent=-1), "max_concurrent is -1"),
        (lambda: BasicVariantGenerator(random_state="a"), "random_state is 'a'"),  # type: ignore[arg-type]
        (lambda: create_searcher("optnua"), "did you mean 'optuna'"),
    ],
)
def test_arguments_that_cannot_be(make: Any, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        make()


def test_each_suggestion_is_repeated_and_its_mean_told() -> None:
    diary = Diary()
    repeater = Repeater(diary, 3)
    configs = [repeater.suggest(str(number)) for number in range(7)]
    assert configs[:3] == [{"n": 99, TRIAL_INDEX: index} for index in range(3)]
    assert configs[3] == {"n": 98, TRIAL_INDEX: 0}
    for trial_id, loss in (("1", 1.0), ("4", 5.0), ("0", 2.0)):
        repeater.on_trial_complete(trial_id, {"loss": loss})
    assert diary.told == []
    repeater.on_trial_complete("2", {"loss": 6.0})
    assert diary.told == [("0", "over", 3.0, False)]
    repeater.on_trial_complete("3", error=True)
    repeater.on_trial_complete("5", {"loss": math.nan})
    assert diary.told[1] == ("3", "over", 5.0, False)  # what did not fail counts
    assert repeater.suggest("7") == {"n": 97, TRIAL_INDEX: 1}


def test_a_suggestion_that_always_failed_is_told_as_failed() -> None:
    diary = Diary()
    repeater = Repeater(diary, 2, set_index=False)
    assert repeater.suggest("a") == repeater.suggest("b") == {"n": 99}
    repeater.on_trial_complete("a", error=True)
    repeater.on_trial_complete("b")
    assert diary.told == [("a", "over", None, True)]


def test_a_repeater_goes_on_from_its_state() -> None:
    repeater = Repeater(Diary(), 2)
    repeater.suggest("a")
    repeater.on_trial_complete("a", {"loss": 1.0})
    other = Repeater(diary := Diary(), 2)
    other.set_state(pickle.loads(pickle.dumps(repeater.get_state())))
    assert other.suggest("b") == {"n": 99, TRIAL_INDEX: 1}
    other.on_trial_complete("b", {"loss": 3.0})
    assert diary.told == [("a", "over", 2.0, False)]


def test_basic_variants_know_their_number() -> None:
    searcher = BasicVariantGenerator(points_to_evaluate=[{"g": 1}], random_state=np.random.default_rng(3))
    assert searcher.total_samples is None
    searcher.set_search_properties(
        None, None, {"g": space.grid_search([1, 2]), "x": space.uniform(0, 1)}, num_samples=3
    )
    assert searcher.total_samples == 5
    configs = []
    while (config := searcher.suggest(str(len(configs)))) != Searcher.FINISHED:
        configs.append(config)
    assert len(configs) == 5
    assert Repeater(searcher, 2).total_samples == 10
    assert ConcurrencyLimiter(searcher, 2).total_samples == 5


def test_basic_variants_keep_their_limit() -> None:
    searcher = BasicVariantGenerator(max_concurrent=1)
    searcher.set_search_properties(None, None, {"x": space.uniform(0, 1)}, num_samples=3)
    assert isinstance(searcher.suggest("a"), dict)
    assert searcher.suggest("b") is None
    searcher.on_trial_complete("a")
    assert isinstance(searcher.suggest("b"), dict)


def test_numpys_shared_seed_counts_where_no_other_is_given() -> None:
    def drawn() -> Any:
        np.random.seed(5)
        searcher = BasicVariantGenerator()
        searcher.set_search_properties(None, None, {"x": space.uniform(0, 1)})
        return searcher.suggest("a")

    assert drawn() == drawn()


def test_the_older_interface_makes_trials() -> None:
    algorithm = SearchGenerator(BasicVariantGenerator(random_state=1))
    assert isinstance(algorithm, SearchAlgorithm)
    algorithm.add_configurations({"e": {"run": "t", "config": {"x": space.grid_search([1, 2])}, "num_samples": 1}})
    assert algorithm.total_samples == 2
    trials = [algorithm.next_trial(), algorithm.next_trial()]
    assert [(trial.config, trial.experiment_tag, trial.trainable_name) for trial in trials if trial] == [
        ({"x": 1}, "0,x=1", "t"),
        ({"x": 2}, "1,x=2", "t"),
    ]
    assert not algorithm.is_finished()
    assert algorithm.next_trial() is None
    assert algorithm.is_finished()
    limited = SearchGenerator(Diary())
    limited.add_configurations({"e": {"run": "t", "config": {}, "num_samples": 1}})
    assert limited.next_trial() is not None
    assert limited.next_trial() is None
    with pytest.raises(InvalidArgumentError, match="give one experiment"):
        SearchGenerator(Diary()).add_configurations({"a": {}, "b": {}})


@pytest.mark.parametrize("name", ["sigopt", "hebo"])
def test_what_cannot_be_asked_any_more_says_why(name: str) -> None:
    with pytest.raises(SearcherGoneError, match="OptunaSearch") as caught:
        create_searcher(name, metric="loss")
    assert isinstance(caught.value, NotImplementedError)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, library in (
        ("hyperopt", "hyperopt"),
        ("bayesopt", "bayes_opt"),
        ("nevergrad", "nevergrad"),
        ("zoopt", "zoopt"),
        ("bohb", "ConfigSpace"),
        ("ax", "ax"),
    ):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=rf"pip install 'shoal-tune\[{name}\]'"):
            create_searcher(name)


def test_importing_searchers_loads_no_library() -> None:
    program = """
import sys
import shoal.tune.search, shoal.tune.search.sample
for name in ("optuna", "hyperopt", "nevergrad", "bayesopt", "zoopt", "ax", "bohb", "hebo", "sigopt"):
    __import__(f"shoal.tune.search.{name}")
heavy = {"optuna", "hyperopt", "nevergrad", "bayes_opt", "zoopt", "ax", "hpbandster", "torch", "pandas", "sklearn", "scipy"}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)


def test_metrics_in_nested_results(caplog: pytest.LogCaptureFixture) -> None:
    objective = Objective.of(["a/b", "c"], "max", "test")
    assert objective.values({"a": {"b": 1}, "c": np.float32(2)}) == [1.0, 2.0]
    assert objective.losses({"a/b": 1, "c": 2}) == [-1.0, -2.0]
    assert objective.values({"a/b": None, "c": 2}) is None
    assert lookup({"a": {"b": 1}}, "a/c", "none") == "none"
    assert objective.values({"c": 1}) is None
    assert "no metric 'a/b', so it counts as failed. It has: 'c'" in caplog.text
