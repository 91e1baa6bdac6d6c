"""HTTP/1.1 as uvicorn speaks it, with a limit for what comes before a body."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 64 * 1024
"""Of the request line and the headers together."""
TOO_LARGE = b"the head of the request is larger than 64 KiB"
ANSWER = b"\r\n".join(
    (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(TOO_LARGE),
        b"connection: close",
        b"",
        TOO_LARGE,
    )
)


GOODBYE_S = 0.5
"""How long a client may take to answer that a connection under TLS ends. Most never do, while they use it for nothing."""


class LimitedHttp(HttpToolsProtocol):
    """One connection. A head without end would otherwise be kept in memory without end."""

    _head_bytes = 0
    _head_is_open = True

    def on_message_begin(self) -> None:
        self._head_is_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self.head_ends()
        super().on_headers_complete()

    def head_ends(self) -> None:
        """What follows is no head."""
        self._head_is_open = False
        self._head_bytes = 0

    def shutdown(self) -> None:
        super().shutdown()
        if self.scheme == "https" and self.transport.is_closing():
            self.loop.call_later(GOODBYE_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_is_open and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.transport.write(ANSWER)
                self.transport.close()
