"""An answer that is sent in parts: what code has sent is gathered until it is asked for, and code waits where too much has been."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from shoal.serve._internal.schema.requests import HttpRequest, Streaming

MOST_ITEMS = 256
"""That are gathered before the code has to wait."""
MOST_BYTES = 1 << 20
"""Of bodies, texts and messages that are gathered, in each direction: how slow the other side may be costs no more memory."""


class ReplyStream:
    """One answer, and the task that makes it. Most are over in one step: what only others need is made when they do.

    Args:
        body: takes this stream, sends to it, and returns at the end.
        request: of HTTP, whose body `receive` gives; None for calls by handle.
        over: is called when the task has ended, with its error or None.
    """

    __slots__ = (
        "_arrived",
        "_begun",
        "_bytes",
        "_error",
        "_finished",
        "_incoming",
        "_incoming_bytes",
        "_is_complete",
        "_is_full",
        "_is_http",
        "_is_ready",
        "_items",
        "_over",
        "_room",
        "_taken",
        "_tell",
        "task",
    )

    def __init__(
        self,
        body: Callable[[ReplyStream], Any],
        request: HttpRequest | None,
        over: Callable[[BaseException | None], None],
    ) -> None:
        self._items: list[Any] = []
        self._bytes = 0
        self._error: BaseException | None = None
        self._begun = False
        self._finished = False
        self._is_http = request is not None
        self._is_complete = False
        """An answer of HTTP whose end was sent; its code may go on."""
        self._is_ready = False
        self._tell: Callable[[], None] | None = None
        self._is_full = False
        self._room: asyncio.Event | None = None
        self._incoming: deque[Any] = deque()
        self._arrived: asyncio.Event | None = None
        self._incoming_bytes = 0
        self._taken: asyncio.Event | None = None
        if request is not None:
            self._incoming.append(request.first)
            self._incoming_bytes = size_of(request.first)
        self._over = over
        self.task = asyncio.get_running_loop().create_task(self._run(body))

    async def _run(self, body: Callable[[ReplyStream], Any]) -> None:
        self._begun = True
        try:
            await body(self)
        except BaseException as error:
            self._error = error
        finally:
            self._end()

    def _end(self) -> None:
        self._finished = True
        self._become_ready()
        if self._taken is not None:
            self._taken.set()
        self._over(self._error)

    def cancel(self) -> None:
        """Ends it: the code sees asyncio.CancelledError at its next `await`."""
        self.task.cancel()
        if not self._begun and not self._finished:
            # A task that is cancelled before its first step runs nothing, not even what is to be run at its end.
            self._error = asyncio.CancelledError()
            self._end()

    async def send(self, item: Any) -> None:
        """Adds an item; waits where too many have not been fetched."""
        if self._is_full:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()
        self._items.append(item)
        self._bytes += size_of(item)
        if len(self._items) >= MOST_ITEMS or self._bytes >= MOST_BYTES:
            self._is_full = True
        if self._is_http:
            kind = item["type"]
            if kind == "http.response.start":
                # The head of an answer travels with what follows it.
                return
            self._is_complete = kind == "http.response.body" and not item.get("more_body")
        self._become_ready()

    @property
    def bytes(self) -> int:
        """That are gathered."""
        return self._bytes

    @property
    def has_failed(self) -> bool:
        """Whether to take a part raises."""
        return self._finished and not self._is_complete and self._error is not None and not self._items

    def _become_ready(self) -> None:
        self._is_ready = True
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell()

    def when_ready(self, tell: Callable[[], None]) -> None:
        """Calls a function when there is a part to take, which may be now. One at a time waits for that."""
        if self._is_ready:
            tell()
        else:
            self._tell = tell

    async def next_part(self) -> Streaming:
        """Returns what there is, at least one item or the end. Raises what the code raised, once its items are fetched."""
        await self.until_ready()
        return self.take()

    async def until_ready(self) -> None:
        """Returns when there is a part to take."""
        if not self._is_ready:
            ready = asyncio.Event()
            self.when_ready(ready.set)
            await ready.wait()

    def take(self) -> Streaming:
        """Returns the part of one that is ready."""
        failed = self.has_failed
        items, self._items = self._items, []
        self._bytes = 0
        self._is_full = False
        if self._room is not None:
            self._room.set()
            self._room = None
        self._is_ready = self._finished
        if failed:
            assert self._error is not None
            raise self._error
        return Streaming(items, self._is_complete or (self._finished and self._error is None))

    async def receive(self) -> Any:
        """Returns the next ASGI message from outside."""
        while not self._incoming:
            if self._arrived is None:
                self._arrived = asyncio.Event()
            self._arrived.clear()
            await self._arrived.wait()
        message = self._incoming.popleft()
        self._incoming_bytes -= size_of(message)
        if self._taken is not None:
            self._taken.set()
        return message

    async def push(self, messages: list[Any]) -> None:
        """Takes messages from outside; returns when there is room for more."""
        self._incoming.extend(messages)
        self._incoming_bytes += sum(map(size_of, messages))
        if self._arrived is not None:
            self._arrived.set()
        while self._incoming_bytes >= MOST_BYTES and not self._finished:
            if self._taken is None:
                self._taken = asyncio.Event()
            self._taken.clear()
            await self._taken.wait()


def size_of(item: Any) -> int:
    """Bytes of an item, as far as they are worth counting."""
    if isinstance(item, dict):
        # An ASGI message, of HTTP or of a WebSocket.
        content = item.get("body") or item.get("bytes") or item.get("text")
        return len(content) if content else 0
    if isinstance(item, bytes | str | bytearray | memoryview):
        return len(item)
    size = getattr(item, "ByteSize", None)
    return size() if size is not None else 0
