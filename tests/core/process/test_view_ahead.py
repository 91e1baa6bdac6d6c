"""A view that was asked for early: whoever is first, its pin is given back once."""

from __future__ import annotations

import threading

from shoal._core.process.view_ahead import ViewAhead
from shoal._core.schema.messages import Located, Missing

PLACE = Located(1, 2, 3, 4)


class Pins:
    def __init__(self) -> None:
        self.unpinned = 0
        self.opened: list[Located] = []

    def ask(self) -> ViewAhead:
        return ViewAhead(self._open, self._unpin)

    def _open(self, place: Located) -> memoryview:
        self.opened.append(place)
        return memoryview(b"value")

    def _unpin(self) -> None:
        self.unpinned += 1


def test_the_view_is_opened_where_the_node_says() -> None:
    pins = Pins()
    ahead = pins.ask()
    ahead.answered(PLACE)
    assert ahead.open() == b"value"
    assert pins.opened == [PLACE]
    ahead.let_go()
    assert pins.unpinned == 0, "the pin is the view's"


def test_it_is_opened_when_the_answer_is_there() -> None:
    pins = Pins()
    ahead = pins.ask()
    views: list[memoryview | None] = []
    reader = threading.Thread(target=lambda: views.append(ahead.open()))
    reader.start()
    assert views == []
    ahead.answered(PLACE)
    reader.join()
    assert views == [b"value"]


def test_what_cannot_be_had_now_is_none() -> None:
    pins = Pins()
    for answer in (Missing(1, "it is not at hand"), RuntimeError("the daemon has died"), None):
        ahead = pins.ask()
        ahead.answered(answer)
        assert ahead.open() is None
        ahead.let_go()
    assert (pins.opened, pins.unpinned) == ([], 0)


def test_a_pin_that_is_let_go_is_given_back_once() -> None:
    pins = Pins()
    ahead = pins.ask()
    ahead.answered(PLACE)
    ahead.let_go()
    ahead.let_go()
    assert ahead.open() is None
    assert (pins.opened, pins.unpinned) == ([], 1)


def test_a_pin_that_comes_after_it_was_let_go_is_given_back_once() -> None:
    pins = Pins()
    ahead = pins.ask()
    ahead.let_go()
    assert pins.unpinned == 0, "there is none yet"
    ahead.answered(PLACE)
    assert pins.unpinned == 1
    assert ahead.open() is None


def test_a_pin_is_given_back_once_whichever_thread_is_first() -> None:
    for _ in range(300):
        pins = Pins()
        ahead = pins.ask()
        start = threading.Barrier(2)

        def let_go(ahead: ViewAhead = ahead, start: threading.Barrier = start) -> None:
            start.wait()
            ahead.let_go()

        other = threading.Thread(target=let_go)
        other.start()
        start.wait()
        ahead.answered(PLACE)
        view = ahead.open()
        other.join()
        assert (pins.unpinned, len(pins.opened)) == ((1, 0) if view is None else (0, 1))
