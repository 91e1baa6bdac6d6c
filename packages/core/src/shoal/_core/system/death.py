"""Explaining the end of a process: what its exit status, its memory, the kernel and the runtime itself know, made into
a `DeathCause`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from shoal._core.system.oom_evidence import PROBABLE
from shoal.exceptions import DeathCause

_LIMIT = "limit"
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGSYS})
_HIGH_PEAK = 0.5
"""A process that had this share of all memory and was killed by nobody knows whom was probably killed for it."""


def explain_death(
    pid: int,
    status: int,
    *,
    intended: str = "",
    over_memory: bool = False,
    oom_evidence: str = "",
    peak_memory: int = 0,
    machine_memory: int = 0,
    stderr_tail: Iterable[str] = (),
    node: str = "",
) -> DeathCause:
    """Returns why a process ended.

    Args:
        pid: the process.
        status: as from `os.wait4`.
        intended: why the runtime ended it ('cancelled with force', 'memory limit 100 MiB exceeded (used 130 MiB)'); ''
            where it did not.
        over_memory: whether the runtime ended it for the memory that it used.
        oom_evidence: what `OomEvidence.look` said; ask it only for deaths that `needs_oom_evidence`.
        peak_memory: highest resident memory, in bytes.
        machine_memory: what all processes together may use, in bytes; 0 where unknown.
        stderr_tail: last lines of its standard error.
        node: where it ran, for the message.
    """
    code = os.waitstatus_to_exitcode(status)
    oom = _LIMIT if over_memory else ""
    if needs_oom_evidence(status, intended):
        oom = oom_evidence or (PROBABLE if 0 < machine_memory * _HIGH_PEAK <= peak_memory else "")
    return DeathCause(
        intended or _what_was_seen(code, bool(oom)),
        pid=pid,
        node=node,
        exit_code=code if code >= 0 else None,
        signal=_signal_name(-code) if code < 0 else "",
        peak_memory=peak_memory,
        oom=oom,
        stderr_tail=stderr_tail,
    )


def needs_oom_evidence(status: int, intended: str) -> bool:
    """Returns whether the kernel may have killed the process for want of memory: by SIGKILL, which the runtime did not
    send."""
    return not intended and os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}" if number >= signal.SIGRTMIN else f"signal {number}"


def _what_was_seen(code: int, out_of_memory: bool) -> str:
    if out_of_memory:
        return "memory ran out"
    if code == 0:
        return "it ended by itself (sys.exit, os._exit)"
    if code > 0:
        return "it ended by itself (sys.exit, os._exit or an error outside of tasks)"
    if -code in _CRASHES:
        return "it crashed in native code"
    return "the signal came from outside of shoal (kill, a batch system, a container's limit)"
