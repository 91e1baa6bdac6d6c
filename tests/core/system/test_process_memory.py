"""Memory of real processes."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from shoal._core.system.process_memory import read_exact_memory, read_memory, read_peak_memory, read_tree_memory

MIB = 1 << 20
HOLD = """
import mmap, os, sys
block = bytearray({private} << 20); block[::4096] = b"x" * len(block[::4096])
shared = mmap.mmap(-1, {shared} << 20); shared.write(b"x" * ({shared} << 20))
if {child} and os.fork() == 0:
    block = bytearray(block)
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[Any]:
    started = []

    def hold(*, private: int, shared: int = 1, child: bool = False) -> int:
        program = HOLD.format(private=private, shared=shared, child=child)
        process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        for _ in range(2 if child else 1):
            process.stdout.readline()
        return process.pid

    yield hold
    for process in started:
        process.communicate()


def test_shared_memory_is_not_anonymous(hold: Any) -> None:
    memory = read_memory(hold(private=40, shared=60))
    assert 40 * MIB <= memory.anonymous < 60 * MIB
    assert memory.resident >= 100 * MIB


def test_a_tree_is_summed(hold: Any) -> None:
    pid = hold(private=40, child=True)
    assert read_tree_memory(pid).anonymous >= 80 * MIB
    assert read_memory(pid).anonymous < 80 * MIB


def test_pages_of_a_fork_are_divided(hold: Any) -> None:
    pid = hold(private=40, child=True)
    exact = read_exact_memory(pid)
    assert exact.anonymous <= exact.total
    assert exact.anonymous < read_memory(pid).anonymous


def test_the_peak_remains() -> None:
    with mmap.mmap(-1, 30 * MIB) as block:
        block.write(b"x" * 30 * MIB)
    peak = read_peak_memory(os.getpid())
    assert peak is not None and peak > 30 * MIB


def test_a_process_that_is_gone() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitpid(pid, 0)
    assert read_memory(pid) is read_tree_memory(pid) is read_peak_memory(pid) is read_exact_memory(pid) is None
