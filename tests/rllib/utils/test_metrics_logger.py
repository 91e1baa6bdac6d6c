"""The metrics logger: each way to reduce, and what becomes of it between loggers."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib.utils.metrics import EPISODE_RETURN_MEAN, NUM_ENV_STEPS_SAMPLED_LIFETIME
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger


def sent(logger: MetricsLogger) -> dict[str, Any]:
    """What it hands on, as another process gets it."""
    received: dict[str, Any] = pickle.loads(pickle.dumps(logger.reduce()))
    return received


@pytest.mark.parametrize(
    ("arguments", "first", "second", "third"),
    [
        ({"reduce": "mean"}, 2.0, 10.0, math.nan),
        ({"window": 2}, 2.5, 6.5, 6.5),
        ({"reduce": "min"}, 1, 10, math.nan),
        ({"reduce": "max", "window": 2}, 3, 10, 10),
        ({"reduce": "sum"}, 6, 10, 0),
        ({"reduce": "lifetime_sum"}, 6, 16, 16),
        ({"reduce": "sum", "clear_on_reduce": False}, 6, 16, 16),
        ({"reduce": "item"}, 3, 10, 10),
        ({"reduce": "item_series"}, [1, 2, 3], [10], []),
        ({"reduce": "item_series", "window": 2}, [2, 3], [3, 10], [3, 10]),
        ({"ema_coeff": 0.5}, 2.25, 6.125, 6.125),
        ({"reduce": "percentiles", "window": 4, "percentiles": [0, 50]}, {0: 1, 50: 2}, {0: 1, 50: 2.5}, {0: 1, 50: 2.5}),
    ],
    ids=str,
)  # fmt: skip
def test_each_reduction(arguments: dict[str, Any], first: Any, second: Any, third: Any) -> None:
    here, there, merged = MetricsLogger(), MetricsLogger(), MetricsLogger()
    for values, expected in (([1, 2, 3], first), ([10], second), ([], third)):
        for value in values:
            here.log_value("a", value, **arguments)
            there.log_value("a", value, **arguments)
        merged.aggregate([sent(there)])
        assert _same(here.peek("a"), expected)
        assert _same(here.compile()["a"], expected)
        assert _same(merged.compile()["a"], expected)


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, float) and math.isnan(expected):
        return math.isnan(value)
    return bool(value == pytest.approx(expected))


def test_keys_nest_and_are_found_again() -> None:
    metrics = MetricsLogger()
    metrics.log_dict({"a": {"b": 1, "c": 2}, ("d", "e"): 3}, key="top", reduce="sum")
    assert metrics.peek() == {"top": {"a": {"b": 1, "c": 2}, "d": {"e": 3}}}
    assert metrics.peek(("top", "a")) == {"b": 1, "c": 2}
    assert metrics.peek(("top", "a", "b"), compile=False) == [1]
    assert ("top", "a") in metrics
    assert "a" not in metrics
    assert metrics.peek("nothing", default=5) == 5
    with pytest.raises(KeyError, match="top/a/b"):
        metrics.peek(("top", "a", "bb"))
    metrics.delete("top", "a")
    assert metrics.peek() == {"top": {"d": {"e": 3}}}
    with pytest.raises(KeyError):
        metrics.delete("top", "a")
    metrics.delete("top", "a", key_error=False)
    metrics.reset()
    assert metrics.peek() == {}


def test_runners_are_merged_whatever_their_speed() -> None:
    runners = [MetricsLogger() for _ in range(3)]
    algorithm = MetricsLogger()
    for iteration in range(2):
        for index, runner in enumerate(runners):
            for _ in range(index + 1):
                runner.log_value(EPISODE_RETURN_MEAN, 10.0 * index + iteration, window=4)
            runner.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, 5 * (index + 1), reduce="lifetime_sum")
        algorithm.aggregate([sent(runner) for runner in runners], key="env_runners")
    # Episodes of the last iteration, from the oldest: 21, then 11 and 21, then 1, 11 and 21; four of them are kept.
    assert algorithm.peek("env_runners") == {
        EPISODE_RETURN_MEAN: (21 + 1 + 11 + 21) / 4,
        NUM_ENV_STEPS_SAMPLED_LIFETIME: 60,
    }


@given(st.lists(st.lists(st.integers(-5, 5), max_size=6), min_size=1, max_size=4))
def test_merging_counts_each_value_once(values: list[list[int]]) -> None:
    algorithm, whole = MetricsLogger(), MetricsLogger()
    runners = [MetricsLogger() for _ in values]
    for way in ("mean", "sum", "min", "max"):
        for runner, its in zip(runners, values, strict=True):
            for value in its:
                runner.log_value(way, value, reduce=way)
                whole.log_value(way, value, reduce=way)
    algorithm.aggregate([sent(runner) for runner in runners])
    assert algorithm.compile() == pytest.approx(whole.compile())
    assert all(not its or math.isnan(runner.peek("mean")) for runner, its in zip(runners, values, strict=True))


def test_loggers_between_the_first_and_the_last_lose_nothing() -> None:
    leaf, between, root = MetricsLogger(), MetricsLogger(), MetricsLogger()
    for value in (1, 2):
        leaf.log_value("steps", value, reduce="lifetime_sum")
        leaf.log_value("returns", value, window=10)
        between.aggregate([sent(leaf)])
        root.aggregate([sent(between)])
    assert root.compile() == {"steps": 3, "returns": 1.5}
    assert between.peek("steps") == leaf.peek("steps") == 3


def test_a_tensor_is_read_when_results_are_made_and_holds_no_graph() -> None:
    metrics = MetricsLogger()
    weight = torch.ones((), requires_grad=True)
    for key, arguments in (("a", {"window": 2}), ("b", {}), ("c", {"reduce": "item"}), ("d", {"reduce": "sum"})):
        metrics.log_value(key, weight * 3, **arguments)
        metrics.log_value(key, np.float32(3), **arguments)
    result = metrics.compile()
    assert result == {"a": 3.0, "b": 3.0, "c": 3.0, "d": 6.0}
    assert all(type(value) is float for value in result.values())


def test_throughput_counts_since_the_last_reduction() -> None:
    seconds = iter([0.0, 2.0, 2.0, 6.0, 7.0])
    metrics = MetricsLogger(clock=lambda: next(seconds))
    metrics.log_value("steps", 10, reduce="lifetime_sum", with_throughput=True)
    assert metrics.peek("steps", throughput=True) == 5
    assert metrics.compile() == {"steps": 10, "steps_throughput": 5.0}
    metrics.log_value("steps", 20, reduce="lifetime_sum")
    assert metrics.peek(throughput=True) == {"steps_throughput": 5.0}
    assert metrics.compile() == {"steps": 30, "steps_throughput": 4.0}


def test_log_time_measures_the_block_also_where_it_raises() -> None:
    seconds = iter([1.0, 1.5, 2.0, 4.0])
    metrics = MetricsLogger(clock=lambda: next(seconds))
    with metrics.log_time("t", reduce="sum"):
        pass
    with pytest.raises(RuntimeError), metrics.log_time("t"):
        raise RuntimeError
    assert metrics.peek("t") == 2.5


def test_a_state_is_taken_up_where_it_was_left() -> None:
    def steps(logger: MetricsLogger, values: range) -> Iterator[Any]:
        for value in values:
            for way in ("mean", "ema", "min", "max", "sum", "lifetime_sum", "percentiles", "item", "item_series"):
                logger.log_value(("all", way), value, reduce=way)
            logger.log_value("window", value, window=3)
            if value % 2:
                yield logger.compile()

    through, before, after = MetricsLogger(), MetricsLogger(), MetricsLogger()
    all_results = list(steps(through, range(7)))
    first = list(steps(before, range(5)))
    after.set_state(pickle.loads(pickle.dumps(before.get_state())))
    assert first + list(steps(after, range(5, 7))) == all_results
    assert after.compile() == through.compile()
    assert pickle.loads(pickle.dumps(through)).peek("window") == 5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"reduce": "meen"}, "mean"),
        ({"window": 0}, "window"),
        ({"reduce": "sum", "window": 3}, "window"),
        ({"ema_coeff": 0.0}, "ema_coeff"),
        ({"reduce": "percentiles", "percentiles": [101]}, "101"),
        ({"reduce": "mean", "with_throughput": True}, "with_throughput"),
    ],
)
def test_arguments_that_say_nothing_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        MetricsLogger().log_value("a", 1, **arguments)


def test_a_key_is_a_value_or_holds_others() -> None:
    metrics = MetricsLogger()
    metrics.log_value(("a", "b"), 1)
    for key in ("a", ("a", "b", "c")):
        with pytest.raises(ValueError, match="already"):
            metrics.log_value(key, 1)
    metrics.log_value("text", 1, window=2)
    metrics.log_value("text", "not a number")
    with pytest.raises(TypeError, match="text"):
        metrics.compile()
    with pytest.raises(TypeError, match="log_dict"):
        metrics.aggregate([{"x": 3}])


@pytest.mark.parametrize("value", [[1, 2], "x", {"a": 1}, np.ones(3), None])
def test_what_is_no_number_is_told_where_it_is_logged(value: Any) -> None:
    metrics = MetricsLogger()
    with pytest.raises(TypeError, match=r'^part/found is .* no number.*reduce="item_series"'):
        metrics.log_value(("part", "found"), value)
    metrics.log_value(("part", "found"), value, reduce="item_series")
    metrics.log_value("one", torch.ones((1, 1)))
    metrics.log_value("sure", np.bool_(True))
    assert metrics.peek("one") == metrics.peek("sure") == 1.0
