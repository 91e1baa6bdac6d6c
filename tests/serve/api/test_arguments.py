"""What cannot be is refused when it is decorated, bound or deployed, by name, value and fix."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shoal import serve
from shoal.exceptions import UnsupportedError
from shoal.serve import RunTarget
from shoal.serve.exceptions import InvalidArgumentError, ServeError
from shoal.serve.schema import LoggingConfig


@serve.deployment(ray_actor_options={"num_cpus": 0})
class Echo:
    def __init__(self, inner: Any = None) -> None:
        pass

    def __call__(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_replicas": 0}, "Echo: num_replicas is 0: should be greater than 0"),
        ({"num_replica": 2}, r"num_replica is unknown; did you mean num_replicas\?"),
        (
            {"user_config": {1, 2}},
            r"user_config is \{1, 2\}: Object of type set is not JSON serializable; give what JSON",
        ),
        (
            {"autoscaling_config": {"max_replica": 2}},
            r"autoscaling_config\.max_replica is unknown; did you mean max_repl",
        ),
        ({"num_replicas": 2, "autoscaling_config": {}}, "give one of them"),
        ({"name": "a#b"}, "name is 'a#b': it may not have '#'"),
        ({"logging_config": {"log_level": "LOUD"}}, r"Echo: logging_config\.log_level is 'LOUD': give one of DEBUG"),
    ],
)
def test_options(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidArgumentError, match=expected):
        Echo.options(**options)


def test_deployments_are_bound_before_they_are_used() -> None:
    with pytest.raises(InvalidArgumentError, match=r"target is the deployment Echo; bind it"):
        serve.run(Echo)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"got the deployment Echo, which is not bound; give Echo\.bind"):
        Echo.bind(Echo)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"route_prefix": "echo"}, "route_prefix is 'echo': it has to begin with '/'"),
        ({"route_prefix": "/echo/"}, "give '/echo'"),
        ({"route_prefix": 5}, "route_prefix is 5: give a path"),
        ({"route_prefix": "/{id}"}, "without {parameters}"),
        ({"name": ""}, "name is '': give it a name, which is not empty"),
        ({"name": "a#b"}, "name is 'a#b': it may not have '#'"),
        ({"logging_config": {"log_level": "LOUD"}}, r"logging_config\.log_level is 'LOUD': give one of DEBUG"),
        ({"logging_config": 5}, "logging_config is 5; give LoggingConfig, or a dict"),
    ],
)
def test_run(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidArgumentError, match=expected):
        serve.run(Echo.bind(), **arguments)


def test_what_cannot_be_bound() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"deployment Echo: what it is bound to .*generator.*in the constructor"
    ):
        serve.run(Echo.bind(number for number in ()))
    one = Echo.bind()
    one.args = (Echo.bind(one),)
    with pytest.raises(InvalidArgumentError, match="the deployment Echo is bound to itself"):
        serve.run(one)


def test_start() -> None:
    with pytest.raises(InvalidArgumentError, match=r"http_options\.prot is unknown; did you mean port\?"):
        serve.start(http_options={"prot": 1})
    with pytest.raises(
        InvalidArgumentError, match="proxy_location is 'Here'; give one of Disabled, HeadOnly, EveryNode"
    ):
        serve.start(proxy_location="Here")


def test_many_applications_at_once_share_neither_name_nor_prefix(url: str) -> None:
    first, second = RunTarget(Echo.bind(), "first", "/first"), RunTarget(Echo.bind(Echo.bind()), "second", "/second")
    handles = serve.run_many([first, second])
    assert [handle.remote(n).result() for n, handle in enumerate(handles)] == [0, 1]
    with pytest.raises(InvalidArgumentError, match="targets have the name 'first' more than once"):
        serve.run_many([first, RunTarget(Echo.bind(), "first", "/other")])
    with pytest.raises(InvalidArgumentError, match="targets have the route_prefix '/first' more than once"):
        serve.run_many([first, RunTarget(Echo.bind(), "third", "/first")])
    with pytest.raises(InvalidArgumentError, match="route_prefix is '/first', which the application first has"):
        serve.run(Echo.bind(), name="third", route_prefix="/first")
    serve.run_many([RunTarget(Echo.bind(), "later", "/later")], wait_for_applications_running=False)
    assert serve.get_app_handle("later").remote(5).result() == 5


def test_an_event_loop_can_end_serving(url: str) -> None:
    serve.run(Echo.bind(), name="ended", route_prefix="/ended", logging_config=LoggingConfig(log_level="DEBUG"))
    asyncio.run(serve.shutdown_async())
    with pytest.raises(ServeError, match="nothing is served"):
        serve.status()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"placement_group_bundles": []}, "give at least one dict of resources"),
        (
            {"placement_group_bundles": [{"CPU": 1}], "ray_actor_options": {"num_cpus": 2}},
            "asks for 2 CPU for the replica",
        ),
        ({"placement_group_strategy": "NEAR"}, "placement_group_strategy is 'NEAR': should be 'PACK'"),
        ({"max_replicas_per_node": 1, "num_replicas": 2}, "there may be 2 replicas, all on this machine"),
        ({"max_replicas_per_node": 1, "placement_group_bundles": [{"CPU": 1}]}, "cannot go together"),
        ({"ray_actor_options": {"num_cpu": 1}}, "'num_cpu' is no option of replicas; there are: num_cpus"),
        ({"ray_actor_options": {"num_cpus": -1}}, "amounts of resources cannot be negative"),
    ],
)
def test_places(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidArgumentError, match=expected):
        serve.deployment(**options)(type("Model", (), {}))


def test_what_ray_has_and_is_not_here_is_told_with_what_to_do_instead() -> None:
    """The names: `docs/coming-from-ray-serve.md`, and its test."""
    with pytest.raises(
        UnsupportedError, match=r"external_scaler_enabled=True is not supported\. Give an autoscaling_config"
    ):
        serve.run(Echo.bind(), external_scaler_enabled=True)
    with pytest.raises(UnsupportedError, match="controller_options"):
        serve.run(Echo.bind(), controller_options={"runtime_env": {}})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="OpenTelemetry"):
        serve.start(tracing_config={"enabled": True})  # type: ignore[arg-type]
    with pytest.raises(ImportError, match=r"@serve\.ingress"):
        from shoal.serve.llm import LLMConfig  # noqa: F401
