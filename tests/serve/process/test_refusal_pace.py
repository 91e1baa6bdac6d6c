"""Requests are turned away in the order of their arrival, a few in each turn."""

from __future__ import annotations

import asyncio
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


class Asked:
    """Stands for a call."""

    def __init__(self, number: int, ended: list[int]) -> None:
        self.number = number
        self.ended = ended

    def done(self, value: Any, error: BaseException | None) -> None:
        assert error is not None
        self.ended.append(self.number)


def test_a_few_at_a_time_in_the_order_of_their_arrival(monkeypatch: Any) -> None:
    clock, ended, pace = Clock(), list[int](), RefusalPace()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    for number in range(AT_ONCE + 2):
        pace.refuse(Asked(number, ended), ValueError("full"))  # type: ignore[arg-type]
    assert ended == []
    clock.tick()
    assert ended == list(range(AT_ONCE))
    pace.refuse(Asked(99, ended), ValueError("full"))  # type: ignore[arg-type]
    clock.tick()
    assert ended == [*range(AT_ONCE + 2), 99]
    assert clock.due == []
    pace.refuse(Asked(100, ended), ValueError("full"))  # type: ignore[arg-type]
    clock.tick()
    assert ended[-1] == 100
