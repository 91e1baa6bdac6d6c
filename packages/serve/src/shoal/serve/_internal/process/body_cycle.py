"""An exchange of uvicorn's whose request comes in parts: they go to the application as they are, where uvicorn copies them twice."""

from __future__ import annotations

from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MOST_BYTES = 1 << 18
"""That wait for the application before no more is read."""


class BodyCycle(RequestResponseCycle):
    """One exchange; its arguments are uvicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts: deque[bytes] = deque()
        self._bytes = 0

    def add(self, part: bytes) -> None:
        """A part of the body has come."""
        self._parts.append(part)
        self._bytes += len(part)
        if self._bytes > MOST_BYTES:
            self.flow.pause_reading()
        self.message_event.set()

    async def receive(self) -> Any:
        """Of ASGI."""
        if not self.disconnected and not self.response_complete:
            await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        part = self._parts.popleft() if self._parts else b""
        self._bytes -= len(part)
        if self._bytes <= MOST_BYTES:
            self.flow.resume_reading()
        if self._parts:
            self.message_event.set()
        return {"type": "http.request", "body": part, "more_body": self.more_body or bool(self._parts)}
