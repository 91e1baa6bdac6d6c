"""One thread's part in a session, for `turns`."""

from __future__ import annotations

import threading
from collections.abc import Callable

RUNNING = 0
WAITING = 1
READY = 2
ENDED = 3


class Abandoned(BaseException):
    """Ends a thread whose task nobody wants any more: its actor was killed, or the session is over."""


class Seat:
    """One thread's part in it.

    Args:
        name: for people, and the thread's name.
        begin: what the thread runs, for threads that do not exist yet.
        bound: whether it runs in its turn alone. Strays by nature are not.
        is_user: whether somebody outside of the engine waits in it: the driver or a thread of the user's.
    """

    __slots__ = (
        "begin",
        "bound",
        "callbacks",
        "gate",
        "has_loop",
        "interruption",
        "is_abandoned",
        "is_user",
        "name",
        "polls",
        "state",
        "thread",
        "timed",
        "waits_for",
    )

    def __init__(
        self, name: str, begin: Callable[[], None] | None = None, *, bound: bool = True, is_user: bool = False
    ) -> None:
        self.name = name
        self.begin = begin
        self.bound = bound
        self.is_user = is_user
        self.state = RUNNING if begin is None else READY
        self.gate = threading.Lock()
        self.gate.acquire()
        self.thread: threading.Thread | None = None if begin is not None else threading.current_thread()
        self.interruption: BaseException | None = None
        """Raised where the thread waits, or waits next."""
        self.is_abandoned = False
        """Nobody wants what its code still does."""
        self.timed = False
        """Its wait ends by itself: by time, or from outside."""
        self.waits_for: Callable[[], str] | None = None
        self.has_loop = False
        """Its thread runs an event loop that takes part: the one of an async actor."""
        self.callbacks = 0
        """How many callbacks of an event loop of the user's are due in it; until they came it strays."""
        self.polls = False
        """It has just asked about itself, and done nothing since."""

    def __repr__(self) -> str:
        return f"<Seat {self.name} {('running', 'waiting', 'ready', 'ended')[self.state]}>"


class SeatThread(threading.Thread):
    """A thread that the engine has started."""


def raise_in_thread(thread: threading.Thread | None, error: type[BaseException]) -> None:
    """Raises an error in another thread as soon as it runs Python code."""
    if thread is None or thread.ident is None:
        return
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))
