"""shoal's API on a real Ray. (The conformance suite runs on this engine, too: SHOAL_CONFORMANCE_ENGINE=ray.)"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal import engines, exceptions
from shoal.experimental import internal_kv
from shoal.integrations.ray.limits import RAY
from shoal.util.placement_group import placement_group, remove_placement_group
from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from shoal.util.state import list_tasks

ray = pytest.importorskip(
    "ray", minversion="2.60", reason="the ray engine needs ray: pip install 'shoal-integrations[ray]'"
)
from shoal.integrations.ray import actor_names, actors  # noqa: E402 (these import ray)

# Ray warns of its own matters; starting it takes seconds, and so does each new worker on a busy machine.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.timeout(240)]


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


@shoal.remote(num_cpus=0)
class Gate:
    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def wait(self) -> str:
        await self.opened.wait()
        return "open"

    async def open(self) -> None:
        self.opened.set()


def test_the_session_is_on_ray() -> None:
    engine = engines.current()
    assert engine.name == engine.session.engine == "ray"
    # Ray's lists need the dashboard, which is not started here.
    assert engine.capabilities == RAY.capabilities - {"state"}
    with pytest.raises(exceptions.NotSupportedByEngineError, match="dashboard"):
        list_tasks()
    assert shoal.cluster_resources()["CPU"] == 4
    assert [node["NodeID"] for node in shoal.nodes()] == [shoal.get_runtime_context().get_node_id()]


def test_tasks_call_tasks_where_shoal_is_ray_again() -> None:
    @shoal.remote
    def twice(x: int) -> tuple[int, str, bool]:
        return shoal.get(add.remote(x, x)), engines.current().name, os.getpid() != driver

    driver = os.getpid()
    assert shoal.get(twice.remote(21)) == (42, "ray", True)


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


def test_references_pass_between_ray_and_shoal() -> None:
    @ray.remote
    def plain(holder: list[Any]) -> Any:
        return shoal.get(holder[0]), engines.current().name, [shoal.put("from a task of Ray")]

    value, name, refs = ray.get(plain.remote([shoal.put(1)]))
    assert (value, name) == (1, "ray")
    assert shoal.get(refs[0]) == "from a task of Ray"


def test_plain_tasks_of_ray_use_shoal_without_init() -> None:
    @ray.remote(runtime_env={"env_vars": {"OF": "a fresh worker"}})
    def plain() -> tuple[bool, int, str, bool]:
        before = shoal.is_initialized()

        @shoal.remote
        def twice(x: int) -> int:
            return 2 * x

        value = shoal.get(twice.remote(4))
        context = shoal.get_runtime_context()
        return before, value, engines.current().name, context.get_task_id() == ray.get_runtime_context().get_task_id()

    assert ray.get(plain.remote()) == (False, 8, "ray", True)


def test_ids_have_the_lengths_of_rays() -> None:
    context = shoal.get_runtime_context()
    assert context.node_id.hex() == ray.get_runtime_context().get_node_id()
    group = placement_group([{"CPU": 1}])
    assert len(group.id.binary()) == ray.PlacementGroupID.size()
    remove_placement_group(group)


def test_an_error_comes_back_as_itself_with_the_remote_traceback() -> None:
    @shoal.remote(max_retries=0)
    def fail() -> None:
        try:
            raise OSError("disk")
        except OSError as error:
            raise KeyError("no such thing") from error

    with pytest.raises(KeyError, match="no such thing") as caught:
        shoal.get(fail.remote())
    assert isinstance(caught.value, exceptions.TaskError)
    assert isinstance(caught.value.__cause__, OSError)
    assert "in fail" in caught.value.traceback_str
    assert "run_task" not in caught.value.traceback_str


def test_an_error_that_cannot_be_pickled_comes_back_with_its_text() -> None:
    class Stubborn(Exception):
        def __reduce__(self) -> Any:
            raise TypeError("never")

    @shoal.remote(max_retries=0)
    def fail() -> None:
        raise Stubborn("it is stuck")

    with pytest.raises(exceptions.TaskError, match="it is stuck"):
        shoal.get(fail.remote())


def test_errors_of_the_runtime_have_namesakes() -> None:
    @shoal.remote(max_retries=0)
    def die() -> None:
        os._exit(3)

    counter = Counter.remote()
    shoal.get(counter.add.remote())
    held = counter.hold.remote()
    shoal.kill(counter)
    with pytest.raises(exceptions.ActorDiedError):
        shoal.get(held)
    with pytest.raises(exceptions.WorkerCrashedError):
        shoal.get(die.remote())
    never = Counter.remote(shoal.get_runtime_context())  # any value will do
    with pytest.raises(exceptions.GetTimeoutError):
        shoal.get(add.options(resources={"camera": 2}).remote(1), timeout=0)
    with pytest.raises(TypeError):
        shoal.get(never.add.remote())


def test_retries_follow_the_users_classes() -> None:
    @shoal.remote
    class Attempts:
        def __init__(self) -> None:
            self.count = 0

        def next(self) -> int:
            self.count += 1
            return self.count

    class Flaky(Exception):
        pass

    @shoal.remote(max_retries=3, retry_exceptions=[Flaky])
    def work(attempts: Any, error: type[Exception]) -> int:
        attempt: int = shoal.get(attempts.next.remote())
        if attempt < 3:
            raise error("again")
        return attempt

    assert shoal.get(work.remote(Attempts.remote(), Flaky)) == 3
    other = Attempts.remote()
    with pytest.raises(ValueError, match="again"):
        shoal.get(work.remote(other, ValueError))
    assert shoal.get(other.next.remote()) == 2


def test_handles_pass_on_and_are_found_by_name() -> None:
    counter = Counter.options(name="counter").remote(5)

    @shoal.remote
    def use(handle: Any) -> tuple[int, int]:
        return shoal.get(handle.add.remote(10)), shoal.get(shoal.get_actor("counter").add.remote(100))

    assert shoal.get(use.remote(counter)) == (15, 115)
    assert shoal.get(shoal.get_actor("counter").add.remote()) == 116
    assert {"counter"} <= {name for _, name in engines.current().named_actors(all_namespaces=False)}
    with pytest.raises(exceptions.ActorAlreadyExistsError):
        Counter.options(name="counter").remote()
    assert Counter.options(name="counter", get_if_exists=True).remote() == counter
    with pytest.raises(KeyError, match="no such thing"):
        shoal.get(counter.fail.remote())


def test_an_actor_of_rays_is_left_to_ray() -> None:
    class Plain:
        def ping(self) -> str:
            return "pong"

    actor = ray.remote(Plain).options(name="plain").remote()
    assert ray.get(actor.ping.remote()) == "pong"
    with pytest.raises(exceptions.NotSupportedByEngineError, match="ray engine"):
        shoal.get_actor("plain")


def test_names_of_dead_actors_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actor_names, "_SWEPT_EACH", 1)

    def noted() -> set[str]:
        keys = ray.experimental.internal_kv._internal_kv_list(b"", namespace=actor_names._SPACE)
        return {key.partition(b"\0")[2].decode() for key in keys}

    mortal = Counter.options(name="mortal").remote()
    assert "mortal" in noted()
    shoal.kill(mortal)
    with pytest.raises(exceptions.ActorDiedError):
        while True:
            shoal.get(mortal.add.remote())
    lasting = Counter.options(name="lasting").remote()
    assert "mortal" not in noted()
    again = Counter.options(name="again").remote()
    assert {"lasting", "again"} <= noted()
    assert shoal.get(shoal.get_actor("lasting").add.remote()) == 1
    del lasting, again


def test_options_that_differ_each_time_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "_KEPT_CALLS", 2)
    engine: Any = engines.current()
    counter = Counter.remote()
    for x in range(4):
        assert shoal.get(counter.add.options(name=f"call {x}").remote()) == x + 1
    assert max(len(held._calls) for held in engine._actors._held if held.actor_id == counter._actor_id.binary()) <= 2


def test_streams_in_tasks_and_actors() -> None:
    @shoal.remote
    def count(n: int) -> Iterator[int]:
        yield from range(n)
        raise ValueError("that was all")

    refs = list(count.remote(2))
    assert shoal.get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="that was all"):
        shoal.get(refs[2])
    assert [shoal.get(ref) for ref in Counter.remote().count.remote(3)] == [0, 1, 2]

    async def collect() -> list[int]:
        return [await ref async for ref in Counter.remote().count.remote(3)]

    assert asyncio.run(collect()) == [0, 1, 2]


def test_async_actors_await_references() -> None:
    @shoal.remote
    class Adder:
        async def add(self, refs: list[Any]) -> int:
            values: list[int] = await asyncio.gather(*refs)
            return sum(values)

    assert shoal.get(Adder.remote().add.remote([shoal.put(1), add.remote(1)])) == 3


def test_threads_of_an_async_actor_are_in_the_actor() -> None:
    @shoal.remote
    class Actor:
        async def hello(self) -> str:
            return "hello"

        async def ask(self) -> Any:
            context = shoal.get_runtime_context()
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                here = threads.submit(lambda: (context.get_actor_id(), context.current_actor)).result()
            return context.get_actor_id(), *here

    actor = Actor.remote()
    own_id, id_in_thread, handle = shoal.get(actor.ask.remote())
    assert own_id
    assert (id_in_thread, handle) == (own_id, actor)


def test_an_actor_of_rays_has_no_handle_of_shoals() -> None:
    class Plain:
        async def ask(self) -> Any:
            with pytest.raises(exceptions.NotSupportedByEngineError, match="not made"):
                shoal.get_runtime_context().current_actor  # noqa: B018
            return shoal.get_runtime_context().get_actor_id()

    assert ray.get(ray.remote(Plain).remote().ask.remote())


def test_cancelled_tasks_say_so() -> None:
    ref = add.options(resources={"camera": 2}).remote(1)  # waits for ever
    shoal.cancel(ref)
    with pytest.raises(exceptions.TaskCancelledError):
        shoal.get(ref)


def test_cancellations_that_come_late_do_not_reach_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on = []
    cancel = ray.cancel

    def note(held: Any, **options: Any) -> None:
        passed_on.append(held)
        cancel(held, **options)

    @shoal.remote(num_returns="streaming", resources={"camera": 2})
    def items() -> Iterator[int]:
        yield 1

    monkeypatch.setattr(ray, "cancel", note)
    done = add.remote(1)
    assert shoal.get(done) == 2
    shoal.cancel(done)
    assert not passed_on
    ref, stream = add.options(resources={"camera": 2}).remote(1), items.remote()
    for waits in (ref, ref, stream, stream):
        shoal.cancel(waits)
    assert len(passed_on) == 2
    for last in (ref, next(stream)):
        with pytest.raises(exceptions.TaskCancelledError):
            shoal.get(last)


def test_threads_that_share_a_stream_wait_no_longer_than_they_say() -> None:
    gate = Gate.remote()

    @shoal.remote(num_returns="streaming")
    def items(gate: Any) -> Iterator[str]:
        yield shoal.get(gate.wait.remote())

    def consume(timeout: float | None) -> Any:
        return stream._stream.next_ref(timeout)

    stream = items.remote(gate)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        first = threads.submit(consume, None)
        with pytest.raises(exceptions.GetTimeoutError):
            consume(0.1)
        shoal.get(gate.open.remote())
        assert shoal.get(first.result(60)) == "open"
    with pytest.raises(StopIteration):
        consume(60)


def test_a_consumer_that_gives_up_and_comes_again_is_watched_for_once() -> None:
    gate = Gate.remote()

    @shoal.remote(num_returns="streaming")
    def items(gate: Any) -> Iterator[str]:
        yield shoal.get(gate.wait.remote())

    async def consume() -> Any:
        before = threading.enumerate()
        stream = items.remote(gate)
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(stream), 0.01)
        watching = [one for one in threading.enumerate() if one.name == "shoal-ray-stream" and one not in before]
        await gate.open.remote()
        return len(watching), await (await anext(stream))

    assert asyncio.run(consume()) == (1, "open")


def test_placement_groups() -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert group.wait(60)
    assert shoal.get(group.ready()) == group

    @shoal.remote(num_cpus=1, scheduling_strategy=PlacementGroupSchedulingStrategy(group, 1))
    def where() -> str | None:
        return shoal.get_runtime_context().get_placement_group_id()

    assert shoal.get(where.remote()) == group.id.hex()
    remove_placement_group(group)


def test_environment_of_a_task() -> None:
    @shoal.remote(runtime_env={"env_vars": {"COLOUR": "blue"}})
    def colour() -> str | None:
        return os.environ.get("COLOUR")

    assert shoal.get(colour.remote()) == "blue"


def test_key_values() -> None:
    assert not internal_kv._internal_kv_put("colour", "blue")
    assert internal_kv._internal_kv_get("colour") == b"blue"
    assert internal_kv._internal_kv_list("col") == [b"colour"]
    internal_kv._internal_kv_del("colour")
    assert internal_kv._internal_kv_get("colour") is None


def test_what_ray_has_no_way_to_do_is_refused() -> None:
    from shoal._private.internal_api import free

    ref = shoal.put(1)
    with pytest.raises(exceptions.NotSupportedByEngineError, match="Let go of all references"):
        free(ref)
    assert shoal.get(ref) == 1


def test_what_cannot_be_chosen_any_more_is_refused() -> None:
    shoal.shutdown()
    with pytest.raises(exceptions.InvalidOptionError, match="another Ray"):
        shoal.init("ray://127.0.0.1:1")
    assert ray.is_initialized()  # the program began it, and the program ends it
    with pytest.raises(exceptions.InvalidOptionError, match="namespace"):
        shoal.init("ray", namespace="elsewhere")
    with pytest.raises(exceptions.InvalidOptionError, match="num_cpus"):
        shoal.init("ray", num_cpus=2)
    shoal.init("ray")
    assert shoal.get(add.remote(1)) == 2


def run_alone(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that knows of no Ray. One that hangs says where."""
    program = "import faulthandler\nfaulthandler.dump_traceback_later(150, exit=True)\n" + program
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-uc", program], capture_output=True, text=True, timeout=180, check=False, env=environment
    )


