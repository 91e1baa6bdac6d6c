"""Random task graphs with known answers while workers are killed at random: no wrong answer, no hang, nothing kept.

Ten seconds; `-m slow`: ten minutes. Seeded; SHOAL_FAULT_SEED=n tries others.
"""

from __future__ import annotations

import gc
import os
import random
import select
import signal
import threading
import time

import pytest

import shoal
from shoal import engines
from shoal.exceptions import ActorDiedError, ActorUnavailableError

SEED = int(os.environ.get("SHOAL_FAULT_SEED", "0"))
LARGE = 150_000


class Killer(threading.Thread):
    """Kills a random worker every now and then, and sometimes the fork server, with all workers."""

    def __init__(self, session, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._chance = random.Random(seed)
        self._pause = pause
        self._reading, self._writing = os.pipe()
        self.kills = 0

    def run(self) -> None:
        while not select.select([self._reading], [], [], self._chance.uniform(0.2, 1.8) * self._pause)[0]:
            victims = self._session.pids("forks" if self._chance.random() < 0.15 else "worker")
            if victims:
                try:
                    os.kill(self._chance.choice(victims), signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    continue

    def stop(self) -> None:
        os.write(self._writing, b"x")
        self.join(20)
        os.close(self._reading)
        os.close(self._writing)


def _functions():
    @shoal.remote(max_retries=-1)
    def add(*values):
        return sum(values)

    @shoal.remote(max_retries=-1)
    def add_list(refs):
        return sum(shoal.get(refs))

    @shoal.remote(max_retries=-1)
    def inflate(n):
        return n.to_bytes(8, "little") + bytes(LARGE)

    @shoal.remote(max_retries=-1)
    def deflate(data):
        assert len(data) == LARGE + 8
        return int.from_bytes(data[:8], "little")

    @shoal.remote(max_retries=-1)
    def spread(n):
        return sum(shoal.get([add.remote(n, k) for k in range(3)]))

    @shoal.remote(max_retries=-1, num_returns=3)
    def three(n):
        return n, n + 1, n + 2

    return add, add_list, inflate, deflate, spread, three


def _graph(chance: random.Random, functions, actor) -> list[tuple[shoal.ObjectRef, int]]:
    """Submits a graph; returns references with what they must give."""
    add, add_list, inflate, deflate, spread, three = functions
    nodes: list[tuple[shoal.ObjectRef, int]] = [(shoal.put(n), n) for n in range(3)]
    for _ in range(chance.randrange(5, 25)):
        picked = [chance.choice(nodes) for _ in range(chance.randrange(1, 4))]
        refs, total = [ref for ref, _ in picked], sum(value for _, value in picked)
        kind = chance.randrange(6)
        if kind == 0:
            nodes.append((add.remote(*refs), total))
        elif kind == 1:
            nodes.append((add_list.remote(refs), total))
        elif kind == 2:
            nodes.append((deflate.remote(inflate.remote(refs[0])), picked[0][1]))
        elif kind == 3:
            nodes.append((spread.remote(refs[0]), 3 * picked[0][1] + 3))
        elif kind == 4:
            nodes.extend((ref, picked[0][1] + n) for n, ref in enumerate(three.remote(refs[0])))
        else:
            nodes.append((actor.same.remote(refs[0]), picked[0][1]))
    return nodes


def _soak(session, seconds: float, seed: int, open_descriptors, eventually) -> None:
    @shoal.remote(max_restarts=-1, max_task_retries=-1, num_cpus=0)
    class Same:
        def same(self, value):
            return value

    client = engines.current()
    functions, actor = _functions(), Same.remote()
    chance = random.Random(seed)

    def one_graph() -> None:
        nodes = _graph(chance, functions, actor)
        chance.shuffle(nodes)
        for ref, expected in nodes:
            try:
                value = shoal.get(ref, timeout=45)
            except (ActorDiedError, ActorUnavailableError) as error:
                raise AssertionError(f"seed {seed}: {error}") from error
            assert value == expected, f"seed {seed}: {client.references.table.story(ref.binary())}"

    for _ in range(3):
        one_graph()
    gc.collect()
    memory, descriptors = _resident(), open_descriptors()
    killer = Killer(session, seed, pause=0.4)
    killer.start()
    end = time.monotonic() + seconds
    graphs = 0
    try:
        while time.monotonic() < end:
            one_graph()
            graphs += 1
    finally:
        killer.stop()
    assert graphs > 3
    assert killer.kills > 3
    gc.collect()

    total = shoal.cluster_resources()
    eventually(lambda: shoal.available_resources() == total, "all resources and the store are free again")
    client.references.table.check()
    kept = client.references.table.entries
    eventually(lambda: len(kept) <= 3, "all entries are gone but the actor's")
    assert not client.tasks.running
    assert not client.state("stored_objects")
    assert _resident() - memory < 60 << 20
    eventually(lambda: open_descriptors() <= descriptors + 10, f"descriptors: {descriptors} before")


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.timeout(150)
def test_graphs_while_workers_are_killed(session, open_descriptors, eventually) -> None:
    _soak(session, 10, SEED, open_descriptors, eventually)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_graphs_while_workers_are_killed_for_long(session, open_descriptors, eventually) -> None:
    _soak(session, 600, SEED + 1, open_descriptors, eventually)


def test_references_that_are_dropped_leave_nothing(eventually) -> None:
    functions = _functions()
    client = engines.current()

    @shoal.remote(num_cpus=0)
    class Same:
        def same(self, value):
            return value

    actor = Same.remote()
    for seed in range(5):
        nodes = _graph(random.Random(seed), functions, actor)
        for ref, expected in nodes:
            assert shoal.get(ref, timeout=20) == expected
    del nodes, ref
    client.references.table.check()
    eventually(lambda: len(client.references.table.entries) <= 1, "no entry but the actor's")
    assert not client.tasks.running


def test_unfinished_tasks_whose_references_are_dropped(eventually, meeting, arrive) -> None:
    @shoal.remote
    def wait(name):
        arrive(name)
        return bytes(LARGE)

    client = engines.current()
    refs = [wait.remote(meeting.name) for _ in range(2)]
    meeting.arrival()
    meeting.arrival()
    del refs
    meeting.let_go()
    eventually(lambda: not client.references.table.entries, "no entry")
    eventually(lambda: not client.tasks.running, "no task")
    eventually(lambda: shoal.available_resources() == shoal.cluster_resources(), "all resources are free")


def test_references_that_an_actor_kept_and_let_go(eventually) -> None:
    @shoal.remote(num_cpus=0)
    class Keeper:
        def keep(self, refs):
            self.refs = refs

        def drop(self):
            del self.refs

        def pid(self):
            return os.getpid()

    keeper = Keeper.remote()
    entries = engines.current().references.table.entries
    shoal.get(keeper.keep.remote([shoal.put(bytes(LARGE)), shoal.put(1)]), timeout=20)
    gc.collect()
    assert len(entries) >= 3  # two values, and the actor
    shoal.get(keeper.drop.remote(), timeout=20)
    eventually(lambda: len(entries) <= 1, "what the actor has dropped is gone")
    shoal.get(keeper.keep.remote([shoal.put(bytes(LARGE)), shoal.put(1)]), timeout=20)
    os.kill(shoal.get(keeper.pid.remote(), timeout=20), signal.SIGKILL)
    eventually(lambda: len(entries) <= 1, "what the dead actor held is gone")
