"""HyperOptSearch takes Hyperopt's own expressions, where one choice may decide what else there is."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

pytest.importorskip("hyperopt", reason="hyperopt is not installed: HyperOptSearch is NOT tested here")

from hyperopt import hp

from shoal import tune
from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.hyperopt import HyperOptSearch

SPACE = {
    "activation": hp.choice("kind", [{"name": "relu", "slope": hp.uniform("slope", 0, 1)}, {"name": "tanh"}]),
    "width": hp.quniform("width", 0, 20, 2),
    "steps": 100,
}


def made(**options: Any) -> HyperOptSearch:
    return HyperOptSearch(SPACE, metric="loss", mode="min", random_state_seed=1, n_initial_points=5, **options)


def tried(searcher: HyperOptSearch, trials: range) -> list[dict[str, Any]]:
    """Its suggestions, each told before the next: tanh is bad, and so are steep slopes."""
    configs = []
    for trial in trials:
        config = searcher.suggest(f"t{trial}")
        assert isinstance(config, dict)
        searcher.on_trial_complete(f"t{trial}", {"loss": config["activation"].get("slope", 2)})
        configs.append(config)
    return configs


def test_what_depends_on_a_choice_is_there_with_it() -> None:
    for config in tried(made(), range(12)):
        assert config["activation"].keys() == (
            {"name", "slope"} if config["activation"]["name"] == "relu" else {"name"}
        )
        assert type(config["width"]) is float and config["width"] % 2 == 0 and config["steps"] == 100


def test_it_learns_which_choice_is_good() -> None:
    names = [config["activation"]["name"] for config in tried(made(), range(60))]
    assert names.count("tanh") < 20


def test_it_goes_on_from_a_state() -> None:
    one, other = made(), made()
    tried(one, range(8))
    other.set_state(pickle.loads(pickle.dumps(one.get_state())))
    assert tried(one, range(8, 16)) == tried(other, range(8, 16))


def test_points_to_begin_with_are_numbers_by_label() -> None:
    points = [{"kind": 1}, {"kind": 0, "slope": 0.25, "width": 4.0}, {"kind": 0}]
    first, second, third = tried(made(points_to_evaluate=points), range(3))
    assert first["activation"] == {"name": "tanh"}
    assert second == {"activation": {"name": "relu", "slope": 0.25}, "width": 4.0, "steps": 100}
    assert 0 <= third["activation"]["slope"] <= 1
    with pytest.raises(InvalidArgumentError, match="'kin', which is no label of the space; did you mean 'kind'"):
        made(points_to_evaluate=[{"kin": 1}])


def test_points_that_were_evaluated_are_learned_from() -> None:
    searcher = made()
    for number in range(30):
        tanh = number % 2
        searcher.add_evaluated_point(
            {"kind": 1, "width": 4.0} if tanh else {"kind": 0, "slope": 0.5, "width": 4.0}, 1.0 - tanh
        )
    names = [config["activation"]["name"] for config in tried(searcher, range(10))]
    assert names.count("tanh") >= 7


def test_constants_come_from_the_search_and_nothing_else() -> None:
    searcher = made()
    assert searcher.set_search_properties(None, None, {"rate": 0.1})
    assert tried(searcher, range(1))[0]["rate"] == 0.1
    with pytest.raises(InvalidArgumentError, match="has a space of its own"):
        made().set_search_properties(None, None, {"x": tune.uniform(0, 1)})
