"""Where in other processes an error came from, as text for people."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Hop:
    """One process that the error went through: which function ran there, and the frames of it.

    Args:
        function_name: qualified name of the function or method that ran as a task.
        pid: process id; None where unknown.
        ip: address of the machine; '' where unknown.
        actor_repr: `repr` of the actor; '' for tasks.
        actor_id: id of the actor, hex; '' for tasks.
        attempt: which attempt it was, from 0.
        frames: formatted frames, as tracebacks show them.
    """

    __slots__ = ("actor_id", "actor_repr", "attempt", "frames", "function_name", "ip", "pid")

    def __init__(
        self,
        function_name: str,
        *,
        pid: int | None = None,
        ip: str = "",
        actor_repr: str = "",
        actor_id: str = "",
        attempt: int = 0,
        frames: str = "",
    ) -> None:
        self.function_name = function_name
        self.pid = pid
        self.ip = ip
        self.actor_repr = actor_repr
        self.actor_id = actor_id
        self.attempt = attempt
        self.frames = frames

    def header(self) -> str:
        """Returns the line that introduces the frames: 'shoal::train() (pid=7, ip=10.0.0.1)'."""
        facts = [
            f"{name}={value}"
            for name, value in (
                ("pid", self.pid),
                ("ip", self.ip),
                ("actor_id", self.actor_id),
                ("repr", self.actor_repr),
                ("attempt", self.attempt),
            )
            if value
        ]
        where = f" ({', '.join(facts)})" if facts else ""
        return f"shoal::{self.function_name}(){where}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_hop, tuple(getattr(self, name) for name in self.__slots__)


def _rebuild_hop(*values: Any) -> Hop:
    hop = Hop.__new__(Hop)
    for name, value in zip(Hop.__slots__, values, strict=True):
        setattr(hop, name, value)
    return hop


class RemoteTrace:
    """The way of an error through processes.

    Args:
        hops: the processes, the one whose result was asked for first, the one that raised last.
        last_line: 'ValueError: bad value', as tracebacks end.
        causes: what it was raised from or while handling, nearest first, one line each.
        full_text: the whole traceback with its chain and notes, as Python prints it there.
    """

    __slots__ = ("causes", "full_text", "hops", "last_line")

    def __init__(self, hops: tuple[Hop, ...], last_line: str, causes: tuple[str, ...], full_text: str) -> None:
        self.hops = hops
        self.last_line = last_line
        self.causes = causes
        self.full_text = full_text

    def with_hop(self, hop: Hop, full_text: str) -> RemoteTrace:
        """Returns the trace of the same error after it also went through `hop`, where its traceback was `full_text`."""
        return RemoteTrace((hop, *self.hops), self.last_line, self.causes, full_text)

    def text(self) -> str:
        """Returns where the error was raised, and its last line. The errors it was raised from are one line each."""
        lines = [f"{hop.header()}\n{hop.frames}" for hop in self.hops]
        lines.extend(f"  {cause}\n" for cause in self.causes)
        return "".join(lines) + self.last_line

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteTrace, (self.hops, self.last_line, self.causes, self.full_text)
