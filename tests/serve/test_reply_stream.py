"""Answers in parts: how one that is cancelled ends."""

from __future__ import annotations

import asyncio

import pytest

from shoal.serve._internal.process.reply_stream import ReplyStream


async def wait_for_ever(stream: ReplyStream) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("steps", [0, 1])
def test_a_cancelled_one_ends_whether_it_has_begun_or_not(steps: int) -> None:
    ends: list[BaseException | None] = []

    async def main() -> None:
        stream = ReplyStream(wait_for_ever, None, ends.append)
        for _ in range(steps):
            await asyncio.sleep(0)
        stream.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await stream.next_part()

    asyncio.run(main())
    assert [type(end) for end in ends] == [asyncio.CancelledError]
