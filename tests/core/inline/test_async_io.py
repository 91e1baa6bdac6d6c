"""Async actors that use sockets, timers and subprocesses: their loop waits outside of the turns."""

from __future__ import annotations

import asyncio

import pytest

import shoal

pytestmark = pytest.mark.usefixtures("session")


@shoal.remote
class EchoServer:
    async def start(self):
        self.server = await asyncio.start_server(self.echo, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def echo(self, reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async def stop(self):
        self.server.close()
        await self.server.wait_closed()


@shoal.remote
class EchoClient:
    async def ask(self, port, text):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text.encode() + b"\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer.decode().strip()


def test_actors_talk_over_sockets() -> None:
    server, client = EchoServer.remote(), EchoClient.remote()
    port = shoal.get(server.start.remote())
    texts = [f"line {i}" for i in range(5)]
    assert shoal.get([client.ask.remote(port, text) for text in texts]) == texts
    shoal.get(server.stop.remote())


def test_server_serves_while_tasks_run() -> None:
    @shoal.remote
    def ask(client, port, text):
        return shoal.get(client.ask.remote(port, text))

    server, client = EchoServer.remote(), EchoClient.remote()
    port = shoal.get(server.start.remote())
    assert shoal.get([ask.remote(client, port, str(i)) for i in range(4)]) == ["0", "1", "2", "3"]
    shoal.get(server.stop.remote())


def test_program_in_a_subprocess() -> None:
    @shoal.remote
    class Runner:
        async def run(self):
            process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
            output, _ = await process.communicate()
            return output.decode().strip()

    assert shoal.get(Runner.remote().run.remote()) == "hello"
