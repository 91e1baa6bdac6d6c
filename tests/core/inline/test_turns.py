"""Whose turn it is: turns passed, taken over, ended."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from shoal._core.process.inline.seat import READY, RUNNING, WAITING, Abandoned, Seat
from shoal._core.process.inline.turns import Turns


class Table:
    """Turns with a driver (the test) and threads that write down what they do."""

    def __init__(self, seed: int = 0) -> None:
        self.turns = Turns(seed, lambda: RuntimeError("stuck"))
        self.driver = self.turns.driver
        self.happened: list[str] = []
        self.threads: list[threading.Thread] = []

    def add(self, name: str, body: Callable[[Seat], None] = lambda seat: None) -> Seat:
        """Adds a thread that runs `body` in its turn."""

        def begin() -> None:
            self.threads.append(threading.current_thread())
            self.happened.append(name)
            try:
                body(seat)
            except Abandoned:
                self.happened.append(f"{name} abandoned")
            finally:
                self.turns.ended(seat)

        seat = Seat(name, begin)
        with self.turns:
            self.turns.add(seat)
        return seat

    def wait(self, timeout: float | None = None) -> bool:
        """The driver waits."""
        with self.turns:
            self.turns.begin_wait(self.driver, lambda: "a wake", timed=timeout is not None)
        return self.turns.wait(self.driver, timeout)

    def wake_driver(self, seat: Seat) -> None:
        with self.turns:
            self.turns.wake(self.driver)


@pytest.fixture
def table():
    table = Table()
    yield table
    for thread in table.threads:
        thread.join(10)
        assert not thread.is_alive()


def wait_for_ever(table: Table) -> Callable[[Seat], None]:
    def body(seat: Seat) -> None:
        with table.turns:
            table.turns.begin_wait(seat, lambda: "nothing", timed=False)
        table.turns.wait(seat, None)

    return body


def test_nobody_runs_while_the_driver_has_the_turn(table) -> None:
    seat = table.add("one", table.wake_driver)
    assert seat.state == READY
    assert table.happened == []
    assert table.wait()
    assert table.happened == ["one"]
    assert table.turns.has_turn(table.driver)


def test_all_run_while_the_driver_waits(table) -> None:
    for name in "abc":
        table.add(name)
    table.add("last", lambda seat: None)
    with pytest.raises(RuntimeError, match="stuck"):
        table.wait()
    assert sorted(table.happened) == ["a", "b", "c", "last"]


def test_seed_chooses_the_order() -> None:
    orders = set()
    for seed in range(8):
        table = Table(seed)
        for name in "abcd":
            table.add(name)
        with pytest.raises(RuntimeError, match="stuck"):
            table.wait()
        orders.add("".join(table.happened))
    assert len(orders) > 1


def test_turn_lets_others_run_once(table) -> None:
    table.add("one")
    table.turns.turn(table.driver)
    assert table.happened == ["one"]
    table.turns.turn(table.driver)


def test_turn_of_a_stray_does_nothing(table) -> None:
    stray = Seat("stray", bound=False, is_user=True)
    table.add("one")
    table.turns.turn(stray)
    assert table.happened == []
    with table.turns:
        table.turns.withdraw(next(seat for seat in table.turns.seats if seat.name == "one"))


def test_time_limit_of_the_driver_takes_the_turn_away(table) -> None:
    may_end = threading.Event()
    seat = table.add("computing", lambda seat: may_end.wait(10) and None)
    assert not table.wait(timeout=0.05)
    assert table.turns.has_turn(table.driver)
    assert seat.state == RUNNING
    may_end.set()
    with pytest.raises(RuntimeError, match="stuck"):
        table.wait()


def test_time_limit_of_others_waits_for_the_turn(table) -> None:
    def body(seat: Seat) -> None:
        with table.turns:
            table.turns.begin_wait(seat, lambda: "time", timed=True)
        table.happened.append(f"in time: {table.turns.wait(seat, 0.01)}")
        table.wake_driver(seat)

    table.add("one", body)
    assert table.wait()
    assert table.happened == ["one", "in time: False"]


def test_interruption_is_raised_where_a_thread_waits(table) -> None:
    def body(seat: Seat) -> None:
        try:
            wait_for_ever(table)(seat)
        except KeyError:
            table.happened.append("interrupted")
            table.wake_driver(seat)

    seat = table.add("one", body)
    table.add("two", lambda _: interrupt_when_waiting(table, seat))
    assert table.wait()
    assert table.happened[-1] == "interrupted"


def interrupt_when_waiting(table: Table, seat: Seat) -> None:
    while seat.state != WAITING:
        table.turns.turn(next(other for other in table.turns.seats if other.name == "two"))
    with table.turns:
        table.turns.interrupt(seat, KeyError())


def test_withdrawn_threads_never_start(table) -> None:
    seat = table.add("one")
    with table.turns:
        assert table.turns.withdraw(seat)
    table.turns.turn(table.driver)
    assert table.happened == []


def test_callbacks_come_before_the_next_turn(table) -> None:
    table.add("one")
    with table.turns:
        table.turns.call_soon(lambda: table.happened.append("callback"))
        table.turns.let_stray(table.driver)
    while "one" not in table.happened:
        pass
    assert table.happened == ["callback", "one"]


def test_failing_callback_harms_nobody(table, caplog) -> None:
    def fail() -> None:
        raise ValueError("in the callback")

    with table.turns:
        table.turns.call_soon(fail)
        table.turns.call_soon(lambda: table.happened.append("called"))
    assert table.happened == ["called"]
    assert "in the callback" in caplog.text


def test_close_ends_all_threads(table) -> None:
    table.add("one", wait_for_ever(table))
    table.add("two", wait_for_ever(table))
    assert not table.wait(timeout=0.1)
    threads = table.turns.close(RuntimeError("over"))
    for thread in threads:
        thread.join(10)
    assert sorted(table.happened) == ["one", "one abandoned", "two", "two abandoned"]


def test_nobody_waits_after_the_end(table) -> None:
    def body(seat: Seat) -> None:
        for _ in range(2):
            try:
                wait_for_ever(table)(seat)
            except Abandoned:
                table.happened.append("raised")
        raise Abandoned

    table.add("one", body)
    assert not table.wait(timeout=0.05)
    for thread in table.turns.close(RuntimeError("over")):
        thread.join(10)
    assert table.happened == ["one", "raised", "raised", "one abandoned"]
