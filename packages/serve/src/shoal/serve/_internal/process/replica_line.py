"""A connection from a router to a replica on the same machine: calls go from loop to loop, without a thread in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shoal.serve._internal.logic.plain_values import is_plain
from shoal.serve._internal.process.line_end import LineEnd
from shoal.serve._internal.process.line_frames import (
    BUSY,
    CALL,
    CANCEL,
    ENDING,
    FETCH,
    GOODBYE,
    HTTP,
    LARGE,
    MOST_BYTES,
    NEXT,
    PART,
    PUSH,
    pickled,
    pickled_in_parts,
    unpickled,
)
from shoal.serve._internal.process.reply_stream import size_of
from shoal.serve._internal.schema.requests import Busy, HttpRequest, RequestMeta, Streaming

Answered = Callable[[Any, BaseException | None], None]


class LineLost(Exception):
    """The replica is not there any more, or the connection is not.

    Args:
        was_sent: whether the replica may have what was to be sent.
    """

    def __init__(self, was_sent: bool = True) -> None:
        super().__init__("the connection was lost")
        self.was_sent = was_sent


class Fetch(Exception):
    """The answer is there, and has to be fetched by a call of the replica's actor."""


def request_frame(
    method: str, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[int, bytes | list[bytes]] | None:
    """Returns a call as it travels on a line; None for one that does not: that is large, or whose arguments the core has to see.

    Args:
        method: of the replica's actor.
        meta: of the call.
        args: of the method.
        kwargs: of the method.
    """
    if method == "http":
        request: HttpRequest = args[0]
        size = len(request.first.get("body", b""))
        if size > MOST_BYTES:
            return None
        content = (tuple(meta), tuple(request))
        return HTTP, pickled_in_parts(content) if size >= LARGE else pickled(content)
    if method == "call" and not meta.stream and is_plain(args) and is_plain(kwargs):
        data = pickled((tuple(meta), args, kwargs))
        return (CALL, data) if len(data) <= MOST_BYTES else None
    return None


class ReplicaLine(LineEnd):
    """The router's end.

    Args:
        lost: is told of its end, unless the replica has said that it ends.
    """

    def __init__(self, lost: Callable[[ReplicaLine], None]) -> None:
        super().__init__()
        self.is_open = False
        """New calls may go this way."""
        self.is_lost = False
        self.has_worked = False
        """The replica has sent something."""
        self._lost = lost
        self._is_ending = False
        self._number = 0
        self._waiting: dict[int, Answered] = {}

    def connection_made(self, transport: Any) -> None:
        """Of asyncio, or uvloop."""
        super().connection_made(transport)
        self.is_open = self._writer is not None

    def send(self, kind: int, data: bytes | list[bytes], answered: Answered) -> None:
        """Sends a call; `answered` is called with its value, or LineLost, or Fetch."""
        if self._writer is None:
            answered(None, LineLost(was_sent=False))
            return
        self._number = number = self._number % 0xFFFFFFFF + 1
        waiting = self._waiting
        waiting[number] = answered
        self._writer.write(number, kind, data, at_once=len(waiting) == 1)

    def cancel(self, call_id: str) -> None:
        """Ends a call; what becomes of it is told to who sent it."""
        if self._writer is not None:
            self._writer.write(0, CANCEL, pickled(call_id))

    def ask_next(self, call_id: str) -> asyncio.Future[Any]:
        """Returns what a stream has next, once it has something."""
        return self._asked(NEXT, pickled(call_id))

    def push(self, call_id: str, messages: list[Any]) -> asyncio.Future[Any]:
        """Gives messages to a request; ends when there is room for more."""
        content = (call_id, messages)
        is_large = sum(map(size_of, messages)) >= LARGE
        return self._asked(PUSH, pickled_in_parts(content) if is_large else pickled(content))

    def _asked(self, kind: int, content: bytes | list[bytes]) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answered(value: Any, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)

        self.send(kind, content, answered)
        return answer

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self.has_worked = True
        for number, kind, content in self._reader.feed(data):
            if kind == ENDING:
                self.is_open = False
                self._is_ending = True
                assert self._writer is not None
                self._writer.write(0, GOODBYE)
                continue
            answered = self._waiting.pop(number)
            if kind == FETCH:
                answered(None, Fetch())
                continue
            try:
                value: Any = unpickled(content)
                error = None
            except Exception as failed:
                value, error = None, failed
            if error is None and kind == PART:
                value = Streaming._make(value)
            elif error is None and kind == BUSY:
                value = Busy(value)
            answered(value, error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        super().connection_lost(exc)
        self.is_open = False
        self.is_lost = True
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered(None, LineLost())
        if not self._is_ending:
            self._lost(self)
