"""What every searcher promises: one suite that all of them pass. Those whose library is not installed are skipped, by name."""

from __future__ import annotations

import importlib.util
import math
import pickle
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from shoal.tune import search_space as space
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search import ConcurrencyLimiter, Searcher, create_searcher


@dataclass(frozen=True)
class Case:
    """How one searcher is made."""

    name: str
    library: str | None
    seed: Callable[[int], dict[str, Any]]
    trials: int = 30
    options: dict[str, Any] = field(default_factory=dict)
    takes_points: bool = True
    ordered: bool = True

    def make(self, seed: int | None = 1, **options: Any) -> Searcher:
        return create_searcher(self.name, **self.options, **(self.seed(seed) if seed is not None else {}), **options)


CASES = [
    Case("random", None, lambda seed: {"random_state": seed}, ordered=False),
    Case("optuna", "optuna", lambda seed: {"seed": seed}),
    Case("hyperopt", "hyperopt", lambda seed: {"random_state_seed": seed}, options={"n_initial_points": 8}),
    Case("nevergrad", "nevergrad", lambda seed: {"seed": seed}),
    Case("bayesopt", "bayes_opt", lambda seed: {"random_state": seed}, 14, {"random_search_steps": 8}),
    Case("zoopt", "zoopt", lambda seed: {"seed": seed}, options={"parallel_num": 4}),
    Case("bohb", "hpbandster", lambda seed: {"seed": seed}, ordered=False),
    Case("ax", "ax", lambda seed: {"random_seed": seed}, 10),
]
EXTERNAL = [case for case in CASES if case.library is not None]


def marked(cases: list[Case]) -> Iterator[Any]:
    for case in cases:
        missing = case.library is not None and importlib.util.find_spec(case.library) is None
        skip = pytest.mark.skipif(missing, reason=f"{case.library} is not installed: {case.name} is NOT tested here")
        yield pytest.param(case, id=case.name, marks=[skip, pytest.mark.timeout(180)])


every = pytest.mark.parametrize("case", list(marked(CASES)))
every_external = pytest.mark.parametrize("case", list(marked(EXTERNAL)))

BOWL = {"x": space.uniform(-1, 1), "n": {"y": space.randint(-5, 6)}}
ALL_KINDS: dict[str, Any] = {
    "float": space.uniform(-1, 1),
    "log": space.loguniform(1e-3, 1),
    "stepped": space.quniform(0, 1, 0.1),
    "log_stepped": space.qloguniform(1e-3, 1, 1e-3),
    "int": space.randint(0, 5),
    "int_stepped": space.qrandint(0, 10, 5),
    "int_log": space.lograndint(1, 100),
    "int_log_stepped": space.qlograndint(1, 100, 2),
    "normal": space.randn(10, 2),
    "normal_stepped": space.qrandn(0, 1, 0.5),
    "choice": space.choice([{"a": 1}, None, [1, 2], "x", True, 1]),
    "nested": {"list": [space.uniform(0, 1), 3], "pair": (1, space.randint(1, 3))},
    "one": space.choice([7]),
    "only": space.randint(3, 4),
    "computed": space.sample_from(lambda config: config.float * 2),
    "conditional": space.choice([{"kind": "a", "depth": space.randint(1, 4)}, {"kind": "b"}]),
    "constant": "kept",
}


def bowl(config: dict[str, Any]) -> float:
    return float((config["x"] - 0.6) ** 2 + (config["n"]["y"] - 3) ** 2 / 10)


def started(searcher: Searcher, of: dict[str, Any], trials: int, mode: str = "min") -> Searcher:
    assert searcher.set_search_properties("loss", mode, of, num_samples=trials)
    return searcher


