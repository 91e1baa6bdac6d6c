"""The session of this process: how it begins, ends, and what a fork leaves of it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest

import shoal
from shoal._core.api import runtime
from shoal._core.api.runtime import SESSION
from shoal._core.schema.session import ExecutionContext
from shoal.exceptions import ForkedProcessError, NotInitializedError, SessionStartError


@pytest.fixture
def started(no_session: None, engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Requests that engines were started for; `init` starts fakes."""
    SESSION.end()
    requests: list[Any] = []

    def start(request: Any) -> Any:
        requests.append(request)
        return type(engine)()

    monkeypatch.setattr(runtime, "start_engine", start)
    return requests


def test_begins_and_ends(started: list[Any]) -> None:
    assert not shoal.is_initialized()
    context = shoal.init(num_cpus=2)
    assert shoal.is_initialized()
    assert started[0].num_cpus == 2
    assert context["node_id"] == context.address_info["node_id"] == "6e" * 16
    assert dict(context)["namespace"] == "fake"
    assert context.ray_version == context.shoal_version == shoal.__version__
    assert context.ray_commit == context.shoal_commit == shoal.__commit__
    engine: Any = SESSION.engine
    shoal.shutdown()
    assert not shoal.is_initialized()
    assert engine.other_calls == [("shutdown",)]
    shoal.shutdown()


def test_twice_is_an_error(started: list[Any]) -> None:
    first = shoal.init()
    with pytest.raises(SessionStartError, match="twice") as caught:
        shoal.init()
    assert isinstance(caught.value, RuntimeError)
    assert shoal.init(ignore_reinit_error=True) is first
    assert len(started) == 1


def test_context_manager(started: list[Any]) -> None:
    with shoal.init():
        assert shoal.is_initialized()
    assert not shoal.is_initialized()


def test_context_ends_its_own_session_only(started: list[Any]) -> None:
    first = shoal.init()
    shoal.shutdown()
    shoal.init()
    first.disconnect()
    assert shoal.is_initialized()


@pytest.mark.parametrize(
    "use",
    [
        lambda: shoal.put(1),
        lambda: shoal.remote(lambda: 1).remote(),
        lambda: shoal.remote(dict).remote(),
        shoal.nodes,
        lambda: shoal.util.list_named_actors(),
        lambda: shoal.get_runtime_context().get_node_id(),
    ],
)
def test_first_use_begins_a_session(started: list[Any], use: Callable[[], Any]) -> None:
    use()
    assert len(started) == 1


def test_first_use_does_not_where_that_is_switched_off(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_ENABLE_AUTO_CONNECT", "0")
    with pytest.raises(NotInitializedError, match="SHOAL_ENABLE_AUTO_CONNECT"):
        shoal.put(1)
    assert started == []


def test_first_uses_of_many_threads_begin_one(started: list[Any]) -> None:
    threads = [threading.Thread(target=shoal.put, args=(1,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 1


def test_failure_leaves_no_session(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: Any) -> Any:
        raise SessionStartError("no room")

    monkeypatch.setattr(runtime, "start_engine", fail)
    with pytest.raises(SessionStartError, match="no room"):
        shoal.put(1)
    assert not shoal.is_initialized()


def test_older_way_to_connect(started: list[Any]) -> None:
    shoal.client().namespace("mine").connect()
    assert started[0].namespace == "mine"


def test_adopted_sessions_run_tasks(no_session: None, engine: Any) -> None:
    SESSION.end()
    runtime.adopt(engine)
    assert SESSION.runs_tasks
    assert shoal.is_initialized()


def test_tasks_cannot_end_the_session(engine: Any) -> None:
    SESSION.runs_tasks = True
    engine.where = ExecutionContext(is_driver=False)
    shoal.shutdown()
    assert shoal.is_initialized()
    engine.where = ExecutionContext()
    shoal.shutdown()
    assert not shoal.is_initialized()


def in_child(use: Callable[[], Any]) -> str:
    """Returns the name of what a forked child raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            use()
            name = "nothing"
        except BaseException as error:
            name = type(error).__name__
        os.write(writing, name.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as file:
        return file.read()


def test_forked_children_cannot_use_the_session(engine: Any) -> None:
    ref = shoal.put(1)
    actor: Any = shoal.remote(dict).remote()
    uses: list[Callable[[], Any]] = [
        lambda: shoal.put(1),
        lambda: shoal.get(ref),
        lambda: shoal.wait([ref]),
        lambda: actor.keys.remote(),
        lambda: shoal.init(),
    ]
    for use in uses:
        assert in_child(use) == ForkedProcessError.__name__
    assert in_child(lambda: shoal.is_initialized() and 1 / 0) == "nothing"
    assert in_child(shoal.shutdown) == "nothing"
    assert shoal.get(ref) == 1


def test_children_of_a_process_without_session_are_free(started: list[Any]) -> None:
    assert in_child(lambda: shoal.put(1)) == "nothing"


def test_no_session_begins_while_the_program_ends() -> None:
    program = """
        import atexit, shoal
        from shoal._core.api import runtime

        class Engine:
            capabilities = frozenset()
            session = None
            def shutdown(self):
                print("ended")

        def late():
            try:
                shoal.put(1)
            except shoal.exceptions.NotInitializedError as error:
                print(error)

        atexit.register(late)
        runtime._begin(Engine(), runs_tasks=False)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.splitlines()[0] == "ended"
    assert "exiting" in run.stdout.splitlines()[1]
