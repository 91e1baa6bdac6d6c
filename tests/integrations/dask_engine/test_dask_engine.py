"""shoal's API on a real Dask cluster. (The conformance suite runs on this engine, too: SHOAL_CONFORMANCE_ENGINE=dask.)"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import engines, exceptions
from shoal.integrations.dask import references, tasks
from shoal.integrations.dask.head import NAME
from shoal.integrations.dask.limits import DASK
from shoal.util.placement_group import placement_group

# Dask warns of its own matters; starting its workers takes seconds on a busy machine.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(120)]


@shoal.remote
def add(x: int, y: int = 1) -> int:
    return x + y


@shoal.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.sum = start

    def add(self, n: int = 1) -> int:
        self.sum += n
        return self.sum

    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    def fail(self) -> None:
        raise KeyError("no such thing")

    def hold(self) -> None:
        time.sleep(1000)

    def process(self) -> int:
        return os.getpid()


def test_the_session_is_on_dask() -> None:
    engine = engines.current()
    assert engine.name == engine.session.engine == "dask"
    assert engine.capabilities == DASK.capabilities
    assert shoal.cluster_resources()["CPU"] == 4
    assert [node["NodeID"] for node in shoal.nodes()] == [shoal.get_runtime_context().get_node_id()]


def test_tasks_call_tasks_where_shoal_is_dask_again() -> None:
    @shoal.remote
    def twice(x: int) -> tuple[int, str, bool]:
        return shoal.get(add.remote(x, x)), engines.current().name, os.getpid() != driver

    driver = os.getpid()
    assert shoal.get(twice.remote(21)) == (42, "dask", True)


def test_tasks_that_wait_leave_their_thread_to_others() -> None:
    @shoal.remote
    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + shoal.get(depth.remote(n - 1))

    assert shoal.get(depth.remote(12)) == 12


def test_references_are_values_at_the_top_and_references_inside() -> None:
    @shoal.remote
    def look(value: int, holder: dict[str, Any]) -> tuple[int, bool, int, Any]:
        ref = holder["ref"]
        return value, isinstance(ref, shoal.ObjectRef), shoal.get(ref), {"back": ref, "new": shoal.put("new")}

    ref = shoal.put(7)
    value, is_ref, inner, answer = shoal.get(look.remote(ref, {"ref": ref}))
    assert (value, is_ref, inner) == (7, True, 7)
    assert answer["back"] == ref
    assert shoal.get([answer["back"], answer["new"]]) == [7, "new"]


def test_an_object_keeps_those_that_it_refers_to() -> None:
    @shoal.remote
    def wrap() -> list[Any]:
        return [[shoal.put("inner")]]

    @shoal.remote
    class Keeper:
        def keep(self, refs: list[Any]) -> None:
            self.refs = refs

        def read(self) -> Any:
            return shoal.get(self.refs)

    keeper = Keeper.remote()
    shoal.get(keeper.keep.remote([add.remote(1), shoal.put("kept")]))
    outer = shoal.get(wrap.remote())
    assert shoal.get(outer[0]) == ["inner"]
    assert shoal.get(keeper.read.remote()) == [2, "kept"]


def test_what_nobody_waits_for_runs() -> None:
    counter = Counter.remote()

    @shoal.remote
    def note(counter: Any) -> None:
        shoal.get(counter.add.remote())

    note.remote(counter)
    while shoal.get(counter.add.remote(0)) == 0:
        pass


def test_errors_come_back_as_themselves() -> None:
    @shoal.remote
    def fail() -> None:
        raise KeyError("no such thing")

    for ref in (fail.remote(), Counter.remote().fail.remote(), add.remote(fail.remote())):
        with pytest.raises(KeyError, match="no such thing") as caught:
            shoal.get(ref)
        assert isinstance(caught.value, exceptions.TaskError)
        assert "run_task" not in caught.value.traceback_str


def test_actors_are_called_in_order_and_found_by_name() -> None:
    counter = Counter.options(name="counter").remote(5)

    @shoal.remote
    def use(handle: Any) -> tuple[int, int]:
        return shoal.get(handle.add.remote(10)), shoal.get(shoal.get_actor("counter").add.remote(100))

    assert shoal.get([counter.add.remote() for _ in range(20)]) == list(range(6, 26))
    assert shoal.get(use.remote(counter)) == (35, 135)
    with pytest.raises(exceptions.ActorAlreadyExistsError):
        Counter.options(name="counter").remote()
    assert Counter.options(name="counter", get_if_exists=True).remote() == counter
    shoal.kill(counter)
    with pytest.raises(exceptions.ActorDiedError):
        shoal.get(counter.add.remote())
    with pytest.raises(ValueError, match="no actor named"):
        shoal.get_actor("counter")


def test_calls_of_actors_need_no_thread_of_a_worker() -> None:
    @shoal.remote
    class Gate:
        def __init__(self) -> None:
            self.opened = asyncio.Event()

        async def wait(self) -> str:
            await self.opened.wait()
            return "open"

        async def open(self) -> None:
            self.opened.set()

    gates = [Gate.remote() for _ in range(8)]
    waiting = [gate.wait.remote() for gate in gates]
    assert shoal.wait(waiting, timeout=0) == ([], waiting)
    shoal.get([gate.open.remote() for gate in gates])
    assert shoal.get(waiting) == ["open"] * 8


def test_streams_of_tasks_and_actors() -> None:
    @shoal.remote
    def count(n: int) -> Iterator[int]:
        yield from range(n)
        raise ValueError("that was all")

    refs = list(count.remote(2))
    assert shoal.get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="that was all"):
        shoal.get(refs[2])
    assert [shoal.get(ref) for ref in Counter.remote().count.remote(3)] == [0, 1, 2]


def test_cancelled_tasks_say_so_and_running_ones_cannot_be() -> None:
    waits = add.options(resources={"camera": 100}).remote(1)
    shoal.cancel(waits)
    with pytest.raises(exceptions.TaskCancelledError):
        shoal.get(waits)

    counter = Counter.remote()

    @shoal.remote
    def spin(counter: Any) -> None:
        while shoal.get(counter.add.remote()) < 1000:
            pass

    runs = spin.remote(counter)
    while shoal.get(counter.add.remote(0)) == 0:
        pass
    with pytest.raises(exceptions.NotSupportedByEngineError, match="dask engine"):
        shoal.cancel(runs)
    shoal.get(counter.add.remote(1000))
    shoal.get(runs)


def test_what_dask_cannot_do_is_refused_at_the_call() -> None:
    with pytest.raises(exceptions.NotSupportedByEngineError, match="resources="):
        placement_group([{"CPU": 1}])
    with pytest.raises(exceptions.NotSupportedByEngineError, match="runtime_env"):
        add.options(runtime_env={"env_vars": {"COLOUR": "blue"}}).remote(1)
    with pytest.raises(exceptions.NotSupportedByEngineError, match="dashboard"):
        shoal.timeline()


def test_a_stream_keeps_what_its_items_refer_to(cluster: Any) -> None:
    @shoal.remote(num_returns="streaming")
    def refs() -> Iterator[list[Any]]:
        yield [shoal.put("inside")]

    stream = refs.remote()
    shoal.get(stream.completed())
    kept = list(cluster.scheduler.plugins[NAME].objects._inside.values())
    ref = shoal.get(next(stream))[0]
    # Keys: a scheduler in a process of its own could not make references of anything else.
    assert [ref.key] in kept
    assert shoal.get(ref) == "inside"


def test_options_that_differ_each_time_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_KEPT_TEMPLATES", 2)
    engine: Any = engines.current()
    for x in range(4):
        assert shoal.get(add.options(resources={}).remote(x)) == x + 1
    assert len(engine._tasks._prepared) <= 2


def test_a_call_is_answered_whatever_goes_wrong() -> None:
    @shoal.remote
    class Broken:
        def call(self) -> None:
            engine: Any = engines.current()
            settle = engine.settle

            def fail(*args: Any) -> None:
                engine.settle = settle
                raise RuntimeError("the scheduler is gone")

            engine.settle = fail

    with pytest.raises(RuntimeError, match="the scheduler is gone"):
        shoal.get(Broken.remote().call.remote())


def test_calls_without_results_get_their_arguments_and_are_counted() -> None:
    counter = Counter.options(max_pending_calls=2).remote()
    for turn in range(3):
        counter.add.options(num_returns=0).remote(add.remote(1))
        assert shoal.get(counter.add.remote(0)) == 2 * (turn + 1)


def test_values_that_cannot_be_brought_end_a_get(monkeypatch: pytest.MonkeyPatch) -> None:
    @shoal.remote
    class Large:
        def process(self) -> int:
            return os.getpid()

        def values(self) -> bytes:
            return bytes(100_000)

    monkeypatch.setattr(references, "_BRINGING", 0.1)
    large = Large.remote()
    process, ref = shoal.get(large.process.remote()), large.values.remote()
    shoal.wait([ref])
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(exceptions.GetTimeoutError, match=r"Large\.values"):
            shoal.get(ref, timeout=0.1)
    finally:
        os.kill(process, signal.SIGCONT)
    assert shoal.get(ref) == bytes(100_000)


def test_a_session_on_a_client_leaves_it_open(cluster: Any) -> None:
    distributed = pytest.importorskip("distributed")
    shoal.shutdown()
    with distributed.Client(cluster, set_as_default=False) as client:
        for arguments in ({"client": client}, {"address": "dask", "client": client}):
            shoal.init(**arguments)
            assert engines.current().connection.client is client  # type: ignore[attr-defined]
            assert shoal.get(add.remote(1)) == 2
            shoal.shutdown()
        with pytest.raises(exceptions.InvalidOptionError, match="num_cpus"):
            shoal.init(client=client, num_cpus=2)
        assert client.status == "running"
    with pytest.raises(exceptions.SessionStartError, match="closed"):
        shoal.init(client=client)
    shoal.init("dask")
    assert engines.current().connection.client is distributed.default_client()  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", ["inproc", "tcp"])
def test_workers_without_a_process_are_refused(protocol: str) -> None:
    distributed = pytest.importorskip("distributed")
    shoal.shutdown()
    try:
        with (
            distributed.LocalCluster(
                n_workers=1, processes=False, protocol=protocol, dashboard_address="127.0.0.1:0"
            ) as threads,
            distributed.Client(threads, set_as_default=False) as client,
            pytest.raises(exceptions.NotSupportedByEngineError, match="processes=True"),
        ):
            shoal.init(client=client)
            shoal.get(add.remote(1))  # only here where the addresses do not tell
    finally:
        shoal.shutdown()
        shoal.init("dask")


def test_who_waits_hears_of_the_end_of_the_session() -> None:
    @shoal.remote(num_returns="streaming", resources={"camera": 100})
    def items() -> Iterator[int]:
        yield 1

    engine, stream = engines.current(), items.remote()
    ref = add.options(resources={"camera": 100}).remote(1)
    future = ref.future()
    waits = [lambda: engine.get([ref], None), lambda: engine.wait([ref], 1, None, True), lambda: next(stream)]
    with concurrent.futures.ThreadPoolExecutor(len(waits)) as threads:
        ended = [threads.submit(wait) for wait in waits]
        shoal.shutdown()
        for one in [*ended, future]:
            with pytest.raises(exceptions.SessionEndedError):
                one.result(60)
    shoal.init("dask://")
    assert shoal.get(add.remote(1)) == 2


@pytest.mark.slow
def test_an_actor_lives_again_after_its_worker_has_died(cluster: Any) -> None:
    counter = Counter.options(max_restarts=1, max_task_retries=-1).remote()
    process = shoal.get(counter.process.remote())
    shoal.get(counter.add.remote())
    os.kill(process, 9)
    assert shoal.get(counter.add.remote()) == 1
    mortal = Counter.remote()
    process = shoal.get(mortal.process.remote())
    held = mortal.hold.remote()
    os.kill(process, 9)
    with pytest.raises(exceptions.ActorDiedError):
        shoal.get(held)


@pytest.mark.slow
def test_a_stream_goes_on_after_its_worker_has_died(tmp_path: Path) -> None:
    @shoal.remote(num_returns="streaming", _generator_backpressure_num_objects=1)
    def numbers(go_on: Path) -> Iterator[tuple[int, int]]:
        for number in range(4):
            if number == 2 and not go_on.exists():
                time.sleep(1000)
            yield number, os.getpid()

    stream = numbers.remote(tmp_path / "go_on")
    taken = [shoal.get(next(stream)) for _ in range(2)]
    (tmp_path / "go_on").touch()
    os.kill(taken[0][1], 9)
    assert [shoal.get(ref)[0] for ref in stream] == [2, 3]
