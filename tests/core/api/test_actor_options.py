"""Options of actors and of their methods: what they become, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest

import shoal
from shoal._core.api.actor_options import parse_actor_options, parse_method_options
from shoal._core.schema.options import STREAMING, ActorOptions, MethodOptions
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError


def parse(**given: Any) -> ActorOptions:
    return parse_actor_options(given)[0]


def test_defaults() -> None:
    options = parse()
    assert options.resources.is_empty
    assert options.placement_resources.to_floats() == {"CPU": 1}
    assert options.max_restarts == 0
    assert options.max_task_retries == 0
    assert options.max_concurrency is None
    assert options.max_pending_calls == -1
    assert options.allow_out_of_order_execution is None
    assert not options.detached
    assert options.name == ""
    assert options.namespace is None


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({"num_cpus": 2}, {"CPU": 2}),
        ({"num_cpus": 0}, {}),
        ({"num_gpus": 1}, {"CPU": 1, "GPU": 1}),
        ({"resources": {"camera": 1}}, {"CPU": 1, "camera": 1}),
        ({"num_cpus": 0, "resources": {"camera": 1}}, {"camera": 1}),
    ],
    ids=str,
)
def test_what_is_asked_for_is_held_for_life(given: dict[str, Any], held: dict[str, float]) -> None:
    options = parse(**given)
    assert options.resources.to_floats() == held
    assert options.placement_resources == options.resources


def test_memory_alone_leaves_the_default_cpus() -> None:
    options = parse(memory=1000, accelerator_type="T4")
    assert options.resources.to_floats() == {"memory": 1000, "accelerator_type:T4": 0.001}
    assert options.placement_resources.to_floats() == {"memory": 1000, "accelerator_type:T4": 0.001, "CPU": 1}


def test_lifetimes() -> None:
    assert parse(lifetime="detached").detached
    assert not parse(lifetime="non_detached").detached


def test_concurrency_groups_as_dict_and_as_list() -> None:
    assert parse(concurrency_groups={"io": 2}).concurrency_groups == {"io": 2}
    assert parse(concurrency_groups=[{"name": "io", "max_concurrency": 2}]).concurrency_groups == {"io": 2}


@pytest.mark.parametrize(
    "given",
    [
        {"unknown": 1},
        {"max_retries": 1},
        {"num_returns": 1},
        {"num_cpus": -1},
        {"num_gpus": 1.5},
        {"resources": {"CPU": 1}},
        {"name": ""},
        {"namespace": ""},
        {"lifetime": "eternal"},
        {"max_restarts": -2},
        {"max_task_retries": -2},
        {"max_concurrency": 0},
        {"max_pending_calls": -2},
        {"concurrency_groups": {"io": 0}},
        {"concurrency_groups": {"": 1}},
        {"get_if_exists": True},
        {"object_store_memory": -1},
    ],
    ids=str,
)
def test_values_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        parse(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"name": 1},
        {"namespace": 1},
        {"lifetime": 1},
        {"max_restarts": 1.5},
        {"max_concurrency": "x"},
        {"concurrency_groups": 3},
        {"concurrency_groups": {"io": "x"}},
        {"concurrency_groups": ["io"]},
        {"get_if_exists": 1},
        {"allow_out_of_order_execution": 1},
    ],
    ids=str,
)
def test_types_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionTypeError):
        parse(**given)


def test_tensor_transport_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="shared memory"):
        parse(enable_tensor_transport=True)


# --- methods ---------------------------------------------------------------------------------------------------------


def test_methods_defaults() -> None:
    assert parse_method_options({}, is_generator=False) == MethodOptions()
    assert parse_method_options({}, is_generator=True).num_returns == STREAMING


def test_call_options_over_the_decorators() -> None:
    decorated = parse_method_options({"num_returns": 2, "max_task_retries": 1, "concurrency_group": "io"}, False)
    called = parse_method_options({"max_task_retries": 5, "name": "x"}, False, decorated)
    assert called == MethodOptions(num_returns=2, max_task_retries=5, concurrency_group="io", name="x")


@pytest.mark.parametrize(
    "given", [{"num_cpus": 1}, {"num_returns": -1}, {"max_task_retries": -2}, {"num_returns": "many"}]
)
def test_methods_values_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        parse_method_options(given, is_generator=False)
    with pytest.raises(InvalidOptionError):
        shoal.method(**given)(lambda self: None)
