"""Arguments that are open before their call begins: whatever becomes of the call, they are right, and nobody else lacks the room."""

from __future__ import annotations

import os

import pytest

import shoal
from shoal import engines
from shoal.exceptions import ActorDiedError, ObjectLostError, TaskCancelledError

STORE = 64 << 20
LARGE = STORE // 4
LIMIT = 20


class Gate:
    """A named pipe: who passes waits until it is opened."""

    def __init__(self, path) -> None:
        self.path = str(path)
        os.mkfifo(self.path)

    def open(self) -> None:
        with open(self.path, "wb"):
            pass


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


def pins(ref) -> int:
    """How many processes have the object open."""
    return sum(row["pins"] for row in stored(ref))


def stored(ref):
    rows = engines.current().state("stored_objects")
    return [row for row in rows if row["object_id"] == ref.hex()]


class Sequential:
    def wait(self, path):
        with open(path, "rb") as pipe:
            return pipe.read()

    def first(self, data):
        return data[0]

    def pid(self):
        return os.getpid()


class Asynchronous(Sequential):
    async def wait(self, path):
        import asyncio

        return await asyncio.to_thread(Sequential.wait, self, path)

    async def first(self, data):
        return data[0]


def sequential():
    return shoal.remote(Sequential).remote()


def threaded():
    return shoal.remote(concurrency_groups={"one": 1})(Sequential).remote()


def asynchronous():
    return shoal.remote(max_concurrency=1)(Asynchronous).remote()


@pytest.mark.parametrize("make", [sequential, threaded, asynchronous])
def test_the_next_calls_argument_is_open_before_it_begins(make, gate, eventually) -> None:
    actor = make()
    data = [shoal.put(b"\7" * LARGE)]
    group = {"concurrency_group": "one"} if make is threaded else {}
    waiting = actor.wait.options(**group).remote(gate.path)
    queued = actor.first.options(**group).remote(data[0])
    eventually(lambda: pins(data[0]) == 1, "the argument is open")
    gate.open()
    assert shoal.get([waiting, queued], timeout=LIMIT) == [b"", 7]
    eventually(lambda: pins(data[0]) == 0, "the argument is let go")
    data.clear()
    eventually(lambda: not engines.current().state("stored_objects"), "it is freed")


@pytest.mark.parametrize("make", [sequential, threaded, asynchronous])
def test_a_queued_call_that_is_cancelled_lets_go(make, gate, eventually) -> None:
    actor = make()
    data = shoal.put(b"\7" * LARGE)
    group = {"concurrency_group": "one"} if make is threaded else {}
    waiting = actor.wait.options(**group).remote(gate.path)
    queued = actor.first.options(**group).remote(data)
    eventually(lambda: pins(data) == 1, "the argument is open")
    shoal.cancel(queued)
    eventually(lambda: pins(data) == 0, "the argument is let go")
    gate.open()
    assert shoal.get(waiting, timeout=LIMIT) == b""
    with pytest.raises(TaskCancelledError):
        shoal.get(queued, timeout=LIMIT)
    assert shoal.get(actor.first.options(**group).remote(data), timeout=LIMIT) == 7


def test_only_the_next_calls_have_theirs_open(gate, eventually) -> None:
    actor = sequential()
    data = [shoal.put(bytes([number]) * (1 << 20)) for number in range(6)]
    waiting = actor.wait.remote(gate.path)
    queued = [actor.first.remote(ref) for ref in data]
    eventually(lambda: pins(data[0]) == 1, "the next one's argument is open")
    assert sum(map(pins, data)) <= 2
    gate.open()
    assert shoal.get([waiting, *queued], timeout=LIMIT) == [b"", 0, 1, 2, 3, 4, 5]
    eventually(lambda: not any(map(pins, data)), "all are let go")


def test_an_actor_that_is_killed_takes_its_pins_along(gate, eventually) -> None:
    actor = sequential()
    data = shoal.put(b"\7" * LARGE)
    waiting = actor.wait.remote(gate.path)
    queued = actor.first.remote(data)
    eventually(lambda: pins(data) == 1, "the argument is open")
    shoal.kill(actor)
    for ref in (waiting, queued):
        with pytest.raises(ActorDiedError):
            shoal.get(ref, timeout=LIMIT)
    eventually(lambda: pins(data) == 0, "the argument is let go")


