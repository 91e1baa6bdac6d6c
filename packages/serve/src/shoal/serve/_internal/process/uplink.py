"""What a client sends after the head of its request, on its way to the replica: while some travels, more gathers for the next time."""

from __future__ import annotations

import asyncio
from typing import Any

from shoal.serve._internal.process.reply_stream import MOST_BYTES, size_of
from shoal.serve._internal.process.router import AnyRouter, Call


class Uplink:
    """Of one request.

    Args:
        router: has sent the request.
        call: the request.
    """

    def __init__(self, router: AnyRouter, call: Call) -> None:
        self._router = router
        self._call = call
        self._gathered: list[Any] = []
        self._bytes = 0
        self._travelling = False
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def send(self, message: Any) -> None:
        """Sends an ASGI message after those before; waits where too much has gathered."""
        self._gathered.append(message)
        self._bytes += size_of(message)
        if not self._travelling:
            self._send_all()
        elif self._bytes >= MOST_BYTES:
            self._has_room.clear()
            await self._has_room.wait()

    def _send_all(self) -> None:
        messages, self._gathered = self._gathered, []
        self._bytes = 0
        self._travelling = True
        self._router.push(self._call, messages).add_done_callback(self._arrived)

    def _arrived(self, done: asyncio.Future[None]) -> None:
        # Where the replica is gone, the request has that error, too: nobody needs it twice.
        done.exception()
        self._travelling = False
        self._has_room.set()
        if self._gathered:
            self._send_all()
