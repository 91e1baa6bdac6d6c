"""What the kernel tells of processes that it killed for want of memory: real kills where a cgroup can be made, else made-up accounts."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal._core.system import oom_evidence
from shoal._core.system.oom_evidence import CERTAIN, PROBABLE, OomEvidence


class Accounts:
    """The kernel's three accounts, as files of the test."""

    def __init__(self, folder: Path) -> None:
        self.cgroup = folder / "memory.events"
        self.machine = folder / "vmstat"
        # Like the kernel's log it gives one record a read.
        reading, self._log_writing = socket.socketpair(type=socket.SOCK_SEQPACKET)
        reading.setblocking(False)
        self.log_reading = reading.detach()
        self.count(0, 0)

    def count(self, cgroup: int, machine: int) -> None:
        self.cgroup.write_text(f"low 0\noom {cgroup}\noom_kill {cgroup}\noom_group_kill 0\n")
        self.machine.write_text(f"nr_free 1\noom_kill {machine}\n")

    def log(self, text: str) -> None:
        self._log_writing.send(f"3,915,1;{text}\n".encode())

    def close(self) -> None:
        self._log_writing.close()


@pytest.fixture
def accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Accounts]:
    accounts = Accounts(tmp_path)
    monkeypatch.setattr(oom_evidence, "_cgroup_account", lambda: str(accounts.cgroup))
    monkeypatch.setattr(oom_evidence, "_MACHINE_ACCOUNT", str(accounts.machine))
    yield accounts
    accounts.close()


@pytest.fixture
def without_log(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> OomEvidence:
    os.close(accounts.log_reading)
    monkeypatch.setattr(oom_evidence, "_open_kernel_log", lambda: -1)
    return OomEvidence()


@pytest.fixture
def with_log(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> Iterator[OomEvidence]:
    monkeypatch.setattr(oom_evidence, "_open_kernel_log", lambda: accounts.log_reading)
    evidence = OomEvidence()
    yield evidence
    evidence.close()


def test_nothing_happened(without_log: OomEvidence) -> None:
    assert without_log.look(7) == ""


def test_each_kill_of_the_cgroup_explains_one_death(accounts: Accounts, without_log: OomEvidence) -> None:
    accounts.count(2, 0)
    assert [without_log.look(pid) for pid in (7, 8, 9)] == [CERTAIN, CERTAIN, ""]


def test_a_kill_elsewhere_on_the_machine_is_a_hint(accounts: Accounts, without_log: OomEvidence) -> None:
    accounts.count(0, 1)
    assert [without_log.look(pid) for pid in (7, 8)] == [PROBABLE, ""]


def test_the_log_names_the_process(accounts: Accounts, with_log: OomEvidence) -> None:
    accounts.count(2, 2)
    accounts.log("Memory cgroup out of memory: Killed process 8 (python) total-vm:1kB")
    accounts.log("usb 1-1: new device")
    accounts.log("Out of memory: Killed process 9 (python) total-vm:1kB")
    assert [with_log.look(pid) for pid in (7, 8, 9, 9)] == ["", CERTAIN, CERTAIN, ""]


def test_a_kill_that_the_log_does_not_name_yet(accounts: Accounts, with_log: OomEvidence) -> None:
    accounts.count(1, 1)
    assert [with_log.look(pid) for pid in (7, 8)] == [PROBABLE, ""]


def test_files_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oom_evidence, "_cgroup_account", lambda: "")
    monkeypatch.setattr(oom_evidence, "_MACHINE_ACCOUNT", "/nowhere")
    evidence = OomEvidence()
    assert evidence.look(7) == ""
    evidence.close()


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    folder = Path(f"/sys/fs/cgroup/memory/shoal-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a memory cgroup: {error}")
    (folder / "memory.limit_in_bytes").write_text(str(20 << 20))
    yield folder
    folder.rmdir()


def test_a_real_kill(small_cgroup: Path) -> None:
    evidence = OomEvidence()
    pid = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", f'echo $$ > {small_cgroup}/cgroup.procs; x=aaaaaaaaaaaaaaaa; while :; do x="$x$x"; done'],
        os.environ,
    )
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert evidence.look(pid) in (CERTAIN, PROBABLE)
    assert evidence.look(pid) == ""
    evidence.close()
