"""One thread's loop: ready sockets, timers and calls from other threads. Nothing here polls: it sleeps until one of them comes."""

from __future__ import annotations

import heapq
import itertools
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT


class Timer:
    """A call that is due at `when` (time.monotonic seconds). Cancel by `cancel()`."""

    __slots__ = ("callback", "cancelled", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class EventLoop:
    """Runs callbacks on one thread.

    `watch`, `rewatch`, `unwatch` and `call_at` belong to the loop's thread; `call_soon` may be called from any thread.
    """

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake_fd, READ)
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_order = itertools.count()
        self._on_error = on_error
        self._awake = False
        self._stopped = False
        self._thread_id = 0

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Calls `callback(ready_events)` whenever `fd` is ready for one of `events`."""
        self._callbacks[fd] = callback
        self._epoll.register(fd, events)

    def rewatch(self, fd: int, events: int) -> None:
        """Changes the events of a watched `fd`; does nothing where it is not watched (yet)."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Runs `callback` on the loop's thread as soon as it is free. Safe from any thread."""
        self._calls.append(callback)
        if not self._awake:
            self._awake = True
            os.eventfd_write(self._wake_fd, 1)

    def call_within(self, seconds: float, callback: Callable[[], None]) -> None:
        """Runs `callback` on the loop's thread within so many seconds: together with a timer, if one is due by then. Safe from any thread.

        For what is not urgent: waking the loop holds up the thread that calls."""
        # In this order: a loop that does not wake up for that timer looks for calls before it sleeps again.
        self._calls.append(callback)
        if not self._awake and not self._has_timer_before(time.monotonic() + seconds):
            self._awake = True
            os.eventfd_write(self._wake_fd, 1)

    def _has_timer_before(self, when: float) -> bool:
        try:
            due, _, timer = self._timers[0]
        except IndexError:
            return False
        return due <= when and not timer.cancelled

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Runs `callback` at `when` (time.monotonic seconds)."""
        timer = Timer(when, callback)
        heapq.heappush(self._timers, (when, next(self._timer_order), timer))
        return timer

    def add_timer(self, timer: Timer, delay: float) -> None:
        """Starts a timer made elsewhere: it is due after `delay` seconds."""
        timer.when = time.monotonic() + delay
        heapq.heappush(self._timers, (timer.when, next(self._timer_order), timer))

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Runs `callback` after `delay` seconds."""
        return self.call_at(time.monotonic() + delay, callback)

    @property
    def in_loop_thread(self) -> bool:
        return threading.get_ident() == self._thread_id

    def stop(self) -> None:
        """Ends `run` after the current round. Safe from any thread."""

        def mark() -> None:
            self._stopped = True

        self.call_soon(mark)

    def close(self) -> None:
        """Releases the loop's descriptors; `run` must have ended."""
        self._epoll.close()
        os.close(self._wake_fd)

    def run(self) -> None:
        """Serves until `stop()`."""
        self._thread_id = threading.get_ident()
        while not self._stopped:
            self._run_once()

    def _run_once(self) -> None:
        timeout = self._next_timeout()
        try:
            ready = self._epoll.poll(timeout)
        except InterruptedError:
            return
        # The flag goes down before the calls are taken: a call that comes later writes to the eventfd again.
        for fd, events in ready:
            if fd == self._wake_fd:
                os.eventfd_read(self._wake_fd)
                self._awake = False
                continue
            callback = self._callbacks.get(fd)
            if callback is not None:
                self._guarded(callback, events)
        calls = self._calls
        for _ in range(len(calls)):
            self._guarded(calls.popleft())
        if self._timers:
            self._run_timers()

    def _next_timeout(self) -> float:
        if self._calls:
            return 0
        timers = self._timers
        while timers and timers[0][2].cancelled:
            heapq.heappop(timers)
        if not timers:
            return -1
        return max(0.0, timers[0][0] - time.monotonic())

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if not timer.cancelled:
                self._guarded(timer.callback)

    def _guarded(self, callback: Callable[..., None], *args: int) -> None:
        try:
            callback(*args)
        except Exception as error:
            self._on_error(error)


def report_to_stderr(error: BaseException) -> None:
    """The loop's last resort for an error nobody expected: say it, go on."""
    import traceback

    sys.stderr.write("shoal: internal error: " + "".join(traceback.format_exception(error)))
