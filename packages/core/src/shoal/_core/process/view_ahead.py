"""A view of a stored object that was asked for before it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shoal._core.schema.messages import Located


class ViewAhead:
    """Asked for once: the node answers at once with the object's place, which it has pinned, or that it cannot be had now.

    Args:
        open_at: makes the view of a place; the pin is the view's from then on.
        unpin: gives the pin back.
    """

    __slots__ = ("_answered", "_open_at", "_places", "_unpin", "_unwanted")

    def __init__(self, open_at: Callable[[Located], memoryview], unpin: Callable[[], None]) -> None:
        self._open_at = open_at
        self._unpin = unpin
        self._places: list[Located] = []
        """One, where there is a pin that nobody has taken: whoever takes it out sees to it."""
        self._unwanted = False
        self._answered = threading.Lock()
        self._answered.acquire()

    def answered(self, message: object) -> None:
        """Takes the node's answer, or what came instead of one. On the loop's thread, once."""
        if isinstance(message, Located):
            self._places.append(message)
            if self._unwanted:
                self._give_back()
        self._answered.release()

    def open(self) -> memoryview | None:
        """Returns the view, as soon as the answer is there; None where it cannot be had, or was let go. Once, for one thread."""
        self._answered.acquire()
        try:
            place = self._places.pop()
        except IndexError:
            return None
        return self._open_at(place)

    def let_go(self) -> None:
        """It is not needed any more. From any thread."""
        # In this order: whichever thread looks second sees what the first has written.
        self._unwanted = True
        self._give_back()

    def _give_back(self) -> None:
        try:
            self._places.pop()
        except IndexError:
            return
        self._unpin()
