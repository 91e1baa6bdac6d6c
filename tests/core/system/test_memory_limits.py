"""Holding processes to their memory: by looking, on made-up and real processes, and by control groups."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shoal._core.system.memory_cgroups import MemoryCgroups
from shoal._core.system.memory_limits import (
    SAMPLING_SECONDS,
    Exceeded,
    MemoryWatch,
    exact_private_memory,
    private_memory,
)

MIB = 1 << 20
HOLD = """
import mmap, os, sys
block = bytearray({private} << 20); block[::4096] = b"x" * len(block[::4096])
shared = mmap.mmap(-1, {shared} << 20); shared.write(b"x" * ({shared} << 20))
for _ in range({children}):
    if os.fork() == 0:
        if {copy}:
            block[::4096] = b"y" * len(block[::4096])
        break
print("up", flush=True)
sys.stdin.read()
"""


class Measures:
    """Made-up processes."""

    def __init__(self) -> None:
        self.roughly: dict[int, int] = {}
        self.exactly: dict[int, int] = {}
        self.asked_exactly: list[int] = []

    def watch(self) -> MemoryWatch:
        return MemoryWatch(self.roughly.get, self._exact)

    def _exact(self, pid: int) -> int | None:
        self.asked_exactly.append(pid)
        return self.exactly.get(pid, self.roughly.get(pid))


def test_nothing_is_due_where_nothing_is_watched() -> None:
    watch = Measures().watch()
    assert watch.next_deadline(5.0) is None
    assert watch.sample(5.0) == []
    assert watch.next_deadline(5.0) is None


def test_looks_ten_times_a_second_while_something_is_watched() -> None:
    measures = Measures()
    measures.roughly[7] = 50
    watch = measures.watch()
    watch.add(7, 100)
    assert watch.next_deadline(5.0) == 5.0
    assert watch.sample(5.0) == []
    assert watch.next_deadline(5.0) == pytest.approx(5.0 + SAMPLING_SECONDS)
    watch.remove(7)
    assert watch.next_deadline(5.0) is None
    watch.remove(7)


def test_each_excess_is_told_once() -> None:
    measures = Measures()
    measures.roughly |= {7: 101, 8: 100}
    watch = measures.watch()
    watch.add(7, 100)
    watch.add(8, 100)
    assert watch.sample(1.0) == [Exceeded(7, 101, 100)]
    assert watch.sample(2.0) == []
    watch.add(7, 90)
    assert watch.sample(3.0) == [Exceeded(7, 101, 90)]
    watch.remove(8)
    assert watch.next_deadline(4.0) is None, "all that is left was told already"


def test_the_exact_measure_decides_but_is_asked_only_in_doubt() -> None:
    measures = Measures()
    measures.roughly |= {7: 150, 8: 50}
    measures.exactly[7] = 60
    watch = measures.watch()
    watch.add(7, 100)
    watch.add(8, 100)
    assert watch.sample(1.0) == []
    assert measures.asked_exactly == [7]


def test_the_dead_are_forgotten() -> None:
    watch = Measures().watch()
    watch.add(7, 100)
    assert watch.sample(1.0) == []
    assert watch.next_deadline(1.0) is None


@pytest.fixture
def hold() -> Iterator[Callable[..., int]]:
    started = []

    def hold(private: int, shared: int = 1, children: int = 0, copy: bool = False) -> int:
        program = HOLD.format(private=private, shared=shared, children=children, copy=copy)
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        for _ in range(children + 1):
            process.stdout.readline()
        return process.pid

    yield hold
    for process in started:
        process.communicate()


def test_shared_memory_does_not_count(hold: Callable[..., int]) -> None:
    used = private_memory(hold(40, shared=80))
    assert used is not None
    assert 40 * MIB <= used < 80 * MIB


def test_descendants_count(hold: Callable[..., int]) -> None:
    pid = hold(40, children=2, copy=True)
    watch = MemoryWatch()
    watch.add(pid, 100 * MIB)
    ((told, used, limit),) = watch.sample(time.monotonic())
    assert (told, limit) == (pid, 100 * MIB)
    assert used >= 120 * MIB


def test_pages_that_a_fork_shares_count_once(hold: Callable[..., int]) -> None:
    pid = hold(40, children=2)
    rough, exact = private_memory(pid), exact_private_memory(pid)
    assert rough is not None
    assert exact is not None
    assert rough >= 120 * MIB
    assert 40 * MIB <= exact < 80 * MIB
    watch = MemoryWatch()
    watch.add(pid, 100 * MIB)
    assert watch.sample(time.monotonic()) == []


def test_a_process_that_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert private_memory(process.pid) is None
    assert exact_private_memory(process.pid) is None


# --- control groups ---------------------------------------------------------------------------------------------------


@pytest.fixture
def delegated(tmp_path: Path) -> Path:
    """A made-up v2 tree in which this process is in a group of its own. Returns its root."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job\n")
    (tmp_path / "proc/self/mountinfo").write_text("30 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    group = tmp_path / "sys/fs/cgroup/job"
    group.mkdir(parents=True)
    (group / "cgroup.controllers").write_text("cpu memory\n")
    (group / "cgroup.subtree_control").write_text("memory\n")
    return tmp_path


def test_a_group_around_a_process(delegated: Path) -> None:
    groups = MemoryCgroups.find(str(delegated))
    assert groups is not None
    group = groups.limit("w1", 4711, 100, shared_memory=20)
    folder = delegated / "sys/fs/cgroup/job/w1"
    assert group.limit == 120
    assert (folder / "memory.max").read_text() == "120"
    assert (folder / "cgroup.procs").read_text() == "4711"
    assert group.oom_kills() == 0
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert group.oom_kills() == 1
    for file in folder.iterdir():  # Which the kernel's own do not need.
        file.unlink()
    group.remove()
    assert not folder.exists()
    group.remove()


def test_the_controller_is_turned_on_where_it_is_not(delegated: Path) -> None:
    control = delegated / "sys/fs/cgroup/job/cgroup.subtree_control"
    control.write_text("\n")
    assert MemoryCgroups.find(str(delegated)) is not None
    assert control.read_text() == "+memory"


def test_no_groups_without_the_controller_or_a_v2_tree(delegated: Path, tmp_path: Path) -> None:
    (delegated / "sys/fs/cgroup/job/cgroup.controllers").write_text("cpu\n")
    assert MemoryCgroups.find(str(delegated)) is None
    (delegated / "proc/self/cgroup").write_text("4:memory:/\n")
    assert MemoryCgroups.find(str(delegated)) is None


def test_no_group_is_left_where_the_kernel_refuses(delegated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = MemoryCgroups.find(str(delegated))
    assert groups is not None

    def refuse(path: str, text: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr("shoal._core.system.memory_cgroups._write", refuse)
    with pytest.raises(PermissionError):
        groups.limit("w1", os.getpid(), 100)
    assert not (delegated / "sys/fs/cgroup/job/w1").exists()
