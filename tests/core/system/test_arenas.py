"""The node's arenas: sparse, sealed, punched and closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from shoal._core.system.arenas import Arenas
from shoal._core.system.job_threads import JobThreads

MIB = 1 << 20


@pytest.fixture
def threads() -> Iterator[JobThreads]:
    threads = JobThreads("test-arenas")
    yield threads
    threads.close()


def memory_of(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512


def test_an_arena_takes_no_memory_until_it_is_written(threads: JobThreads) -> None:
    arenas = Arenas(threads)
    fd = arenas.add(1, 1 << 40)
    assert (arenas.fd(1), arenas.size(1), 1 in arenas) == (fd, 1 << 40, True)
    assert memory_of(fd) == 0
    os.pwrite(fd, b"x" * MIB, 1 << 39)
    assert memory_of(fd) == MIB
    arenas.close()


def test_nobody_can_change_its_size(threads: JobThreads) -> None:
    arenas = Arenas(threads)
    fd = arenas.add(1, MIB)
    for size in (0, 2 * MIB):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, size)
    arenas.close()


def test_punching_gives_pages_back(threads: JobThreads) -> None:
    arenas = Arenas(threads)
    fd = arenas.add(1, 4 * MIB)
    os.pwrite(fd, b"x" * 4 * MIB, 0)
    done = threading.Event()
    arenas.punch(1, MIB, 2 * MIB, done.set)
    assert done.wait(10)
    assert memory_of(fd) == 2 * MIB
    assert os.pread(fd, 1, MIB - 1) + os.pread(fd, 1, MIB) + os.pread(fd, 1, 3 * MIB) == b"x\0x"
    arenas.close()


def test_a_removed_arena_gives_back_its_memory_even_if_a_client_has_it(threads: JobThreads) -> None:
    arenas = Arenas(threads)
    client = os.dup(arenas.add(1, MIB))
    os.pwrite(client, b"x" * MIB, 0)
    arenas.remove(1)
    assert 1 not in arenas
    threads.close()
    assert memory_of(client) == 0
    os.close(client)


def test_close_closes_all(threads: JobThreads) -> None:
    before = len(os.listdir("/proc/self/fd"))
    arenas = Arenas(threads)
    for number in range(3):
        arenas.add(number, MIB)
    arenas.close()
    assert len(os.listdir("/proc/self/fd")) == before
