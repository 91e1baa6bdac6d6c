"""Turns: of all threads that take part, one at a time runs the user's code, and passes the turn on where it waits or ends.

    RUNNING   in the user's code, with the turn or as a stray (below)
    WAITING   until somebody wakes it
    READY     to run, when its turn comes
    ENDED

Who of those that are ready is next, a random generator with a seed says: the same program with the same seed runs in the same order.

Some threads run without having the turn; they are *strays*. The user's own threads always are. A thread with the turn becomes one where
the others must not wait for it: when the driver's time-out ends or Ctrl-C is pressed while a task computes, when the driver leaves for its
event loop, when it waits for a thread of its own that waits for a task. A stray takes part again when it next waits.

All state of the engine belongs to `with turns:`. Leaving that block passes the turn on if nobody has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from types import TracebackType

from shoal._core.process.inline.seat import (
    ENDED,
    READY,
    RUNNING,
    WAITING,
    Abandoned,
    Seat,
    SeatThread,
    raise_in_thread,
)

STEP_ASIDE_SECONDS = 0.1
"""A thread of the user's waits so long before it takes the turn from a task: the task may be waiting for that thread."""


class Turns:
    """Whose turn it is.

    Args:
        seed: chooses the order.
        on_stuck: called inside the block when nobody can ever run again and the user waits. Returns the error that the user's
            threads raise, or None to let them wait.
    """

    def __init__(self, seed: int, on_stuck: Callable[[], BaseException | None]) -> None:
        self._lock = threading.RLock()
        self._on_stuck = on_stuck
        self.random = Random(seed)
        self.driver = Seat("driver", is_user=True)
        self._holder: Seat | None = self.driver
        self._ready: list[Seat] = []
        self.seats: dict[Seat, None] = {self.driver: None}
        self._due: list[Callable[[], None]] = []
        self._settling = 0
        self.closed = False
        self.on_leave: Callable[[], None] = _nothing
        """Called before the block is left, inside of it."""
        self._strangers = frozenset(threading.enumerate())

    # --- the block ------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> None:
        # Whoever is inside already was torn out of the block by an interruption, and comes back to it.
        if not self._is_mine():
            self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.on_leave()
            while self._due:
                self._run_due()
                self.on_leave()
            if self._holder is None and not self.closed:
                self._pass_on()
        finally:
            if self._is_mine():
                self._lock.release()

    def _is_mine(self) -> bool:
        """Whether the calling thread is inside of the block."""
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]

    def try_enter(self) -> bool:
        """Enters the block if nobody is inside, also where this very thread is. Leave it with `leave_quietly`."""
        return not self._is_mine() and self._lock.acquire(blocking=False)

    def leave_quietly(self) -> None:
        """Leaves the block; the turn is passed on by whoever leaves it next."""
        self._lock.release()

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Has something called when the block has been left, before the turn is passed on."""
        self._due.append(callback)

    def _run_due(self) -> None:
        due, self._due = self._due, []
        self._settling += 1
        self._lock.release()
        try:
            for callback in due:
                try:
                    callback()
                except Exception:
                    # It is the user's (a future's), and none of the business of the thread that came by.
                    import logging

                    logging.getLogger("shoal").exception("A callback that waited for an object failed.")
        finally:
            self._lock.acquire()
            self._settling -= 1

    # --- inside the block -----------------------------------------------------------------------------------------------------

    def add(self, seat: Seat) -> None:
        """A new thread takes part; it is started in its turn."""
        self.seats[seat] = None
        self._ready.append(seat)

    def withdraw(self, seat: Seat) -> bool:
        """Takes back a thread that was not started yet. Returns False where it was."""
        if seat.thread is not None:
            return False
        seat.state = ENDED
        self._ready.remove(seat)
        del self.seats[seat]
        return True

    def begin_wait(self, seat: Seat, waits_for: Callable[[], str] | None, *, timed: bool) -> None:
        """The calling thread is about to `wait`, and gives its turn away.

        Args:
            seat: the calling thread's.
            waits_for: says for people what it waits for; None for a thread that is idle.
            timed: whether the wait ends by itself.
        """
        seat.state = WAITING
        seat.waits_for = waits_for
        seat.timed = timed
        self.seats[seat] = None
        if self._holder is seat:
            self._holder = None
        if self.closed and seat.interruption is None:
            seat.interruption = Abandoned()
        if seat.interruption is not None:
            self.wake(seat)

    def wake(self, seat: Seat) -> None:
        """What a thread waits for has come."""
        if seat.state != WAITING:
            return
        if seat.bound and not self.closed:
            seat.state = READY
            self._ready.append(seat)
        else:
            self._grant(seat)

    def interrupt(self, seat: Seat, error: BaseException) -> None:
        """Raises an error in a thread: where it waits, or wherever its code is; in the caller where it waits next."""
        if seat.thread is threading.current_thread():
            seat.interruption = error
        elif seat.state == RUNNING:
            raise_in_thread(seat.thread, type(error))
        elif seat.state != ENDED:
            seat.interruption = error
            self.wake(seat)

    def abandon(self, seat: Seat) -> None:
        """Ends a thread: its code is interrupted, unless it is the caller, and can do nothing more in the session."""
        seat.is_abandoned = True
        if seat.thread is not threading.current_thread():
            self.interrupt(seat, Abandoned())

    def let_stray(self, seat: Seat) -> None:
        """The thread goes on without the turn, which others may have."""
        if self._holder is seat:
            self._holder = None

    def has_turn(self, seat: Seat) -> bool:
        return self._holder is seat

    # --- outside the block ------------------------------------------------------------------------------------------------------

    def wait(self, seat: Seat, timeout: float | None) -> bool:
        """Waits for the wake and the turn, after `begin_wait`. Returns False where `timeout` seconds passed first.

        Raises the interruption, KeyboardInterrupt.
        """
        try:
            if seat.is_user and seat is not self.driver:
                in_time = self._wait_as_guest(seat, timeout)
            else:
                in_time = seat.gate.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))
            if not in_time:
                in_time = self._time_out(seat)
        except BaseException:
            self.stop_waiting(seat)
            raise
        if seat.is_user and seat is not self.driver:
            with self:
                self.seats.pop(seat, None)
        if seat.interruption is not None:
            error, seat.interruption = seat.interruption, None
            try:
                raise error
            finally:
                del error  # or it would hold this frame, and with it the user's, until the collector runs
        return in_time

    def stop_waiting(self, seat: Seat) -> None:
        """The wait was interrupted from outside: the thread goes on at once. Nothing happens where it does not wait."""
        with self:
            if seat.state == RUNNING:
                seat.gate.acquire(blocking=False)
            else:
                self._take_turn(seat)

    def turn(self, seat: Seat) -> None:
        """Lets the others run, if there are any that can. For those who ask again and again whether something has happened."""
        try:
            with self:
                if self._holder is not seat or not self._ready or self.closed:
                    return
                following = self._take_next()
                seat.state = READY
                self._ready.append(seat)
                self._holder = None
                self._grant(following)
        except BaseException:
            self.stop_waiting(seat)
            raise
        self.wait(seat, None)

    def ended(self, seat: Seat) -> None:
        """The thread's last word."""
        with self:
            seat.state = ENDED
            self.seats.pop(seat, None)
            if self._holder is seat:
                self._holder = None

    def close(self, users_error: BaseException) -> list[threading.Thread]:
        """Ends all threads that the engine has started: each raises `Abandoned`. Returns them.

        Args:
            users_error: what the driver and threads of the user's raise that wait.
        """
        me = threading.current_thread()
        with self:
            self.closed = True
            started = [seat for seat in self.seats if seat.thread is not None and seat.thread is not me]
            for seat in started:
                if seat.state != RUNNING:
                    seat.interruption = users_error if seat.is_user else Abandoned()
                    self._grant(seat)
                elif not seat.is_user:
                    raise_in_thread(seat.thread, Abandoned)
            self._ready.clear()
        return [seat.thread for seat in started if seat.thread is not None and not seat.is_user]

    # --- passing on ---------------------------------------------------------------------------------------------------------------

    def _take_next(self) -> Seat:
        return self._ready.pop(self.random.randrange(len(self._ready)))

    def _grant(self, seat: Seat) -> None:
        if seat.begin is not None:
            self._start(seat)
        else:
            seat.gate.release()
        seat.state = RUNNING
        seat.waits_for = None
        if seat.bound:
            self._holder = seat

    def _start(self, seat: Seat) -> None:
        thread = SeatThread(target=seat.begin, name=seat.name, daemon=True)
        try:
            thread.start()
        except BaseException:
            # Ctrl-C in the main thread, most likely. The thread may have begun all the same: then it is in one of these.
            if thread.ident is None and thread not in threading._limbo:  # type: ignore[attr-defined]
                self._ready.append(seat)
                raise
        seat.thread = thread
        seat.begin = None

    def _pass_on(self) -> None:
        if self._ready:
            self._grant(self._take_next())
        elif not self._settling and self._is_stuck():
            error = self._on_stuck()
            if error is not None:
                for seat in self.seats:
                    if seat.is_user:
                        seat.interruption = error
                        self.wake(seat)
                if self._ready:
                    self._grant(self._take_next())

    def _is_stuck(self) -> bool:
        """Whether the user waits, and nobody is left who could end that."""
        users_wait = False
        for seat in self.seats:
            if seat.state == RUNNING or seat.timed:
                return False
            users_wait = users_wait or seat.is_user
        return users_wait and not self._others_may_act()

    def _others_may_act(self) -> bool:
        """Whether there are threads, begun since the session was, that could still call the engine."""
        known = self._strangers.union(seat.thread for seat in self.seats)
        return any(thread not in known and not isinstance(thread, SeatThread) for thread in threading.enumerate())

    # --- ends of waits --------------------------------------------------------------------------------------------------------------

    def _time_out(self, seat: Seat) -> bool:
        """The time is up. Returns whether the wake had come, although the turn had not."""
        with self:
            if seat.state == RUNNING:
                seat.gate.acquire()
                return True
            woken = seat.state == READY
            if seat is self.driver or not seat.bound:
                self._take_turn(seat)
                return woken
            if seat.state == WAITING:
                seat.state = READY
                self._ready.append(seat)
        seat.gate.acquire()
        return woken

    def _take_turn(self, seat: Seat) -> None:
        """The thread runs now. Whoever had the turn strays."""
        if seat.state == READY:
            self._ready.remove(seat)
        seat.state = RUNNING
        seat.waits_for = None
        if seat.bound:
            self._holder = seat

    def _wait_as_guest(self, seat: Seat, timeout: float | None) -> bool:
        with self:
            holder = self._holder
            if holder is self.driver:
                self._holder = None
        if holder is not None and holder is not self.driver:
            patience = STEP_ASIDE_SECONDS if timeout is None else min(timeout, STEP_ASIDE_SECONDS)
            if seat.gate.acquire(timeout=patience):
                return True
            timeout = None if timeout is None else timeout - patience
            with self:
                if self._holder is holder:
                    self._holder = None
        return seat.gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout))


def _nothing() -> None:
    return
