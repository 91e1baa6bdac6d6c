"""Why a process ended."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

NATIVE_CRASH_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")


class DeathCause:
    """Why a process ended, as far as is known. Frozen; equal by value.

    Args:
        reason: what was seen, in words ('the process ended', 'shoal.kill was called').
        pid: process id; 0 where unknown.
        node: node id (hex) or address of the machine; '' where unknown.
        exit_code: exit status, where the process ended by itself.
        signal: name of the signal that ended it ('SIGKILL'), where one did.
        peak_memory: highest resident memory seen, in bytes; 0 where unknown.
        oom: '' (not for memory), 'certain' (the kernel counted an OOM kill), 'probable' (it looks like one) or
            'limit' (shoal ended it because it went over its `memory=`, or the machine was about to run out).
        stderr_tail: its last lines of standard error, oldest first.
    """

    __slots__ = ("exit_code", "node", "oom", "peak_memory", "pid", "reason", "signal", "stderr_tail")

    exit_code: int | None
    node: str
    oom: str
    peak_memory: int
    pid: int
    reason: str
    signal: str
    stderr_tail: tuple[str, ...]

    def __init__(
        self,
        reason: str = "",
        *,
        pid: int = 0,
        node: str = "",
        exit_code: int | None = None,
        signal: str = "",
        peak_memory: int = 0,
        oom: str = "",
        stderr_tail: Iterable[str] = (),
    ) -> None:
        assign = object.__setattr__
        assign(self, "reason", reason)
        assign(self, "pid", pid)
        assign(self, "node", node)
        assign(self, "exit_code", exit_code)
        assign(self, "signal", signal)
        assign(self, "peak_memory", peak_memory)
        assign(self, "oom", oom)
        assign(self, "stderr_tail", tuple(stderr_tail))

    def summary(self) -> str:
        """Returns the cause as one sentence, without the process's output."""
        who = f"Process {self.pid}" if self.pid else "The process"
        where = f" on node {self.node}" if self.node else ""
        peak = f" (peak memory {_readable_size(self.peak_memory)})" if self.peak_memory else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{who}{where} {self._end()}{peak}{why}."

    def explain(self) -> str:
        """Returns the cause for people: one sentence, what to do about it, and the last lines of standard error."""
        text = self.summary()
        advice = self._advice()
        if advice:
            text += f" {advice}"
        if self.stderr_tail:
            lines = "\n".join(f"    {line}" for line in self.stderr_tail)
            text += f"\n  Its last output on stderr:\n{lines}"
        return text

    def _end(self) -> str:
        if self.oom == "certain":
            return "was killed by the kernel OOM killer"
        if self.oom == "probable":
            return "was killed, probably by the kernel OOM killer"
        if self.oom == "limit":
            return "was stopped because it used too much memory"
        if self.signal:
            return f"was ended by signal {self.signal}"
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}"
        return "ended"

    def _advice(self) -> str:
        if self.oom:
            return (
                "Ask for more memory (`memory=`), run fewer tasks at a time (a larger `num_cpus=`), "
                "or pass smaller pieces of data."
            )
        if self.signal in NATIVE_CRASH_SIGNALS:
            return "That is a crash in native code; PYTHONFAULTHANDLER=1 makes it print the Python frames."
        return ""

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"DeathCause is frozen: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"DeathCause is frozen: cannot delete {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._state(),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeathCause) and self._state() == other._state()

    def __hash__(self) -> int:
        return hash(tuple(self._state().values()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self._state().items() if value not in (None, "", 0, ()))
        return f"DeathCause({told})"


def _rebuild(state: dict[str, Any]) -> DeathCause:
    return DeathCause(**state)


def _readable_size(size: int) -> str:
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"