def run(
    searcher: Searcher,
    trials: int,
    score: Callable[[dict[str, Any]], float],
    *,
    concurrent: int = 1,
    stop_at: int | None = None,
    first: int = 0,
    live: deque[tuple[str, dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Runs trials `first` and after, `concurrent` at a time, told in their order. With `stop_at` live ones are left."""
    configs = []
    live = live if live is not None else deque()

    def finish() -> None:
        trial_id, config = live.popleft()
        searcher.on_trial_result(trial_id, {"loss": score(config), "training_iteration": 1})
        searcher.on_trial_complete(trial_id, {"loss": score(config), "training_iteration": 1})

    for number in range(first, trials if stop_at is None else stop_at):
        while len(live) >= concurrent:
            finish()
        trial_id = f"trial{number}"
        while (config := searcher.suggest(trial_id)) is None:
            finish()
        if config == Searcher.FINISHED:
            break
        assert isinstance(config, dict)
        configs.append(config)
        live.append((trial_id, config))
    while live and stop_at is None:
        finish()
    return configs


@every
@pytest.mark.parametrize("mode", ["min", "max"])
def test_finds_better_than_the_middle(case: Case, mode: str) -> None:
    sign = 1 if mode == "min" else -1
    searcher = started(case.make(), BOWL, case.trials, mode)
    configs = run(searcher, case.trials, lambda config: sign * bowl(config))
    assert min(map(bowl, configs)) < bowl({"x": 0.0, "n": {"y": 0}})
    assert min(map(bowl, configs)) < 0.4


@every
def test_the_same_seed_gives_the_same_suggestions(case: Case) -> None:
    def suggestions(seed: int) -> list[dict[str, Any]]:
        return run(started(case.make(seed), BOWL, 12), 12, bowl, concurrent=3)

    assert case.make().ordered is case.ordered
    assert suggestions(1) == suggestions(1)
    assert suggestions(1) != suggestions(2)


@every
def test_goes_on_from_its_state_as_if_nothing_had_happened(case: Case) -> None:
    trials = min(case.trials, 16)
    whole = run(started(case.make(), BOWL, trials), trials, bowl, concurrent=2)
    cut = trials * 2 // 3
    live: deque[tuple[str, dict[str, Any]]] = deque()
    before = started(case.make(), BOWL, trials)
    configs = run(before, trials, bowl, concurrent=2, stop_at=cut, live=live)
    stored = pickle.dumps(before.get_state())
    after = started(case.make(), BOWL, trials)
    after.set_state(pickle.loads(stored))
    configs += run(after, trials, bowl, concurrent=2, first=cut, live=live)
    assert configs == whole


@every
def test_a_state_in_a_file(case: Case, tmp_path: Any) -> None:
    searcher = started(case.make(), BOWL, 6)
    run(searcher, 6, bowl, stop_at=3)
    searcher.save_to_dir(str(tmp_path))
    other = started(case.make(), BOWL, 6)
    other.restore_from_dir(str(tmp_path))
    assert other.suggest("next") == searcher.suggest("next")


@every
def test_every_kind_of_domain_comes_back_in_its_shape(case: Case) -> None:
    # Gaussian processes take their time in so many dimensions: what is random at first shows the shapes as well.
    trials = 6 if case.name in ("ax", "bayesopt") else 24
    configs = run(started(case.make(), ALL_KINDS, trials), trials, lambda config: config["float"] ** 2)
    for config in configs:
        assert list(config) == list(ALL_KINDS)
        for name, domain in ALL_KINDS.items():
            if isinstance(domain, space.Domain) and name not in ("computed", "conditional"):
                assert domain.is_valid(config[name]), (name, config[name])
        assert all(type(config[name]) is float for name in ("float", "log", "stepped", "log_stepped", "normal"))
        assert all(type(config[name]) is int for name in ("int", "int_stepped", "int_log", "int_log_stepped", "only"))
        assert config["stepped"] in [k / 10 for k in range(11)]
        assert config["int_stepped"] in (0, 5, 10)
        assert config["int_log_stepped"] % 2 == 0
        assert (config["normal_stepped"] * 2).is_integer()
        assert any(config["choice"] is value or config["choice"] == value for value in ALL_KINDS["choice"].categories)
        assert config["nested"]["list"][1] == 3
        assert type(config["nested"]["pair"]) is tuple
        assert config["computed"] == config["float"] * 2
        assert config["conditional"] == {"kind": "b"} or config["conditional"]["depth"] in (1, 2, 3)
        assert (config["one"], config["only"], config["constant"]) == (7, 3, "kept")
        pickle.dumps(config)


@every
def test_failures_and_nonsense_are_taken(case: Case) -> None:
    trials = 12
    searcher = started(case.make(), BOWL, trials)
    for number in range(trials):
        trial_id = str(number)
        config = searcher.suggest(trial_id)
        assert isinstance(config, dict)
        outcome = number % 4
        if outcome == 0:
            searcher.on_trial_complete(trial_id, error=True)
        elif outcome == 1:
            searcher.on_trial_result(trial_id, {"loss": math.nan, "training_iteration": 1})
            searcher.on_trial_complete(trial_id, {"loss": (math.nan, math.inf, -math.inf, "nonsense")[number % 3]})
        elif outcome == 2:
            searcher.on_trial_complete(trial_id, {"loss": bowl(config)})
        else:
            searcher.on_trial_complete(trial_id)  # ended without a report
    searcher.on_trial_complete("never suggested", {"loss": 1})


@every_external
def test_a_metric_that_is_not_there_counts_as_a_failure_and_is_named_with_what_is(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    searcher = started(case.make(), BOWL, 5)
    searcher.suggest("a")
    searcher.on_trial_result("a", {"los": 1, "training_iteration": 1})
    assert not caplog.records
    searcher.on_trial_complete("a", {"los": 1})
    [text] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "no metric 'loss', so it counts as failed. Did you mean 'los'" in text
    assert isinstance(searcher.suggest("b"), dict)


@every
def test_points_come_first(case: Case) -> None:
    points = [{"x": 0.25, "n": {"y": 2}}, {"n/y": -3}]
    searcher = started(case.make(points_to_evaluate=points), BOWL, 6)
    configs = run(searcher, 3, bowl)
    assert configs[0] == {"x": pytest.approx(0.25), "n": {"y": 2}}
    assert configs[1]["n"]["y"] == -3
    assert configs[2] != configs[1]


@every
def test_points_that_do_not_fit_are_errors_at_once(case: Case) -> None:
    with pytest.raises(InvalidArgumentError, match="'z', which the space has not"):
        started(case.make(points_to_evaluate=[{"z": 1}]), BOWL, 5)


@every_external
def test_grids_are_for_the_search_without_searcher(case: Case) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"grid_search at 'g'.*use choice\(...\) there, or leave search_alg out"
    ):
        started(case.make(), BOWL | {"g": space.grid_search([1, 2])}, 5)


@every_external
@pytest.mark.parametrize("of", [{}, {"a": 1}])
def test_a_space_with_nothing_to_search_is_an_error(case: Case, of: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="nothing to search"):
        started(case.make(), of, 5)


@every_external
def test_metric_and_mode_are_given_once(case: Case) -> None:
    searcher = case.make(metric="loss", mode="min")
    with pytest.raises(InvalidArgumentError, match=r"metric is 'loss' .* and 'accuracy' for the search"):
        searcher.set_search_properties("accuracy", None, BOWL)
    with pytest.raises(InvalidArgumentError, match="mode is 'best'; give 'min' or 'max'"):
        case.make(metric="loss", mode="best")
    with pytest.raises(InvalidArgumentError, match="metric is None"):
        case.make().set_search_properties(None, "min", BOWL)
    with pytest.raises(InvalidArgumentError, match="mode is None"):
        case.make().set_search_properties("loss", None, BOWL)
    with pytest.raises(InvalidArgumentError, match="has no space yet"):
        case.make(metric="loss", mode="min").suggest("a")


@every_external
def test_its_own_space_takes_constants_and_no_second_space(case: Case) -> None:
    key = "dim_dict" if case.name == "zoopt" else "space"
    searcher = case.make(metric="loss", mode="min", **{key: BOWL})
    assert searcher.set_search_properties(None, None, {"constant": 3}, num_samples=5)
    config = searcher.suggest("a")
    assert isinstance(config, dict)
    assert set(config) == {"constant", "x", "n"}
    with pytest.raises(InvalidArgumentError, match="has a space of its own"):
        case.make(metric="loss", mode="min", **{key: BOWL}).set_search_properties(None, None, BOWL)


@every_external
def test_a_seed_of_the_search_is_taken(case: Case) -> None:
    if case.name == "bayesopt":
        pytest.skip("has a seed of its own unless it is told random_state=None")
    searcher = case.make(None)
    searcher.set_search_properties("loss", "min", BOWL, num_samples=5, seed=1)
    other = case.make(1)
    other.set_search_properties("loss", "min", BOWL, num_samples=5)
    assert searcher.ordered is case.ordered
    assert searcher.suggest("a") == other.suggest("a")


@every
def test_a_limit_is_kept(case: Case) -> None:
    searcher = started(ConcurrencyLimiter(case.make(), 2), BOWL, 5)
    first = [searcher.suggest("a"), searcher.suggest("b")]
    assert all(isinstance(config, dict) for config in first)
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", {"loss": 1.0})
    assert isinstance(searcher.suggest("c"), dict)
    assert searcher.suggest("d") is None


@every
def test_batches_make_suggestions_independent_of_how_many_run(case: Case) -> None:
    def suggestions(concurrent: int) -> list[dict[str, Any]]:
        return run(started(ConcurrencyLimiter(case.make(), 4, batch=True), BOWL, 10), 10, bowl, concurrent=concurrent)

    assert suggestions(1) == suggestions(2) == suggestions(4) == suggestions(10)


@every_external
def test_another_space_than_that_of_its_state_is_an_error(case: Case) -> None:
    searcher = started(case.make(), BOWL, 5)
    searcher.suggest("a")
    other = case.make(metric="loss", mode="min")
    other.set_state(pickle.loads(pickle.dumps(searcher.get_state())))
    with pytest.raises(InvalidArgumentError, match="has searched another space: 'n/y', 'w', 'x' changed"):
        other.set_search_properties("loss", "min", {"w": space.uniform(0, 1)})
    assert other.set_search_properties("loss", "min", BOWL)
    assert isinstance(other.suggest("b"), dict)
