"""The conformance suite: facts about the behaviour of tasks, actors and objects that every engine must show.

Each test runs once an engine, in a session of its own: `shoal.init(num_cpus=4)`, or with the arguments of
`@pytest.mark.session(...)`. What an engine cannot do is skipped by capability: `@pytest.mark.needs("force_cancel")`. Tests synchronise
through a `gate` (an actor that lets callers wait) and never by sleeping; they assert no times.

The inline engine runs tasks in an order that a seed chooses; SHOAL_CONFORMANCE_SEED=n tries another.

To see whether an expectation is what Ray does, run the suite on Ray itself: `.ci/conformance ray-itself` (SHOAL_CONFORMANCE_MODULE=ray).
`import shoal` is then ray. Sessions are reused there where the init arguments are the same, since starting one takes seconds;
tests marked `shoal_only` (where shoal promises more than Ray does) are skipped.

`.ci/conformance ray` (SHOAL_CONFORMANCE_ENGINE=ray) runs the suite on shoal's ray engine instead, with a local Ray cluster that is
reused likewise; `.ci/conformance dask` on its dask engine, with a Dask cluster of two workers. Those marked `short` run there in
every CI run.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ON_RAY = os.environ.get("SHOAL_CONFORMANCE_MODULE") == "ray"
ADAPTER = os.environ.get("SHOAL_CONFORMANCE_ENGINE", "")
ENGINES = ("ray",) if ON_RAY else (f"{ADAPTER} engine",) if ADAPTER else ("native", "inline")
INLINE_SEED = int(os.environ.get("SHOAL_CONFORMANCE_SEED", "0"))
SUITE_ARGUMENTS: dict[str, Any] = {"num_cpus": 4}

_QUIET: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
"""How Ray begins here: it listens on the loopback only."""

RAY_MODULES = (
    "actor",
    "cloudpickle",
    "dag",
    "exceptions",
    "experimental",
    "experimental.internal_kv",
    "remote_function",
    "runtime_context",
    "util",
    "util.actor_pool",
    "util.placement_group",
    "util.queue",
    "util.scheduling_strategies",
    "util.state",
)

if ON_RAY or ADAPTER == "ray":
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

if ON_RAY:
    sys.modules["shoal"] = importlib.import_module("ray")
    for _name in RAY_MODULES:
        sys.modules[f"shoal.{_name}"] = importlib.import_module(f"ray.{_name}")

import shoal  # noqa: E402

if ON_RAY:

    class NotSupportedByEngineError(Exception):
        """Ray has one engine."""

else:
    from shoal.exceptions import NotSupportedByEngineError


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shoal_only: shoal promises more here than Ray does")
    config.addinivalue_line(
        "markers", "short: one of a handful that engines of other systems are looked at by each time"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On clusters, tests that want the same one follow each other: to begin one takes seconds."""
    if ON_RAY or ADAPTER:
        items.sort(key=_cluster_of)


def _cluster_of(item: pytest.Item) -> tuple[int, str]:
    if item.get_closest_marker("no_session"):
        return 2, ""
    mark = item.get_closest_marker("session")
    return (1, repr(mark.kwargs)) if mark else (0, "")


def _start(engine: str, arguments: dict[str, Any]) -> Any:
    if engine == "ray":
        return shoal.init(**_QUIET, **arguments)
    if engine == "ray engine":
        _cluster_of_ray().enter(arguments)
        return shoal.init("ray")
    if engine == "dask engine":
        clusters = _clusters_of_dask()
        clusters.enter(arguments)
        return shoal.init("dask://", namespace=arguments.get("namespace"))
    if engine == "inline":
        return shoal.init(local_mode=True, seed=INLINE_SEED, **arguments)
    return shoal.init(log_to_driver=False, **arguments)


class _RaySessions:
    """Ray's session of the moment, kept while tests ask for the same arguments."""

    def __init__(self) -> None:
        self._arguments: dict[str, Any] | None = None

    def enter(self, arguments: dict[str, Any]) -> None:
        import ray

        if self._arguments != arguments or not ray.is_initialized():
            self.end()
            ray.init("local", **_QUIET, **arguments)
            self._arguments = arguments

    def leave(self) -> None:
        import ray

        gc.collect()
        if ray.is_initialized():
            for row in ray.util.list_named_actors(all_namespaces=True):
                ray.kill(ray.get_actor(row["name"], namespace=row["namespace"]))
            placement = importlib.import_module("ray.util.placement_group")
            for group_id, row in placement.placement_group_table().items():
                if row["state"] != "REMOVED":
                    group = placement.PlacementGroup(ray.PlacementGroupID(bytes.fromhex(group_id)))
                    placement.remove_placement_group(group)

    def end(self) -> None:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
        self._arguments = None


