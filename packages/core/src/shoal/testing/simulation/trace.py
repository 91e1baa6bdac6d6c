"""What has happened in one simulated session: hashed whole, remembered in part."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from typing import Any

from shoal.testing.simulation.agenda import Agenda

REMEMBERED = 20_000


class Trace:
    """Remembers the last events, to tell of them when something goes wrong."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._hash = hashlib.blake2b(digest_size=16)
        self._events: deque[tuple[float, str, Any]] = deque(maxlen=REMEMBERED)

    def sent(self, sender: str, receiver: str, message: Any, frame: bytes) -> None:
        self._hash.update(f"{self._agenda.now:.9f}{sender}>{receiver}".encode())
        self._hash.update(frame)
        self._events.append((self._agenda.now, f"{sender} sends {receiver}", message))

    def arrived(self, sender: str, receiver: str, message: Any) -> None:
        self._events.append((self._agenda.now, f"{receiver} gets from {sender}", message))

    def note(self, text: str) -> None:
        self._hash.update(text.encode())
        self._events.append((self._agenda.now, text, None))

    def digest(self) -> str:
        """Equal traces have equal digests."""
        return self._hash.hexdigest()

    def story(self, ids: Iterable[bytes] = (), last: int = 60) -> str:
        """Returns the last events, or the last that concern any of these ids, for people."""
        wanted = [item.hex() for item in ids]
        lines = []
        for when, text, message in self._events:
            line = f"{when:.6f} {text}" + (f": {_readable(message)}" if message is not None else "")
            if not wanted or any(item in line for item in wanted):
                lines.append(line)
        return "\n".join(lines[-last:])


def _readable(value: Any) -> str:
    """Ids in hexadecimal, fields by name, what is empty left out."""
    fields = getattr(value, "__struct_fields__", None)
    if fields is not None:
        shown = [f"{name}={_readable(getattr(value, name))}" for name in fields if getattr(value, name)]
        return f"{type(value).__name__}({', '.join(shown)})"
    if isinstance(value, bytes):
        return (value.decode() if value.isalnum() and value.isascii() else value.hex()) if value else "-"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_readable, value)) + "]"
    return repr(value)
