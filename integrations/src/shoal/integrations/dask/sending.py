"""Sending without delay: Dask's streams collect messages for some milliseconds, which somebody who waits for an answer has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.batched import BatchedSend


def send_now(stream: BatchedSend | None) -> None:
    """Has a stream send what it has collected at the next turn of its event loop, from which this is called."""
    if stream is not None and stream.buffer:
        stream.next_deadline = None
        stream.waker.set()
