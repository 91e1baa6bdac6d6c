"""A replica's end of the lines to it: requests become tasks of its loop at once."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Protocol

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
    VALUE,
    new_address,
    pickled,
    pickled_in_parts,
    unpickled,
)
from shoal.serve._internal.process.own_sockets import OWN_SOCKETS
from shoal.serve._internal.process.reply_stream import ReplyStream
from shoal.serve._internal.schema.requests import Busy, HttpRequest, RequestMeta, Streaming

WAITING_LINES = 128
"""That have not been accepted yet."""
MOST_NAMES = 5
"""That are tried where others have them."""


class Served(Protocol):
    """A replica, as its lines see it."""

    def begin_http(self, meta: RequestMeta, request: HttpRequest) -> ReplyStream | Busy: ...

    async def call(self, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def stream_of(self, call_id: str) -> ReplyStream | None: ...

    def take_part(self, call_id: str, stream: ReplyStream) -> Streaming: ...

    async def push(self, call_id: str, messages: list[Any]) -> None: ...

    def end_call(self, call_id: str) -> None: ...

    def keep(self, call_id: str, value: Any, error: BaseException | None, keeper: object) -> None: ...

    def recovered(self, call_id: str, value: Any, error: BaseException | None) -> None: ...

    def forget_all(self, keeper: object) -> None: ...


class LineServer:
    """Accepts lines.

    Args:
        served: the replica.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.lines: set[ServedLine] = set()
        self.is_ending = False
        self._server: asyncio.AbstractServer | None = None
        self._descriptor = -1
        self._over = asyncio.Event()

    async def start(self, name: Callable[[], str] = new_address) -> str:
        """Listens. Returns the address. Raises OSError.

        Args:
            name: makes a name for the socket.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            address = _bind(sock, name)
            self._server = await asyncio.get_running_loop().create_unix_server(
                lambda: ServedLine(self), sock=sock, backlog=WAITING_LINES
            )
        except BaseException:
            sock.close()
            raise
        self._descriptor = sock.fileno()
        OWN_SOCKETS.add(self._descriptor)
        return address

    def say_goodbye(self) -> None:
        """No more calls should come this way."""
        self.is_ending = True
        for line in self.lines:
            line.say_goodbye()

    async def heard_goodbye(self) -> None:
        """Returns when all who were told goodbye have heard it: none of their calls is still on its way."""
        while unheard := [line for line in self.lines if not line.has_answered_goodbye.is_set()]:
            await unheard[0].has_answered_goodbye.wait()

    async def close(self) -> None:
        """Returns when all that was answered is written, and the lines are closed."""
        if self._server is not None:
            OWN_SOCKETS.discard(self._descriptor)
            self._server.close()
        for line in list(self.lines):
            line.close()
        while self.lines:
            self._over.clear()
            await self._over.wait()

    def gone(self, line: ServedLine) -> None:
        """A line is closed."""
        self.lines.discard(line)
        self._over.set()


def _bind(sock: socket.socket, name: Callable[[], str]) -> str:
    for _ in range(MOST_NAMES - 1):
        address = name()
        try:
            sock.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return address
    address = name()
    sock.bind(address)
    return address


class ServedLine(LineEnd):
    """One of them."""

    def __init__(self, server: LineServer) -> None:
        super().__init__()
        self._server = server
        self._served = server.served
        self._tasks: set[asyncio.Task[None]] = set()
        self._unanswered = 0
        self._streams: set[str] = set()
        self._said_goodbye = False
        self.has_answered_goodbye = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        """Of asyncio, or uvloop."""
        super().connection_made(transport)
        if self._writer is None:
            return
        self._server.lines.add(self)
        if self._server.is_ending:
            self.say_goodbye()

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio. Nobody waits for what HTTP still has to answer."""
        super().connection_lost(exc)
        self.has_answered_goodbye.set()
        streams, self._streams = self._streams, set()
        for call_id in streams:
            self._served.end_call(call_id)
        self._served.forget_all(self)
        self._server.gone(self)

    def say_goodbye(self) -> None:
        """No more calls should come."""
        if self._writer is not None and not self._said_goodbye:
            self._said_goodbye = True
            self._writer.write(0, ENDING)

    def close(self) -> None:
        """Closes when all is written."""
        if self._writer is not None:
            self._writer.close()

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        for number, kind, content in self._reader.feed(data):
            if kind == GOODBYE:
                self.has_answered_goodbye.set()
                continue
            if kind != CANCEL:
                self._unanswered += 1
            value = unpickled(content)
            if kind == HTTP:
                self._http(number, RequestMeta._make(value[0]), HttpRequest._make(value[1]))
            elif kind == NEXT:
                self._next(number, value)
            elif kind == CANCEL:
                self._streams.discard(value)
                # Behind the first step of a call that has just come.
                asyncio.get_running_loop().call_soon(self._served.end_call, value)
            elif kind == CALL:
                self._spawn(self._call(number, RequestMeta._make(value[0]), value[1], value[2]))
            elif kind == PUSH:
                self._spawn(self._push(number, *value))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answer(self, number: int, kind: int, content: bytes | list[bytes] = b"") -> None:
        self._unanswered -= 1
        if self._writer is not None:
            self._writer.write(number, kind, content, at_once=self._unanswered == 0)

    def _http(self, number: int, meta: RequestMeta, request: HttpRequest) -> None:
        begun = self._served.begin_http(meta, request)
        if isinstance(begun, Busy):
            self._answer(number, BUSY, pickled(begun.ending))
            return
        call_id = meta.call_id
        self._streams.add(call_id)
        if request.is_whole:
            begun.when_ready(lambda: self._part(number, call_id, begun))
        else:
            self._answer(number, PART, pickled(([], False)))

    def _next(self, number: int, call_id: str) -> None:
        stream = self._served.stream_of(call_id)
        if stream is None:
            self._answer(number, PART, pickled(([], True)))
        else:
            stream.when_ready(lambda: self._part(number, call_id, stream))

    def _part(self, number: int, call_id: str, stream: ReplyStream) -> None:
        if stream.has_failed or stream.bytes > MOST_BYTES:
            # Its last part may be fetched without a word to this line: what is over is looked for here.
            self._streams = {one for one in self._streams if self._served.stream_of(one) is not None}
            self._answer(number, FETCH)
            return
        to_bytes = pickled_in_parts if stream.bytes >= LARGE else pickled
        part = self._served.take_part(call_id, stream)
        if part.finished:
            self._streams.discard(call_id)
        try:
            content = to_bytes(tuple(part))
        except Exception as error:
            self._served.end_call(call_id)
            self._let_fetch(number, call_id, None, error)
            return
        self._answer(number, PART, content)

    async def _call(self, number: int, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        value, error = None, None
        try:
            value = await self._served.call(meta, args, kwargs)
        except BaseException as raised:
            error = raised
        if isinstance(value, Busy):
            self._answer(number, BUSY, pickled(value.ending))
            return
        if self._writer is None:
            self._served.recovered(meta.call_id, value, error)
            return
        content = pickled(value) if error is None and is_plain(value) else b""
        if content and len(content) <= MOST_BYTES:
            self._answer(number, VALUE, content)
        else:
            self._let_fetch(number, meta.call_id, value, error)

    def _let_fetch(self, number: int, call_id: str, value: Any, error: BaseException | None) -> None:
        """What does not travel here is kept until it is fetched."""
        if self._writer is not None:
            self._served.keep(call_id, value, error, self)
        self._answer(number, FETCH)

    async def _push(self, number: int, call_id: str, messages: list[Any]) -> None:
        await self._served.push(call_id, messages)
        self._answer(number, VALUE, pickled(None))
