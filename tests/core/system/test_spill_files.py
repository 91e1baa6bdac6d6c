"""Objects on disk: equal when they come back, without a trace when they go."""

from __future__ import annotations

import os
import queue
import random
import resource
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shoal._core.logic.residency import Residency
from shoal._core.logic.residency_effects import (
    AddArena,
    Allocated,
    DeleteSpilled,
    Effect,
    Located,
    PunchHole,
    RemoveArena,
    Restore,
    Spill,
)
from shoal._core.system import spill_files
from shoal._core.system.arenas import Arenas
from shoal._core.system.job_threads import JobThreads
from shoal._core.system.spill_files import SpillFiles
from shoal._core.system.store import ArenaMap

MIB = 1 << 20
X, Y = b"X" * 28, b"Y" * 28


class Bench:
    """One arena of 32 MiB and files in some folders."""

    def __init__(self, *folders: Path, keep_free: int = 0) -> None:
        for folder in folders:
            folder.mkdir()
        self.threads = JobThreads("test-spill")
        self.arenas = Arenas(self.threads)
        self.fd = self.arenas.add(1, 32 * MIB)
        self.files = SpillFiles([str(folder) for folder in folders], self.arenas, self.threads, keep_free=keep_free)
        self.done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def spill(self, object_id: bytes, offset: int, size: int) -> str:
        self.files.spill(object_id, 1, offset, size, self.done.put)
        return self.done.get(timeout=10)

    def restore(self, object_id: bytes, offset: int, size: int) -> str:
        self.files.restore(object_id, 1, offset, size, self.done.put)
        return self.done.get(timeout=10)

    def close(self) -> None:
        self.threads.close()
        self.files.close()
        self.arenas.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "spill")
    yield bench
    bench.close()


