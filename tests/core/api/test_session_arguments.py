"""The arguments of `init`, and what they are frozen to."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import shoal
from shoal._core.api import session_arguments
from shoal._core.api.job_config import JobConfig
from shoal._core.api.session_address import read_address
from shoal._core.api.session_arguments import parse_session
from shoal._core.schema.session_request import ADAPTER, INLINE, JOIN, START, SessionRequest
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(shoal.init).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
}


def parse(job_config: JobConfig | None = None, **given: Any) -> SessionRequest:
    return parse_session({**DEFAULTS, **given}, job_config)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADDRESS", "NAMESPACE", "RUNTIME_ENV", "JOB_CONFIG_JSON_ENV_VAR", "LOG_TO_DRIVER"):
        monkeypatch.delenv(f"SHOAL_{name}", raising=False)


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        (None, (START, "", "")),
        ("local", (START, "", "")),
        ("auto", (JOIN, "auto", "")),
        ("/tmp/shoal/session_1", (JOIN, "/tmp/shoal/session_1", "")),
        ("session_1", (JOIN, "session_1", "")),
        ("ray", (ADAPTER, "ray", "ray")),
        ("ray://head:10001", (ADAPTER, "ray://head:10001", "ray")),
        ("dask://head:8786", (ADAPTER, "dask://head:8786", "dask")),
    ],
)
def test_addresses(address: str | None, meaning: tuple[str, str, str]) -> None:
    assert read_address(address) == meaning


@pytest.mark.parametrize("address", ["", " ", "127.0.0.1:6379", "head:6379"])
def test_addresses_that_cannot_be(address: str) -> None:
    with pytest.raises(InvalidOptionError, match="address"):
        read_address(address)


def test_defaults() -> None:
    request = parse()
    assert request == SessionRequest()


def test_everything() -> None:
    request = parse(
        num_cpus=3,
        num_gpus=2,
        resources={"camera": 1.5},
        labels={"zone": "a"},
        object_store_memory=10**8,
        _memory=10**9,
        namespace="mine",
        preload=["numpy"],
        log_to_driver=False,
        include_dashboard=False,
        dashboard_port=1234,
        _temp_dir="/tmp/elsewhere",
        _system_config={"a": 1},
        logging_config=shoal.LoggingConfig(encoding="JSON"),
    )
    assert (request.num_cpus, request.num_gpus, request.resources) == (3, 2, {"camera": 1.5})
    assert (request.memory, request.object_store_memory, request.labels) == (10**9, 10**8, {"zone": "a"})
    assert (request.namespace, request.preload, request.log_to_driver) == ("mine", ("numpy",), False)
    assert (request.include_dashboard, request.dashboard_port, request.temp_dir) == (False, 1234, "/tmp/elsewhere")
    assert request.system_config == {"a": 1}
    assert request.logging["encoding"] == "JSON"


def test_inline() -> None:
    assert parse(local_mode=True, seed=3) == SessionRequest(kind=INLINE, seed=3)
    assert parse(local_mode=True, _inline_seed=4).seed == 4
    with pytest.raises(InvalidOptionError, match="local_mode"):
        parse(seed=3)
    with pytest.raises(InvalidOptionError, match="local_mode"):
        parse(local_mode=True, address="auto")


def test_address_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_ADDRESS", "auto")
    assert parse().kind == JOIN
    assert parse(address="local").kind == START
    assert parse(local_mode=True).kind == INLINE


class OfDistributed:
    """What a distributed.Client is to `init`: a class of this name and module."""

    def __init_subclass__(cls) -> None:
        cls.__module__ = "distributed.client"


class Client(OfDistributed):
    pass


def test_a_client_says_which_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_ADDRESS", "auto")
    client = Client()
    for address in (None, "dask", "dask://"):
        request = parse(client=client, address=address)
        assert (request.kind, request.scheme, request.client) == (ADAPTER, "dask", client)
    with pytest.raises(InvalidOptionError, match="one of both"):
        parse(client=client, address="dask://host:8786")
    with pytest.raises(InvalidOptionTypeError, match=r"distributed\.Client"):
        parse(client=object())


def test_other_defaults_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_NAMESPACE", "there")
    monkeypatch.setenv("SHOAL_LOG_TO_DRIVER", "0")
    request = parse()
    assert (request.namespace, request.log_to_driver) == ("there", False)
    assert parse(namespace="here", log_to_driver=True).namespace == "here"


@pytest.mark.parametrize("name", ["num_cpus", "num_gpus", "object_store_memory", "_memory"])
def test_a_running_session_has_its_resources(name: str) -> None:
    with pytest.raises(InvalidOptionError, match=name):
        parse(address="auto", **{name: 1})


def test_job_config() -> None:
    job = JobConfig(ray_namespace="mine", metadata={"a": "b"}, runtime_env={"env_vars": {"A": "1"}})
    request = parse(job)
    assert (request.namespace, request.metadata) == ("mine", {"a": "b"})
    assert request.environment is not None
    with pytest.raises(InvalidOptionError, match="one of both"):
        parse(job, runtime_env={"env_vars": {"A": "2"}})
    with pytest.raises(InvalidOptionError):
        JobConfig(default_actor_lifetime="eternal")
    assert JobConfig.from_json({"shoal_namespace": "x"}).ray_namespace == "x"
    with pytest.raises(InvalidOptionError, match="Did you mean 'metadata'"):
        JobConfig.from_json({"meta_data": {}})


def test_job_config_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_JOB_CONFIG_JSON_ENV_VAR", '{"ray_namespace": "there"}')
    assert parse().namespace == "there"
    monkeypatch.setenv("SHOAL_JOB_CONFIG_JSON_ENV_VAR", "{")
    with pytest.raises(InvalidOptionError, match="no valid JSON"):
        parse()


@pytest.mark.parametrize(
    "given",
    [
        {"num_cpus": -1},
        {"num_cpus": float("nan")},
        {"num_cpus": float("inf")},
        {"num_gpus": 1.5},
        {"resources": {"CPU": 1}},
        {"resources": {"x": -1}},
        {"labels": {"ray.io/node-id": "x"}},
        {"object_store_memory": 0},
        {"namespace": ""},
        {"dashboard_port": -1},
        {"local_mode": True, "seed": -1},
    ],
    ids=str,
)
def test_values_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError):
        parse(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"address": 3},
        {"num_cpus": "2"},
        {"resources": [1]},
        {"resources": {"x": "1"}},
        {"labels": {"a": 1}},
        {"object_store_memory": 1.5},
        {"local_mode": 1},
        {"namespace": 3},
        {"runtime_env": 3},
        {"preload": "numpy"},
        {"preload": [1]},
        {"log_to_driver": 1},
        {"logging_config": {}},
        {"_system_config": 3},
    ],
    ids=str,
)
def test_types_that_cannot_be(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionTypeError):
        parse(**given)


def test_unknown_keywords(no_session: None) -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'num_cpu'. Did you mean 'num_cpus'"):
        shoal.init(num_cpu=2)


def test_isolation_is_not_supported(no_session: None) -> None:
    with pytest.raises(UnsupportedError, match="enable_resource_isolation"):
        shoal.init(enable_resource_isolation=True)


def test_engines_that_are_not_installed(no_session: None) -> None:
    with pytest.raises(UnsupportedError, match=r"shoal\.engines"):
        shoal.init("nowhere://host:1")
    assert not shoal.is_initialized()


def test_logging_config() -> None:
    with pytest.raises(ValueError, match="encoding"):
        shoal.LoggingConfig(encoding="XML")


def test_a_cluster_that_runs_has_the_resources_that_it_has() -> None:
    for address in ("auto", "ray://head:10001", "dask://head:8786"):
        with pytest.raises(InvalidOptionError, match="num_cpus"):
            parse(address=address, num_cpus=2)
    assert parse(address="ray", num_cpus=2).num_cpus == 2


def test_workers_of_an_engine_mean_that_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_arguments, "surrounding_engine", lambda: "ray")
    assert (parse().kind, parse().scheme) == (ADAPTER, "ray")
    assert parse(address="local").kind == START
    assert parse(local_mode=True).kind == INLINE
    assert parse(num_cpus=2).kind == START  # a session of its own was asked for
    monkeypatch.setenv("SHOAL_ADDRESS", "auto")
    assert parse().kind == JOIN
