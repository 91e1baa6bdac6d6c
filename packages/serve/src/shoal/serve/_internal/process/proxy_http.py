"""HTTP/1.1 as the proxy speaks it: requests that are there at once are answered by callbacks, all others by uvicorn's way through ASGI."""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
)

from shoal.serve._internal.process.body_cycle import BodyCycle
from shoal.serve._internal.process.limited_http import LimitedHttp
from shoal.serve._internal.process.line_frames import LARGE

Scope = dict[str, Any]
Message = dict[str, Any]
FORWARDED = frozenset((b"x-forwarded-for", b"x-forwarded-proto"))
"""Headers that uvicorn's middleware works on."""
NOT_FOR_ALL = frozenset((b"connection", b"transfer-encoding"))
"""Headers of answers that say how they are to be sent."""


class Answering(Protocol):
    """A request that is being answered by callbacks."""

    def client_gone(self) -> None:
        """Nobody waits for the answer any more."""


class WholeRequests(Protocol):
    """Who answers requests that are there at once."""

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        """Begins to; returns False for a request that has to go through ASGI."""


class _NoEvent:
    """Stands where uvicorn tells a cycle what has come."""

    def set(self) -> None:
        """Nobody waits for it."""


class Exchange:
    """One request and its answer; what uvicorn's protocol looks at in a cycle, and what an answer is written with.

    Args:
        protocol: the connection.
        scope: of ASGI.
        keep_alive: whether the connection stays open after the answer.
    """

    __slots__ = ("_protocol", "answering", "disconnected", "keep_alive", "response_complete", "scope")
    message_event = _NoEvent()

    def __init__(self, protocol: ProxyHttp, scope: Scope, keep_alive: bool) -> None:
        self._protocol = protocol
        self.scope = scope
        self.keep_alive = keep_alive
        self.response_complete = False
        self.disconnected = False
        self.answering: Answering | None = None

    def write_whole(self, start: Message, body: bytes, more: bytes) -> bool:
        """Writes an answer. Returns False, and writes nothing, where that takes more than a look at its length.

        Args:
            start: the head.
            body: all of it.
            more: lines of further headers, each with its end.
        """
        protocol = self._protocol
        status = STATUS_LINE.get(start["status"])
        if status is None or protocol.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        content = [status, protocol.default_head(), more]
        lengths = []
        for name, value in start.get("headers", ()):
            if type(name) is not bytes or type(value) is not bytes:
                return False
            if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
                return False
            name = name.lower()
            if name == b"content-length":
                lengths.append(value)
            elif name in NOT_FOR_ALL:
                return False
            content += (name, b": ", value, b"\r\n")
        if lengths != [b"%d" % len(body)]:
            return False
        content.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        if len(body) < LARGE:
            content.append(body)
            protocol.transport.write(b"".join(content))
        else:
            # The loop sends both together, and does not copy them.
            protocol.transport.write(b"".join(content))
            protocol.transport.write(body)
        self._end()
        return True

    def _end(self) -> None:
        protocol = self._protocol
        self.response_complete = True
        protocol.exchange = None
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()

    def go_on(self, app: Any) -> None:
        """The rest of the exchange is an ASGI application's: `receive` tells it when the client is gone."""
        self._protocol.go_on(self, app)


class ProxyHttp(LimitedHttp):
    """One connection.

    Args:
        whole: answers requests that are there at once.
    """

    def __init__(self, whole: WholeRequests, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._whole = whole
        self._parts: list[bytes] | None = None
        """Of the body of a request that may be there at once; None for one that goes through ASGI."""
        self._keep_alive = False
        self.exchange: Exchange | None = None
        """What is being answered by callbacks."""
        self._defaults: list[tuple[bytes, bytes]] | None = None
        self._default_head = b""

    def default_head(self) -> bytes:
        """Returns the lines of the headers that all answers have."""
        defaults = self.server_state.default_headers
        if defaults is not self._defaults:
            self._defaults = defaults
            self._default_head = b"".join(b"%b: %b\r\n" % pair for pair in defaults)
        return self._default_head

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        exchange, self.exchange = self.exchange, None
        super().connection_lost(exc)
        if exchange is not None and exchange.answering is not None:
            exchange.disconnected = True
            exchange.answering.client_gone()

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        super().data_received(data)
        if self._parts is not None:
            # The rest of the body is yet to come.
            self._through_asgi(complete=False)

    def on_headers_complete(self) -> None:
        """Of httptools."""
        busy = self.cycle is not None and not self.cycle.response_complete
        parser = self.parser
        if busy or parser.should_upgrade() or self.expect_100_continue or parser.get_http_version() != "1.1":
            super().on_headers_complete()
            return
        self.head_ends()
        self._keep_alive = parser.should_keep_alive()
        self._parts = []

    def on_body(self, body: bytes) -> None:
        """Of httptools."""
        cycle: Any = self.cycle
        if self._parts is not None:
            self._parts.append(body)
        elif type(cycle) is not BodyCycle:
            super().on_body(body)
        elif not cycle.response_complete:
            cycle.add(body)

    def on_message_complete(self) -> None:
        """Of httptools."""
        if self._parts is None:
            super().on_message_complete()
        elif not self._begin(self._parts):
            self._through_asgi(complete=True)

    def _complete_scope(self) -> Scope:
        url = httptools.parse_url(self.url)
        raw_path = url.path
        path = raw_path.decode("ascii")
        if "%" in path:
            path = urllib.parse.unquote(path)
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = self.root_path + path
        scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        scope["query_string"] = url.query or b""
        return self.scope  # type: ignore[return-value]

    def _begin(self, parts: list[bytes]) -> bool:
        scope = self._complete_scope()
        exchange = Exchange(self, scope, self._keep_alive)
        before = self.cycle
        cycle: Any = exchange
        self.cycle, self.exchange = cycle, exchange
        self._parts = None
        if self._whole.begin(exchange, b"".join(parts)):
            return True
        self._parts = parts
        self.cycle, self.exchange = before, None
        return False

    def _through_asgi(self, complete: bool) -> None:
        parts, self._parts = self._parts, None
        assert parts is not None
        if self.transport.is_closing():
            return
        cycle = self.cycle = self._new_cycle(self._complete_scope(), self._keep_alive)
        self._start_asgi_task(cycle, self.app)
        for part in parts:
            cycle.add(part)
        if complete:
            super().on_message_complete()

    def _new_cycle(self, scope: Scope, keep_alive: bool) -> BodyCycle:
        return BodyCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )

    def go_on(self, exchange: Exchange, app: Any) -> None:
        """An ASGI application answers from now on."""
        self.exchange = None
        cycle = self._new_cycle(exchange.scope, exchange.keep_alive)
        cycle.more_body = False
        newest: Any = self.cycle
        if newest is exchange:
            self.cycle = cycle
        self._start_asgi_task(cycle, app)