def open_files(folder: Path) -> list[os.stat_result]:
    """The nameless files of this process in a folder."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith(str(folder)):
                found.append(os.stat(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return found


@pytest.mark.parametrize("size", [0, 1, 4096, 100_001, 3 * MIB + 5])
def test_an_object_comes_back_equal(bench: Bench, size: int) -> None:
    data = os.urandom(size)
    os.pwrite(bench.fd, data, 4160)
    assert bench.spill(X, 4160, size) == ""
    os.pwrite(bench.fd, bytes(size), 4160)
    assert bench.restore(X, 16 * MIB, size) == ""
    assert os.pread(bench.fd, size, 16 * MIB) == data


def test_the_folder_stays_empty(bench: Bench, tmp_path: Path) -> None:
    os.pwrite(bench.fd, os.urandom(MIB), 0)
    bench.spill(X, 0, MIB)
    assert os.listdir(tmp_path / "spill") == []
    assert len(open_files(tmp_path)) == 1


def test_where_files_need_a_name_they_have_it_for_a_moment(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_tmpfile(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real_open(path, flags, mode)

    real_open = os.open
    monkeypatch.setattr(os, "open", without_tmpfile)
    assert bench.spill(X, 0, MIB) == ""
    assert os.listdir(tmp_path / "spill") == []
    assert len(open_files(tmp_path)) == 1


def test_deleted_objects_give_back_their_room(bench: Bench, tmp_path: Path) -> None:
    os.pwrite(bench.fd, os.urandom(8 * MIB), 0)
    assert [bench.spill(X, 0, 4 * MIB), bench.spill(Y, 4 * MIB, 4 * MIB)] == ["", ""]
    (before,) = open_files(tmp_path)
    bench.files.delete(X)
    assert bench.restore(Y, 16 * MIB, 4 * MIB) == ""
    assert os.pread(bench.fd, 4 * MIB, 16 * MIB) == os.pread(bench.fd, 4 * MIB, 4 * MIB)
    bench.threads.close()  # waits for the deletion too
    (after,) = open_files(tmp_path)
    assert after.st_blocks * 512 <= before.st_blocks * 512 - 3 * MIB


def test_a_file_without_objects_is_closed(bench: Bench, tmp_path: Path) -> None:
    bench.spill(X, 0, MIB)
    bench.files.delete(X)
    bench.threads.close()
    assert open_files(tmp_path) == []


def test_a_long_file_takes_no_more_objects(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill_files, "SEGMENT_SIZE", 2 * MIB)
    ids = [bytes([number]) * 28 for number in range(5)]
    for object_id in ids:
        assert bench.spill(object_id, 0, MIB) == ""
    assert len(open_files(tmp_path)) == 3
    for object_id in ids[:4]:
        bench.files.delete(object_id)
    bench.threads.close()
    assert len(open_files(tmp_path)) == 1


def test_the_next_folder_is_used_when_one_fails(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "gone", tmp_path / "good")
    (tmp_path / "gone").rmdir()
    assert bench.spill(X, 0, MIB) == ""
    assert len(open_files(tmp_path / "good")) == 1
    bench.close()


def test_a_disk_without_room_is_an_error_that_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "one", tmp_path / "two", keep_free=1 << 60)
    error = bench.spill(X, 0, MIB)
    assert error == f"{tmp_path}/one: No space left on device; {tmp_path}/two: No space left on device"
    bench.close()


def test_without_folders_nothing_is_spilled(tmp_path: Path) -> None:
    bench = Bench()
    assert bench.spill(X, 0, MIB) == "there is no folder to spill to"
    bench.close()


def test_a_write_that_fails_half_way_leaves_nothing(bench: Bench, tmp_path: Path) -> None:
    os.pwrite(bench.fd, os.urandom(8 * MIB), 0)
    assert bench.spill(X, 0, MIB) == ""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MIB, hard))
    try:
        assert bench.spill(Y, 0, 8 * MIB) == f"{tmp_path}/spill: File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (file,) = open_files(tmp_path)
    assert file.st_blocks * 512 < 2 * MIB
    assert bench.spill(Y, 0, 8 * MIB) == "", "and it may be tried again"


def test_an_unforeseen_failure_is_told_too(bench: Bench) -> None:
    assert bench.restore(X, 0, MIB).startswith("KeyError")


# --- the whole store, in one process ----------------------------------------------------------------------------------


class Store:
    """The smallest shell around a residency: carries out its effects, and waits for its transfers."""

    def __init__(self, capacity: int, folder: Path) -> None:
        self.threads = JobThreads("test-store")
        self.arenas = Arenas(self.threads)
        self.files = SpillFiles([str(folder)], self.arenas, self.threads)
        self.maps = ArenaMap()
        self.residency = Residency(capacity, arena_size=capacity // 4, warm_limit=capacity // 4)
        self.events: queue.SimpleQueue[Callable[[], list[Effect]]] = queue.SimpleQueue()
        self.answers: deque[Effect] = deque()

    def carry_out(self, effects: list[Effect]) -> None:
        residency = self.residency
        for effect in effects:
            match effect:
                case AddArena(arena, size):
                    self.maps.add(arena, self.arenas.add(arena, size), size)
                case RemoveArena(arena):
                    self.maps.remove(arena)
                    self.arenas.remove(arena)
                case PunchHole(arena, offset, size):
                    self.arenas.punch(arena, offset, size, self.later(residency.punched, arena, offset, size))
                case Spill(oid, arena, offset, size):
                    self.files.spill(oid, arena, offset, size, self.told(residency.spilled, oid))
                case Restore(oid, arena, offset, size):
                    self.files.restore(oid, arena, offset, size, self.told(residency.restored, oid))
                case DeleteSpilled(oid):
                    self.files.delete(oid)
                case _:
                    self.answers.append(effect)
        residency.check()

    def later(self, event: Callable[..., list[Effect]], *arguments: object) -> Callable[[], None]:
        return lambda: self.events.put(lambda: event(*arguments))

    def told(self, event: Callable[..., list[Effect]], oid: bytes) -> Callable[[str], None]:
        return lambda error: self.events.put(lambda: event(oid, not error, error))

    def answer(self) -> Effect:
        while not self.answers:
            self.carry_out(self.events.get(timeout=20)())
        return self.answers.popleft()

    def put(self, oid: bytes, data: bytes) -> None:
        self.carry_out(self.residency.allocate(oid, len(data), b"writer", 1, 0.0))
        place = self.answer()
        assert isinstance(place, Allocated)
        self.maps.writer(place.arena, place.offset, place.size, place.warm)[0 : len(data)] = data
        self.carry_out(self.residency.seal(oid, b"writer"))

    def get(self, oid: bytes) -> memoryview:
        self.carry_out(self.residency.pin(oid, b"reader", 2, 0.0))
        place = self.answer()
        assert isinstance(place, Located)
        unpin = self.later(self.residency.unpin, oid, b"reader")
        return self.maps.readable(place.arena, place.offset, place.size, unpin)

    def close(self) -> None:
        self.threads.close()
        self.files.close()
        self.arenas.close()


def test_more_than_fits_into_memory(tmp_path: Path) -> None:
    """Four times the capacity: written, read in any order, partly freed, and all bytes as they were."""
    chance = random.Random(1)
    store = Store(8 * MIB, tmp_path)
    values = {number.to_bytes(28, "big"): chance.randbytes(chance.randrange(100, MIB)) for number in range(64)}
    for oid, data in values.items():
        store.put(oid, data)
    assert store.residency.stats().spilled > 16 * MIB
    order = list(values) * 2
    chance.shuffle(order)
    for oid in order:
        if oid in values:
            assert bytes(store.get(oid)) == values[oid]
        if chance.random() < 0.3:
            values.pop(oid, None)
            store.carry_out(store.residency.free(oid))
    for oid in list(values):
        store.carry_out(store.residency.free(oid))
    while store.residency.stats().objects or not store.events.empty():
        store.carry_out(store.events.get(timeout=20)())
    stats = store.residency.stats()
    assert (stats.used, stats.disk, stats.objects) == (0, 0, 0)
    store.close()
    assert open_files(tmp_path) == []
