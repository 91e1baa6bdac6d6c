"""Bodies of requests that come in parts: they arrive as they came, and no more is read than is taken."""

from __future__ import annotations

import asyncio
from typing import Any

from shoal.serve._internal.process.body_cycle import MOST_BYTES, BodyCycle


class FakeFlow:
    """Whether the connection is read."""

    reads = True

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


def cycle_of(flow: FakeFlow) -> BodyCycle:
    given: dict[str, Any] = dict.fromkeys(("transport", "logger", "access_logger", "access_log", "default_headers"))
    return BodyCycle(
        scope={"type": "http"},
        flow=flow,
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
        **given,
    )


def message(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_parts_come_one_by_one_and_the_end_once() -> None:
    async def main() -> None:
        cycle = cycle_of(FakeFlow())
        parts = [b"one", b"two", b"three"]
        for part in parts:
            cycle.add(part)
        assert await cycle.receive() == message(b"one", True)
        cycle.more_body = False
        cycle.message_event.set()
        assert await cycle.receive() == message(b"two", True)
        last = await cycle.receive()
        assert last == message(b"three", False)
        assert last["body"] is parts[2]
        waits = asyncio.ensure_future(cycle.receive())
        await asyncio.sleep(0)
        assert not waits.done()
        cycle.disconnected = True
        cycle.message_event.set()
        assert await waits == {"type": "http.disconnect"}

    asyncio.run(asyncio.wait_for(main(), 30))


def test_the_end_may_come_after_the_last_part() -> None:
    async def main() -> None:
        cycle = cycle_of(FakeFlow())
        cycle.add(b"all")
        assert await cycle.receive() == message(b"all", True)
        waits = asyncio.ensure_future(cycle.receive())
        await asyncio.sleep(0)
        cycle.more_body = False
        cycle.message_event.set()
        assert await waits == message(b"", False)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_no_more_is_read_than_is_taken() -> None:
    async def main() -> None:
        flow = FakeFlow()
        cycle = cycle_of(flow)
        cycle.add(bytes(MOST_BYTES))
        assert flow.reads
        cycle.add(b"more")
        assert not flow.reads
        await cycle.receive()
        assert flow.reads

    asyncio.run(asyncio.wait_for(main(), 30))
