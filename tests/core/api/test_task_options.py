"""Options of remote functions: what they become, and which are refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

import shoal
from shoal._core.api.task_options import parse_task_options
from shoal._core.schema.options import DYNAMIC, STREAMING, TaskOptions
from shoal._core.schema.resources import DEFAULT, SPREAD, UNIT, NodeAffinityStrategy
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError
from shoal.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def parse(is_generator: bool = False, **given: Any) -> TaskOptions:
    return parse_task_options(given, is_generator)[0]


def test_defaults() -> None:
    options = parse()
    assert options.resources.to_floats() == {"CPU": 1}
    assert options.num_returns == 1
    assert options.max_retries == 3
    assert options.retry_exceptions is False
    assert options.max_calls == 0
    assert options.environment is None
    assert options.strategy == DEFAULT
    assert options.name == ""
    assert options.generator_backpressure == -1


def test_none_is_as_good_as_absent() -> None:
    names = [
        "num_cpus",
        "num_gpus",
        "resources",
        "memory",
        "max_retries",
        "name",
        "runtime_env",
        "num_returns",
        "label_selector",
    ]
    assert parse(**dict.fromkeys(names)) == parse()


def test_resources() -> None:
    options = parse(num_cpus=0.5, num_gpus=2, memory=1000, resources={"camera": 1.5}, accelerator_type="T4")
    assert options.resources.to_floats() == {
        "CPU": 0.5,
        "GPU": 2,
        "memory": 1000,
        "camera": 1.5,
        "accelerator_type:T4": 0.001,
    }


def test_no_cpus() -> None:
    assert parse(num_cpus=0).resources.is_empty


def test_booleans_are_numbers() -> None:
    assert parse(num_gpus=True).resources.get("GPU") == UNIT


def test_gpu_tasks_end_their_process() -> None:
    assert parse(num_gpus=0.5).max_calls == 1
    assert parse(num_gpus=1, max_calls=0).max_calls == 0


def test_generators_stream() -> None:
    assert parse(is_generator=True).num_returns == STREAMING
    assert parse(is_generator=True, num_returns="dynamic").num_returns == DYNAMIC
    assert parse(is_generator=True, num_returns=3).num_returns == 3
    assert parse(num_returns="streaming").num_returns == STREAMING  # a function may return a generator


def test_retries_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_TASK_MAX_RETRIES", "7")
    assert parse().max_retries == 7
    assert parse(max_retries=1).max_retries == 1
    monkeypatch.setenv("SHOAL_TASK_MAX_RETRIES", "many")
    with pytest.raises(InvalidOptionError, match="SHOAL_TASK_MAX_RETRIES"):
        parse()


def test_strategies() -> None:
    assert parse(scheduling_strategy="SPREAD").strategy == SPREAD
    strategy = NodeAffinitySchedulingStrategy("ab" * 16, soft=True)
    assert parse(scheduling_strategy=strategy).strategy == NodeAffinityStrategy("ab" * 16, soft=True)


def test_labels() -> None:
    options = parse(label_selector={"zone": "in(a, b)"}, fallback_strategy=[{"label_selector": {"zone": "!c"}}])
    assert options.label_selector == {"zone": "in(a, b)"}
    assert options.fallback_strategy == ({"zone": "!c"},)


@pytest.mark.parametrize(
    "given",
    [
        {"unknown": 1},
        {"num_cpu": 1},
        {"max_restarts": 1},
        {"num_cpus": -1},
        {"num_cpus": math.nan},
        {"num_cpus": math.inf},
        {"num_cpus": 0.00001},
        {"num_gpus": -1},
        {"num_gpus": 1.5},
        {"resources": {"CPU": 1}},
        {"resources": {"GPU": 1}},
        {"resources": {"memory": 1}},
        {"resources": {"x": -1}},
        {"resources": {"": 1}},
        {"memory": -1},
        {"object_store_memory": 1},
        {"max_retries": -2},
        {"max_calls": -1},
        {"num_returns": -1},
        {"num_returns": "many"},
        {"retry_exceptions": [3]},
        {"scheduling_strategy": "NEARBY"},
        {"label_selector": {"zone": "in("}},
        {"fallback_strategy": [{"zone": "a"}]},
        {"_generator_backpressure_num_objects": 0},
        {"accelerator_type": ""},
    ],
    ids=str,
)
def test_values_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        parse(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"num_cpus": "1"},
        {"num_cpus": [1]},
        {"resources": [1]},
        {"resources": {"x": "1"}},
        {"resources": {1: 1}},
        {"memory": "1"},
        {"accelerator_type": 3},
        {"max_retries": 1.5},
        {"max_retries": "x"},
        {"num_returns": 1.5},
        {"retry_exceptions": ValueError},
        {"retry_exceptions": 3},
        {"name": 3},
        {"scheduling_strategy": 3},
        {"runtime_env": 3},
        {"label_selector": {"zone": 1}},
        {"label_selector": 3},
        {"fallback_strategy": 3},
        {"enable_task_events": 3},
        {"_labels": {"a": 1}},
    ],
    ids=str,
)
def test_types_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionTypeError):
        parse(**given)


def test_unknown_option_names_those_that_are_close() -> None:
    with pytest.raises(InvalidOptionError, match=r"Did you mean 'num_cpus'.*They have: .*max_retries"):
        shoal.remote(num_cpu=1)


def test_checked_where_they_are_written() -> None:
    with pytest.raises(ValueError, match="max_retries=-2"):

        @shoal.remote(max_retries=-2)
        def decorated() -> None: ...

    remote = shoal.remote(lambda: None)
    with pytest.raises(ValueError, match="max_retries=-2"):
        remote.options(max_retries=-2)