def test_a_queued_call_is_done_by_the_actors_next_life(session, gate, eventually) -> None:
    actor = shoal.remote(max_restarts=1, max_task_retries=1)(Sequential).remote()
    pid = shoal.get(actor.pid.remote(), timeout=LIMIT)
    data = shoal.put(b"\7" * LARGE)
    waiting = actor.wait.remote(gate.path)
    queued = actor.first.remote(data)
    eventually(lambda: pins(data) == 1, "the argument is open")
    session.kill(pid)
    gate.open()
    assert shoal.get([waiting, queued], timeout=LIMIT) == [b"", 7]
    eventually(lambda: pins(data) == 0, "the argument is let go")


@pytest.mark.session(object_store_memory=STORE)
def test_what_is_open_ahead_makes_way_for_who_needs_the_room(gate, eventually) -> None:
    actor = sequential()
    data = shoal.put(b"\7" * LARGE)
    waiting = actor.wait.remote(gate.path)
    queued = actor.first.remote(data)
    eventually(lambda: pins(data) == 1, "the argument is open")
    # There is room for this only without the argument, and nobody waits for the actor.
    needed = shoal.put(b"\5" * (STORE - LARGE // 2))
    assert pins(data) == 0
    assert shoal.get(needed, timeout=LIMIT)[-1] == 5
    gate.open()
    assert shoal.get([waiting, queued], timeout=LIMIT) == [b"", 7]


@pytest.mark.session(object_store_memory=STORE)
def test_an_argument_on_disk_comes_back_when_its_call_begins(gate, eventually) -> None:
    actor = sequential()
    data = shoal.put(b"\7" * LARGE)
    others = [shoal.put(bytes(LARGE)) for _ in range(4)]
    assert [row["state"] for row in stored(data)] == ["spilled"]
    waiting = actor.wait.remote(gate.path)
    queued = actor.first.remote(data)
    small = actor.first.remote(b"\3")
    gate.open()
    assert shoal.get([waiting, queued, small], timeout=LIMIT) == [b"", 7, 3]
    del others


def test_an_argument_whose_owner_has_died_is_lost_to_calls_that_have_not_opened_it(session, gate, eventually) -> None:
    class Owner(Sequential):
        def make(self, count):
            return [shoal.put(bytes([number]) * (1 << 20)) for number in range(count)]

    owner, actor = shoal.remote(Owner).remote(), sequential()
    pid = shoal.get(owner.pid.remote(), timeout=LIMIT)
    data = shoal.get(owner.make.remote(6), timeout=LIMIT)
    shoal.wait(data, num_returns=len(data), timeout=LIMIT)
    waiting = actor.wait.remote(gate.path)
    queued = [actor.first.remote(ref) for ref in data]
    eventually(lambda: pins(data[0]) == 1, "the next one's argument is open")
    session.kill(pid)
    eventually(lambda: not stored(data[-1]), "the node knows that the owner is gone")
    gate.open()
    assert shoal.get([waiting, queued[0]], timeout=LIMIT) == [b"", 0], "it has had it"
    with pytest.raises(ObjectLostError, match="the store does not have it"):
        shoal.get(queued[-1], timeout=LIMIT)


def test_calls_that_hand_on_their_arguments_keep_them(gate, eventually) -> None:
    """A view outlives the call that had it opened ahead."""

    class Keeper(Sequential):
        def keep(self, data):
            self.data = data

        def last(self):
            return int(self.data[-1])

    numpy = pytest.importorskip("numpy")
    keeper = shoal.remote(Keeper).remote()
    data = shoal.put(numpy.full(1 << 20, 9, dtype=numpy.uint8))
    waiting = keeper.wait.remote(gate.path)
    kept = keeper.keep.remote(data)
    eventually(lambda: pins(data) == 1, "the argument is open")
    gate.open()
    shoal.get([waiting, kept], timeout=LIMIT)
    shoal.put(bytes(1 << 20))
    assert pins(data) == 1
    assert shoal.get(keeper.last.remote(), timeout=LIMIT) == 9


def test_short_tasks_with_stored_arguments(eventually) -> None:
    @shoal.remote
    def first(data, other):
        return data[0] + other[0]

    data = [shoal.put(bytes([number]) * 200_000) for number in range(20)]
    refs = [first.remote(data[number % 20], data[number // 20]) for number in range(200)]
    assert shoal.get(refs, timeout=LIMIT) == [number % 20 + number // 20 for number in range(200)]
    eventually(lambda: not any(map(pins, data)), "all are let go")
