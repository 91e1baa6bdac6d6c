"""How a death is told."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from shoal._core.system.death import explain_death, needs_oom_evidence
from shoal._core.system.fork_messages import Exited
from shoal._core.system.worker_output import OutputPipe

GIB = 1 << 30


def exited(code: int) -> int:
    return code << 8


@pytest.mark.parametrize(
    ("status", "facts", "exit_code", "signal_name", "oom", "reason"),
    [
        (exited(0), {}, 0, "", "", "it ended by itself (sys.exit, os._exit)"),
        (exited(3), {}, 3, "", "", "it ended by itself (sys.exit, os._exit or an error outside of tasks)"),
        (signal.SIGSEGV, {}, None, "SIGSEGV", "", "it crashed in native code"),
        (signal.SIGSEGV | 0x80, {}, None, "SIGSEGV", "", "it crashed in native code"),
        (
            signal.SIGTERM,
            {},
            None,
            "SIGTERM",
            "",
            "the signal came from outside of shoal (kill, a batch system, a container's limit)",
        ),
        (signal.SIGKILL, {"intended": "shoal.kill"}, None, "SIGKILL", "", "shoal.kill"),
        (signal.SIGKILL, {"intended": "shoal.kill", "oom_evidence": "certain"}, None, "SIGKILL", "", "shoal.kill"),
        (signal.SIGKILL, {"intended": "over 1 GiB", "over_memory": True}, None, "SIGKILL", "limit", "over 1 GiB"),
        (signal.SIGKILL, {"oom_evidence": "certain"}, None, "SIGKILL", "certain", "memory ran out"),
        (
            signal.SIGKILL,
            {"peak_memory": GIB, "machine_memory": 2 * GIB},
            None,
            "SIGKILL",
            "probable",
            "memory ran out",
        ),
        (signal.SIGTERM, {"peak_memory": GIB, "machine_memory": GIB}, None, "SIGTERM", "", None),
        (signal.SIGKILL, {"peak_memory": GIB, "machine_memory": 3 * GIB}, None, "SIGKILL", "", None),
        (signal.SIGKILL, {"peak_memory": GIB}, None, "SIGKILL", "", None),
        (signal.SIGRTMIN + 2, {}, None, "SIGRTMIN+2", "", None),
        (33, {}, None, "signal 33", "", None),
    ],
)
def test_what_is_known_of_a_death(
    status: int, facts: dict[str, Any], exit_code: int | None, signal_name: str, oom: str, reason: str | None
) -> None:
    death = explain_death(42, status, **facts)
    assert (death.pid, death.exit_code, death.signal, death.oom) == (42, exit_code, signal_name, oom)
    assert reason in (None, death.reason)


def test_everything_given_is_passed_on() -> None:
    death = explain_death(42, exited(1), peak_memory=GIB, stderr_tail=["a", "b"], node="n")
    assert (death.peak_memory, death.stderr_tail, death.node) == (GIB, ("a", "b"), "n")


def test_only_kills_of_unknown_origin_need_evidence() -> None:
    assert needs_oom_evidence(signal.SIGKILL, "")
    assert not needs_oom_evidence(signal.SIGKILL, "shoal.kill")
    assert not needs_oom_evidence(signal.SIGTERM, "")
    assert not needs_oom_evidence(exited(9), "")


def test_a_crash_is_explained_by_its_stack(nursery: Any) -> None:
    stderr = OutputPipe(is_stderr=True)
    nursery.server.spawn(99, repr(("crash",)).encode(), stderr.writing_fd, stderr.writing_fd)
    stderr.close_writing_end()
    exited = nursery.wait_for(Exited, 99)
    while not stderr.closed:
        stderr.read()
    death = explain_death(exited.pid, exited.status, peak_memory=exited.peak_memory, stderr_tail=stderr.tail())
    stderr.close()
    assert death.signal == "SIGSEGV"
    assert death.stderr_tail[:2] == ("about to crash", "Fatal Python error: Segmentation fault")
    assert any(line.endswith("in crash") for line in death.stderr_tail)
    assert "SIGSEGV" in death.explain() and "in crash" in death.explain()
