"""What a client sends gathers while some of it travels."""

from __future__ import annotations

import asyncio
from typing import Any

from shoal.serve._internal.process.reply_stream import MOST_BYTES
from shoal.serve._internal.process.uplink import Uplink


class FakeRouter:
    """Keeps what was pushed; each push travels until it is told to arrive."""

    def __init__(self) -> None:
        self.pushed: list[list[Any]] = []
        self.travelling: list[asyncio.Future[None]] = []

    def push(self, call: Any, messages: list[Any]) -> asyncio.Future[None]:
        self.pushed.append(messages)
        self.travelling.append(asyncio.get_running_loop().create_future())
        return self.travelling[-1]

    async def arrive(self, error: Exception | None = None) -> None:
        future = self.travelling.pop(0)
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
        await asyncio.sleep(0)


def body(size: int) -> dict[str, Any]:
    return {"type": "http.request", "body": bytes(size), "more_body": True}


def test_messages_gather_while_others_travel() -> None:
    async def run() -> list[int]:
        router: Any = FakeRouter()
        uplink = Uplink(router, None)  # type: ignore[arg-type]
        for _ in range(4):
            await uplink.send(body(1))
        await router.arrive()
        await uplink.send(body(1))
        await router.arrive()
        return [len(messages) for messages in router.pushed]

    assert asyncio.run(run()) == [1, 3, 1]


def test_who_sends_waits_where_too_much_has_gathered() -> None:
    async def run() -> None:
        router: Any = FakeRouter()
        uplink = Uplink(router, None)  # type: ignore[arg-type]
        await uplink.send(body(1))
        waiting = asyncio.create_task(uplink.send(body(MOST_BYTES)))
        await asyncio.sleep(0)
        assert not waiting.done()
        await router.arrive(ConnectionError("the replica is gone"))
        await waiting
        assert [len(messages) for messages in router.pushed] == [1, 1]

    asyncio.run(run())