class _DaskClusters:
    """Dask's cluster of the moment, two workers in processes of their own, kept while tests ask for the same."""

    def __init__(self) -> None:
        self._asked: tuple[int, dict[str, float]] | None = None
        self._open: list[Any] = []

    def enter(self, arguments: dict[str, Any]) -> None:
        strange = arguments.keys() - {"num_cpus", "resources", "namespace"}
        if strange:
            pytest.skip(f"a Dask cluster is not begun with {', '.join(sorted(strange))}")
        asked = (int(arguments["num_cpus"]), arguments.get("resources") or {})
        if asked == self._asked:
            return
        self.end()
        import distributed

        threads, resources = asked
        halves = [threads - threads // 2, threads // 2] if threads > 1 else [threads]
        workers = {
            number: {
                "cls": distributed.Nanny,
                "options": {
                    "nthreads": half,
                    "host": "127.0.0.1",
                    "resources": {"CPU": half, **({} if number else resources)},
                },
            }
            for number, half in enumerate(halves)
        }
        cluster = distributed.SpecCluster(
            workers=workers,
            scheduler={"cls": distributed.Scheduler, "options": {"dashboard": False, "host": "127.0.0.1", "port": 0}},
            silence_logs=logging.CRITICAL,
        )
        self._open = [distributed.Client(cluster), cluster]
        self._asked = asked

    def leave(self) -> None:
        gc.collect()

    def end(self) -> None:
        for one in self._open:
            one.close()
        self._open = []
        self._asked = None


@functools.cache
def _clusters_of_dask() -> _DaskClusters:
    return _DaskClusters()


@functools.cache
def _cluster_of_ray() -> _RaySessions:
    return _RaySessions()


@pytest.fixture(scope="session")
def _clusters() -> Iterator[Any]:
    sessions: Any = _clusters_of_dask() if ADAPTER == "dask" else _cluster_of_ray()
    yield sessions
    sessions.end()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine under test."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def session(request: pytest.FixtureRequest, engine: str, _clusters: Any) -> Iterator[None]:
    """A session of the test's own, gone without a trace afterwards."""
    if ON_RAY and request.node.get_closest_marker("shoal_only"):
        pytest.skip("promised by shoal, not by Ray")
    if request.node.get_closest_marker("no_session"):
        _clusters.end()
        yield
        shoal.shutdown()
        assert not shoal.is_initialized()
        _clusters.end()
        return
    mark = request.node.get_closest_marker("session")
    arguments = SUITE_ARGUMENTS | (mark.kwargs if mark else {})
    if ON_RAY:
        _clusters.enter(arguments)
        yield
        _clusters.leave()
        return
    try:
        _start(engine, arguments)
    except NotSupportedByEngineError as error:
        if request.node.get_closest_marker("needs") is None:
            raise
        pytest.skip(str(error))
    try:
        _skip_beyond_capabilities(request)
        yield
    finally:
        shoal.shutdown()
        if ADAPTER:
            _clusters.leave()
    assert not shoal.is_initialized()


def _skip_beyond_capabilities(request: pytest.FixtureRequest) -> None:
    from shoal import engines

    mark = request.node.get_closest_marker("needs")
    missing = set(mark.args if mark else ()) - engines.current().capabilities
    if missing:
        pytest.skip(f"the {engines.current().name} engine has no {', '.join(sorted(missing))}")


@pytest.fixture
def start(engine: str) -> Callable[..., Any]:
    """Starts a session on the engine under test, for tests marked `no_session`."""

    return lambda **arguments: _start(engine, arguments)


@pytest.fixture
def new_gate() -> Callable[[], Any]:
    """Makes gates: actors whose `wait` ends when somebody calls `open`, and whose `arrivals(n)` ends when n callers wait or waited."""

    @shoal.remote(num_cpus=0)
    class Gate:
        def __init__(self) -> None:
            self._open = asyncio.Event()
            self._arrived = 0
            self._changed = asyncio.Event()

        async def wait(self) -> str:
            self._arrived += 1
            self._changed.set()
            await self._open.wait()
            return "open"

        async def open(self) -> None:
            self._open.set()

        async def arrivals(self, count: int) -> int:
            while self._arrived < count:
                self._changed.clear()
                await self._changed.wait()
            return self._arrived

    return Gate.remote


@pytest.fixture
def gate(new_gate: Callable[[], Any]) -> Any:
    return new_gate()


@pytest.fixture
def new_counter() -> Callable[[], Any]:
    """Makes actors that count: `add(n=1)` returns the new sum, `read()` the sum."""

    @shoal.remote(num_cpus=0)
    class Counter:
        def __init__(self, start: int = 0) -> None:
            self._sum = start

        def add(self, n: int = 1) -> int:
            self._sum += n
            return self._sum

        def read(self) -> int:
            return self._sum

    return Counter.remote


@pytest.fixture
def counter(new_counter: Callable[[], Any]) -> Any:
    return new_counter()


@pytest.fixture
def new_log() -> Callable[[], Any]:
    """Makes actors that keep notes in the order of arrival: `note(x)`, `read()`."""

    @shoal.remote(num_cpus=0)
    class Log:
        def __init__(self) -> None:
            self._notes: list[Any] = []

        def note(self, x: Any) -> None:
            self._notes.append(x)

        def read(self) -> list[Any]:
            return self._notes

    return Log.remote


@pytest.fixture
def log(new_log: Callable[[], Any]) -> Any:
    return new_log()
