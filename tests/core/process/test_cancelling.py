"""Who cancels a call cancels what it has called: not what it calls then, to clean up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from shoal._core.process.concurrent_executors import AsyncExecutor
from shoal._core.process.execution import Runner


class Calls:
    """Stands for the calls that calls of the process make."""

    def __init__(self) -> None:
        self.running = ["before"]
        self.cancelled: list[str] = []

    def children_of(self, task_id: bytes) -> list[Any]:
        return list(self.running)

    def cancel_children(self, children: Sequence[Any]) -> None:
        self.cancelled.extend(children)


@pytest.mark.parametrize(("recursive", "cancelled"), [(True, ["before"]), (False, [])])
def test_what_a_call_calls_when_it_is_cancelled_is_spared(recursive: bool, cancelled: list[str]) -> None:
    nothing: Any = None
    node: Any = SimpleNamespace(open_ahead=None)
    calls = Calls()
    runner = Runner(nothing, node, nothing, calls)
    with runner.cancelling(b"task", recursive):
        assert calls.cancelled == []
        calls.running.append("clean-up")
    assert calls.cancelled == cancelled


def test_who_blocks_the_loop_of_an_async_actor_with_its_calls_has_them_cancelled_at_once() -> None:
    nothing: Any = None
    node: Any = SimpleNamespace(open_ahead=None)
    calls = Calls()
    executor = AsyncExecutor(Runner(nothing, node, nothing, calls), nothing, nothing, {"": 1})
    try:
        executor.cancel(b"task", True)  # the loop does not run
        assert calls.cancelled == ["before"]
    finally:
        executor.loop.close()
        asyncio.set_event_loop(None)
