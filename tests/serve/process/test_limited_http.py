"""A connection that nobody uses keeps no server from ending, also under TLS, where clients may leave its end unanswered."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import pytest
import uvicorn

from shoal.serve._internal.process.limited_http import LimitedHttp
from shoal.serve._internal.process.listening import Server, listener_at, new_loop

REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


class SilentClient:
    """A client of TLS that asks once, and then neither reads nor says anything."""

    def __init__(self, trusting: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trusting.wrap_bio(self._incoming, self._outgoing, server_hostname="127.0.0.1")

    async def ask(self, port: int) -> bytes:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._exchange()
        self._tls.write(REQUEST)
        answered = b""
        while not answered.endswith(b"hi"):
            try:
                answered += self._tls.read()
            except ssl.SSLWantReadError:
                await self._exchange()
        return answered

    async def _exchange(self) -> None:
        self._writer.write(self._outgoing.read())
        self._incoming.write(await self._reader.read(65536))

    def close(self) -> None:
        self._writer.transport.abort()


def test_a_server_ends_while_a_client_is_silent(tls_files: tuple[str, str], caplog: pytest.LogCaptureFixture) -> None:
    key, certificate = tls_files

    async def serve_one() -> None:
        config = uvicorn.Config(
            answer,
            http=LimitedHttp,
            loop="none",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=10,
            ssl_keyfile=key,
            ssl_certfile=certificate,
        )
        server, listener = Server(config), listener_at("127.0.0.1", 0)
        client = SilentClient(ssl.create_default_context(cafile=certificate))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        assert (await client.ask(listener.getsockname()[1])).endswith(b"hi")
        server.should_exit = True
        await serving
        client.close()

    loop = new_loop()
    with caplog.at_level(logging.ERROR):
        loop.run_until_complete(serve_one())
    loop.close()
    assert "graceful shutdown exceeded" not in caplog.text
