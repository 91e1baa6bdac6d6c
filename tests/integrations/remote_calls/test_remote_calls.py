"""Calls in slots, where no worker is needed to see what becomes of them."""

from __future__ import annotations

import concurrent.futures
import queue
from types import SimpleNamespace
from typing import Any

import pytest

from shoal.exceptions import LocalDaemonDiedError, SessionEndedError
from shoal.util.remote_calls.remote_calls import RemoteCalls


class OneSlot:
    """Keeps the futures of frames, which tests end."""

    count = 1
    takes_several = False

    def __init__(self) -> None:
        self.frames: list[concurrent.futures.Future[Any]] = []

    def run(self, function: bytes, way: str, arguments: bytes, shared: tuple[Any, ...]) -> tuple[Any, int]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.frames.append(future)
        return SimpleNamespace(future=lambda: future), 0

    def done(self, slot: int, calls: int) -> None: ...

    def interrupt(self, refs: list[Any]) -> None: ...

    def stop(self, refs: list[Any]) -> None: ...


@pytest.mark.parametrize("error", [SessionEndedError(), LocalDaemonDiedError("it died")], ids=["session", "daemon"])
def test_where_the_session_ends_no_call_waits_for_another_one(error: Exception) -> None:
    slots, heard = OneSlot(), queue.SimpleQueue[Any]()
    calls = RemoteCalls(slots, "calls")
    calls.submit(abs, [((number,), {}, lambda *outcome: heard.put(outcome)) for number in range(3)])
    slots.frames[0].set_exception(error)
    assert [heard.get(timeout=20) for _ in range(3)] == [(False, error)] * 3
    assert len(slots.frames) == 1
    calls.finish()


def test_calls_are_finished_where_their_thread_is() -> None:
    slots = OneSlot()
    calls = RemoteCalls(slots, "calls")
    calls.finish()
    calls.finish()
    with pytest.raises(RuntimeError, match="closed"):
        calls.submit(abs, [((1,), {}, lambda *outcome: None)])
