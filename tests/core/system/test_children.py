"""Whose child a process is, and ending trees of processes."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from shoal._core.system import children
from shoal._core.system.children import (
    children_of,
    descendants_of,
    kill_adopted,
    kill_group,
    kill_tree,
    parent_of,
    send_signal,
    watch_pid,
)
from shoal._core.system.process_control import become_subreaper

SLEEP = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
# A chain of processes, each in a session of its own; the second has ended, so that the third is an orphan.
CHAIN = """
import os, signal
from shoal._core.system.process_control import become_subreaper
become_subreaper()
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            os.write(writing, b"%d %d\\n" % (os.getppid(), os.getpid()))
        signal.pause()
    os._exit(0)
os.wait()
print(os.read(reading, 100).decode(), end="", flush=True)
signal.pause()
"""


@pytest.fixture
def start() -> Iterator[Any]:
    started = []

    def start(command: list[str], **options: Any) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, **options)
        started.append(process)
        return process, process.stdout.readline()

    yield start
    for process in started:
        kill_tree(process.pid)
        process.wait()
        process.stdout.close()


def test_parents_and_children(start: Any) -> None:
    process, _ = start(SLEEP)
    assert parent_of(process.pid) == os.getpid()
    assert process.pid in children_of(os.getpid())
    assert children_of(process.pid) == descendants_of(process.pid) == []


def test_a_root_that_its_parent_waits_for_as_its_group_is_killed(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    process, _ = start(SLEEP)
    send = children._send_to_group

    def send_and_wait(pid: int, signal_number: int) -> bool:
        sent = send(pid, signal_number)
        process.wait()
        return sent

    monkeypatch.setattr(children, "_send_to_group", send_and_wait)
    assert kill_tree(process.pid, os.getpid()) == [process.pid]


def test_a_process_that_is_gone(start: Any) -> None:
    process, _ = start(SLEEP)
    process.kill()
    process.wait()
    assert parent_of(process.pid) == 0
    assert children_of(process.pid) == []
    assert not send_signal(process.pid, signal.SIGTERM)
    assert not kill_group(process.pid)
    assert kill_tree(process.pid) == []
    with pytest.raises(ProcessLookupError):
        watch_pid(process.pid)


def test_children_without_the_help_of_the_kernel(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, line = start([sys.executable, "-c", CHAIN])
    expected = descendants_of(chain.pid)
    monkeypatch.setattr(children, "_kernel_lists_children", lambda: False)
    assert descendants_of(chain.pid) == expected == [int(pid) for pid in line.split()]


def test_a_command_may_hold_any_characters(start: Any, tmp_path: Any) -> None:
    (tmp_path / "a) b (c").symlink_to(sys.executable)
    process, _ = start(SLEEP, executable=str(tmp_path / "a) b (c"))
    assert parent_of(process.pid) == os.getpid()


def test_a_watched_process_ends(start: Any) -> None:
    process, _ = start(SLEEP)
    fd = watch_pid(process.pid)
    process.kill()
    assert select.select([fd], [], [], 20)[0] == [fd]
    os.close(fd)


def test_a_signal_reaches_only_the_child_that_is_meant(start: Any) -> None:
    process, _ = start(SLEEP)
    stranger = os.getppid()
    assert not send_signal(process.pid, signal.SIGKILL, parent=stranger)
    assert not kill_group(process.pid, signal.SIGKILL, parent=stranger)
    assert kill_tree(process.pid, parent=stranger) == []
    assert process.poll() is None
    assert send_signal(process.pid, signal.SIGTERM, parent=os.getpid())
    assert process.wait(20) == -signal.SIGTERM


def test_a_group_is_signalled_as_a_whole(start: Any) -> None:
    shell = "sleep 1000 & echo $!; wait"
    process, line = start(["sh", "-c", shell])
    fd = watch_pid(int(line))
    assert kill_group(process.pid, signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM
    assert select.select([fd], [], [], 20)[0] == [fd]
    os.close(fd)


def test_only_a_leader_has_a_group(start: Any) -> None:
    _, line = start(["sh", "-c", "sleep 1000 & echo $!; wait"])
    assert not kill_group(int(line))


def test_a_tree_is_killed_with_its_orphans(start: Any, wait_gone: Any) -> None:
    chain, line = start([sys.executable, "-c", CHAIN])
    orphans = [int(pid) for pid in line.split()]
    assert kill_tree(chain.pid) == [chain.pid, *orphans]
    assert chain.wait(20) == -signal.SIGKILL
    wait_gone(*orphans)


def test_what_a_subreaper_adopts_is_killed(wait_gone: Any, start: Any) -> None:
    kept, _ = start(SLEEP)
    own = set(children_of(os.getpid()))
    become_subreaper()
    try:
        shell = subprocess.run(
            ["setsid", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"], capture_output=True, check=True
        )
        orphan = int(shell.stdout)
        assert parent_of(orphan) == os.getpid()
        assert kill_adopted(own) == [orphan]
        wait_gone(orphan)
        assert os.waitpid(orphan, 0)[1] == signal.SIGKILL
        assert kill_adopted(own) == []
        assert kept.poll() is None
    finally:
        become_subreaper(False)
