"""An engine of the tests' own, which runs calls at once in this process and remembers them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from shoal._core.api.runtime import SESSION
from shoal._core.process.object_ref import ObjectRef
from shoal._core.schema.options import DYNAMIC, STREAMING
from shoal._core.schema.session import ExecutionContext, SessionInfo
from shoal.exceptions import GetTimeoutError


class FakeStream:
    """Items that are there already, or that a test adds."""

    def __init__(self, engine: FakeEngine, items: Sequence[Any] = (), *, ended: bool = True) -> None:
        self._engine = engine
        self.items = [engine.put(item) for item in items]
        self.ended = ended
        self.closed = False
        self._callbacks: list[Callable[[], None]] = []

    def add(self, item: Any) -> None:
        self.items.append(self._engine.put(item))
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        if self.items:
            return self.items.pop(0)
        if self.ended:
            raise StopIteration
        raise GetTimeoutError("a fake never waits")

    def on_next(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def next_is_ready(self) -> bool:
        return bool(self.items) or self.ended

    def is_finished(self) -> bool:
        return self.ended and not self.items

    def completed(self) -> ObjectRef[Any]:
        return self._engine.put(None)

    def close(self) -> None:
        self.closed = True


class FakeActor:
    def __init__(self, actor_id: bytes, template: Any, weak: bool = False) -> None:
        self.actor_id = actor_id
        self.template = template
        self.weak = weak

    def binary(self) -> bytes:
        return self.actor_id


class FakeEngine:
    """Keeps values in a dict, and what it was asked in lists."""

    name = "fake"
    capabilities = frozenset({"process_isolation", "actors", "streaming"})

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.values: dict[bytes, Any] = {}
        self.pending: set[bytes] = set()
        self.tasks: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.actors: list[FakeActor] = []
        self.calls: list[tuple[FakeActor, Any, tuple[Any, ...], dict[str, Any]]] = []
        self.other_calls: list[tuple[Any, ...]] = []
        self.where = ExecutionContext()
        self.groups: list[dict[str, Any]] = []
        self.session = SessionInfo(
            engine="fake",
            address="local",
            session_dir="/tmp/shoal/session_of_a_fake",
            node_id=b"n" * 16,
            node_ip="127.0.0.1",
            job_id=b"job1",
            worker_id=b"w" * 16,
            namespace="fake",
            joinable=False,
        )

    # The home of references.
    def drop_ref(self, object_id: bytes) -> None:
        return

    def get_one(self, ref: ObjectRef[Any], timeout: float | None) -> Any:
        return self.get([ref], timeout)[0]

    def on_ready(
        self, ref: ObjectRef[Any], callback: Callable[[], None], soon: Any = None, is_brief: bool = False
    ) -> None:
        callback()

    def ref_parts(self, object_id: bytes) -> tuple[bytes, str]:
        return object_id, "fake"

    # Tasks and actors.
    def context(self) -> ExecutionContext:
        return self.where

    def submit_task(self, template: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.tasks.append((template, args, kwargs))
        return self._results(template.options.num_returns, template.definition.value, args, kwargs)

    def _results(self, num_returns: int, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        args = [self.values[arg.binary()] if isinstance(arg, ObjectRef) else arg for arg in args]
        value = function(*args, **kwargs)
        if num_returns == STREAMING:
            return FakeStream(self, list(value))
        if num_returns in (1, DYNAMIC):
            return [self.put(value)]
        return [self.put(item) for item in value] if num_returns else []

    def create_actor(self, template: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FakeActor:
        actor = FakeActor(next(self._ids).to_bytes(16, "big"), template)
        self.actors.append(actor)
        self.values[actor.actor_id] = template.definition.value(*args, **kwargs)
        return actor

    def call_actor(self, actor: FakeActor, template: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append((actor, template, args, kwargs))
        instance = self.values[actor.actor_id]
        special = {"__ray_ready__": lambda: True, "__ray_call__": lambda f, *a, **k: f(instance, *a, **k)}
        function = special.get(template.name) or getattr(instance, template.name)
        return self._results(template.options.num_returns, function, args, kwargs)

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None:
        self.other_calls.append(("kill", actor_id, no_restart))

    def named_actor(self, name: str, namespace: str | None) -> FakeActor:
        for actor in self.actors:
            if actor.template.options.name == name:
                return FakeActor(actor.actor_id, actor.template, weak=True)
        raise ValueError(name)

    def named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        return [("fake", actor.template.options.name) for actor in self.actors if actor.template.options.name]

    def actor_parts(self, actor: FakeActor) -> tuple[Any, ...]:
        return (actor.actor_id,)

    def rebuild_actor(self, parts: tuple[Any, ...]) -> FakeActor:
        return next(actor for actor in self.actors if actor.actor_id == parts[0])

    def current_actor(self) -> FakeActor:
        return FakeActor(self.actors[0].actor_id, self.actors[0].template, weak=True)

    def exit_actor(self) -> None:
        raise SystemExit

    def cancel(self, ref: Any, force: bool, recursive: bool) -> None:
        self.other_calls.append(("cancel", ref, force, recursive))

    # Objects.
    def put(self, value: Any) -> ObjectRef[Any]:
        object_id = next(self._ids).to_bytes(28, "big")
        self.values[object_id] = value
        return ObjectRef(object_id, self)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        self.other_calls.append(("get", len(refs), timeout))
        return [self.values[ref.binary()] for ref in refs]

    def wait(self, refs: Sequence[Any], num_returns: int, timeout: float | None, fetch_local: bool) -> list[int]:
        def is_ready(ref: Any) -> bool:
            return ref.next_is_ready() if isinstance(ref, FakeStream) else ref.binary() not in self.pending

        return [position for position, ref in enumerate(refs) if is_ready(ref)][:num_returns]

    def wait_with_streams(self, waitables: Sequence[Any], num_returns: int, timeout: float | None) -> list[int]:
        return self.wait(waitables, num_returns, timeout, True)

    # The cluster.
    def total_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 2.0, "GPU": 0.0}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": self.session.node_id.hex(), "Alive": True, "Labels": {"zone": "a"}}]

    def timeline(self) -> list[dict[str, Any]]:
        return [{"name": "f"}]

    def create_placement_group(
        self, bundles: Any, strategy: str, name: str, detached: bool, label_selectors: Any
    ) -> bytes:
        group_id = next(self._ids).to_bytes(16, "big")
        row = {
            "placement_group_id": group_id.hex(),
            "name": name,
            "bundles": dict(enumerate(bundles)),
            "strategy": strategy,
            "state": "CREATED",
        }
        self.groups.append(row)
        self.other_calls.append(("group", detached, label_selectors))
        return group_id

    def placement_group_ready(self, group_id: bytes, value: Any) -> ObjectRef[Any]:
        return self.put(value)

    def remove_placement_group(self, group_id: bytes) -> None:
        self.other_calls.append(("remove", group_id))

    def placement_groups(self) -> list[dict[str, Any]]:
        return self.groups

    def shutdown(self) -> None:
        self.other_calls.append(("shutdown",))


@pytest.fixture
def no_session() -> Iterator[None]:
    """No session before, and none left after."""
    assert SESSION.engine is None
    yield
    SESSION.end()


@pytest.fixture
def engine(no_session: None) -> FakeEngine:
    """A session on a fake engine."""
    engine = FakeEngine()
    SESSION.begin(engine, runs_tasks=False)
    return engine


@pytest.fixture
def next_engine(engine: FakeEngine) -> Callable[[], FakeEngine]:
    """Ends the session and begins another."""

    def begin() -> FakeEngine:
        SESSION.end()
        following = FakeEngine()
        SESSION.begin(following, runs_tasks=False)
        return following

    return begin


@pytest.fixture
def new_stream(engine: FakeEngine) -> Callable[..., FakeStream]:
    """Makes the engine's side of a streaming task."""

    def new_stream(*items: Any, ended: bool = True) -> FakeStream:
        return FakeStream(engine, items, ended=ended)

    return new_stream