@pytest.mark.slow
def test_init_begins_a_ray_where_there_is_none() -> None:
    program = """
import ray, shoal

with shoal.init("ray", num_cpus=3, resources={"camera": 1}, include_dashboard=False, log_to_driver=False):
    resources = shoal.cluster_resources()
    print("found:", resources["CPU"], resources["camera"], shoal.get(shoal.remote(abs).remote(-4)))
print("left:", ray.is_initialized())
"""
    done = run_alone(program)
    assert "found: 3.0 1.0 4" in done.stdout, done.stderr
    assert "left: False" in done.stdout


@pytest.mark.slow
def test_who_waits_hears_of_the_end_of_the_session() -> None:
    program = """
import concurrent.futures, shoal
from shoal.exceptions import SessionEndedError

def start():
    shoal.init("ray", num_cpus=2, include_dashboard=False, log_to_driver=False)

def outcome(wait):
    try:
        return wait()
    except SessionEndedError:
        return "ended"

@shoal.remote(resources={"camera": 1})
def never():
    pass

@shoal.remote(resources={"camera": 1}, num_returns="streaming")
def no_items():
    yield 1

@shoal.remote
def one(value=1):
    return value

start()
ref, stream, there = never.remote(), no_items.remote(), one.remote()
assert shoal.get(there) == 1
future = ref.future()
waits = [lambda: shoal.get(ref), lambda: shoal.wait([ref]), lambda: next(stream), future.result]
with concurrent.futures.ThreadPoolExecutor(len(waits)) as threads:
    waiting = [threads.submit(outcome, wait) for wait in waits]
    shoal.shutdown()
    print("found:", *(one.result(60) for one in waiting))
start()
waits = [lambda: shoal.get(there), lambda: shoal.wait([there]), lambda: shoal.get(one.remote(there)), lambda: next(stream)]
print("later:", *map(outcome, waits), shoal.get(one.remote()))
"""
    done = run_alone(program)
    assert "found: ended ended ended ended" in done.stdout, done.stderr
    assert "later: ended ended ended ended 1" in done.stdout, done.stderr
