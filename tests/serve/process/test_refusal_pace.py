"""Requests are turned away in the order of their arrival, a few in each turn."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from shoal.serve._internal.process.refusal_pace import AT_ONCE, EVERY_S, RefusalPace


class Clock:
    """Stands for the loop: what is called later is called when the test says so."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Any]] = []

    def call_later(self, delay: float, callback: Any) -> str:
        self.due.append((delay, callback))
        return "timer"

    def tick(self) -> None:
        [(delay, callback)] = self.due
        assert delay == EVERY_S
        self.due.clear()
        callback()


def test_a_few_at_a_time_in_the_order_of_their_arrival(monkeypatch: Any) -> None:
    clock, ended, pace = Clock(), list[int](), RefusalPace()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    for number in range(AT_ONCE + 2):
        pace.refuse(partial(ended.append, number))
    assert ended == []
    clock.tick()
    assert ended == list(range(AT_ONCE))
    pace.refuse(partial(ended.append, 99))
    clock.tick()
    assert ended == [*range(AT_ONCE + 2), 99]
    assert clock.due == []
    pace.refuse(partial(ended.append, 100))
    clock.tick()
    assert ended[-1] == 100
