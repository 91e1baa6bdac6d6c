"""Calls in workers, and who hears of their outcomes."""

from __future__ import annotations

import concurrent.futures
import pickle
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import shoal
from shoal import cloudpickle
from shoal.engines import current
from shoal.util.remote_calls.frame import Outcome, Raised
from shoal.util.remote_calls.pace import LARGEST_FRAME, Pace
from shoal.util.remote_calls.portable_function import PortableFunctions
from shoal.util.remote_calls.slots import Slots

_MOST_PACES = 256
_SESSION_IS_GONE = (shoal.exceptions.SessionEndedError, shoal.exceptions.LocalDaemonDiedError)

Listener: TypeAlias = Callable[[bool, Any], None]
"""Called with whether the call returned, and its value or exception."""


class Call:
    """One call of a function.

    Args:
        function: pickled.
        way: how it is called: a key of WAYS.
        args, kwargs: of the function.
        shared: references of objects that are passed after the args.
        listener: hears of the outcome, on the thread of outcomes.
    """

    __slots__ = ("args", "function", "kwargs", "listener", "shared", "started", "way")

    def __init__(
        self,
        function: bytes,
        way: str,
        args: Any,
        kwargs: dict[str, Any],
        shared: tuple[Any, ...],
        listener: Listener,
    ) -> None:
        self.function = function
        self.way = way
        self.args = args
        self.kwargs = kwargs
        self.shared = shared
        self.listener = listener
        self.started = False


class _Frame:
    __slots__ = ("calls", "ref", "slot")

    def __init__(self, calls: list[Call], ref: Any, slot: int) -> None:
        self.calls = calls
        self.ref = ref
        self.slot = slot


class RemoteCalls:
    """Calls functions in slots; what finds no free one waits in order.

    Listeners are called on one thread, in the order in which calls end. Close it, then join it, or terminate it.

    Args:
        slots: where calls run.
        name: of the thread.
    """

    def __init__(self, slots: Slots, name: str) -> None:
        self._slots = slots
        self._functions = PortableFunctions()
        self._paces: dict[bytes, Pace] = {}
        self._waiting: deque[Call] = deque()
        self._frames: dict[int, _Frame] = {}
        self._frames_started = 0
        self._closed = False
        self._end_reason: str | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._ended: queue.SimpleQueue[tuple[int, concurrent.futures.Future[Any] | None]] = queue.SimpleQueue()
        self._refused: deque[tuple[Call, BaseException]] = deque()
        self._thread = threading.Thread(target=self._listen, name=name, daemon=True)
        self._thread.start()

    # What callers do.

    def submit(
        self,
        function: Callable[..., Any],
        arguments: Iterable[tuple[Any, dict[str, Any], Listener]],
        way: str = "call",
        shared: tuple[Any, ...] = (),
    ) -> list[Call]:
        """Calls a function once for each entry (args, kwargs, listener).

        Raises:
            RuntimeError: it is closed.
            Exception: what pickling the function raises.
        """
        pickled = self._functions.pickled(function)
        calls = [Call(pickled, way, args, kwargs, shared, listener) for args, kwargs, listener in arguments]
        with self._lock:
            if self._closed:
                raise RuntimeError("it is closed, and takes no more calls")
            self._waiting.extend(calls)
            self._fill()
        return calls

    def withdraw(self, call: Call) -> bool:
        """Takes back a call that has not started; returns whether that was so. Its listener hears nothing."""
        with self._lock:
            if call.started:
                return False
            try:
                self._waiting.remove(call)
            except ValueError:
                return False
            self._changed.notify_all()
            return True

    def wait(self, event: threading.Event, timeout: float | None) -> bool:
        """Waits for something that a listener sets; returns whether it is set. In a task, its CPUs are free for others meanwhile."""
        if event.is_set():
            return True
        if current().context().is_driver:
            return event.wait(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while not event.is_set():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            with self._lock:
                running = {frame.ref: number for number, frame in self._frames.items()}
            if not running:
                return event.wait(left)
            ready, _ = shoal.wait(list(running), timeout=left)
            self._wait_until_told({running[ref] for ref in ready})
        return True

    def _wait_until_told(self, frames: set[int]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: frames.isdisjoint(self._frames))

    def wait_for_room(self) -> None:
        """Waits until slots will soon have taken all calls that wait. For callers that have many more to submit."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._waiting or len(self._waiting) < self._room())

    def close(self) -> None:
        """Takes no more calls; those taken are made."""
        with self._lock:
            self._closed = True
            self._end_thread_if_idle()

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all calls have ended and their listeners have returned; returns whether they have."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def finish(self) -> None:
        """Closes and joins; does nothing in a fork of the process that makes the calls."""
        if self._thread.is_alive():
            self.close()
            self.join()

    def terminate(self, reason: str, grace: float = 0.0) -> None:
        """Ends what runs, and what waits does not start: listeners hear of a RuntimeError.

        Args:
            reason: text of the error.
            grace: seconds that running calls have after a KeyboardInterrupt, before their processes are ended. A process that stays need
                not import again what calls have imported.
        """
        with self._lock:
            self._closed = True
            self._end_reason = reason
            self._refuse_waiting(RuntimeError(reason))
            refs = [frame.ref for frame in self._frames.values()]
            self._changed.notify_all()
            self._end_thread_if_idle()
        if grace:
            self._slots.interrupt(refs)
            if self.join(grace):
                return
        self._slots.stop(refs)

    def withdraw_all(self) -> list[Call]:
        """Takes back all calls that have not started, and returns them. Their listeners hear nothing."""
        with self._lock:
            calls = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            self._end_thread_if_idle()
            return calls

    # Frames go out.

    def _fill(self) -> None:
        while self._waiting and len(self._frames) < self._slots.count:
            calls = self._next_calls()
            arguments = self._pickled(calls)
            if not calls:
                continue
            try:
                ref, slot = self._slots.run(calls[0].function, calls[0].way, arguments, calls[0].shared)
            except Exception as error:
                self._refuse(calls, error)
                continue
            number = self._frames_started
            self._frames_started += 1
            self._frames[number] = _Frame(calls, ref, slot)
            ref.future().add_done_callback(lambda future, number=number: self._ended.put((number, future)))

    def _next_calls(self) -> list[Call]:
        first = self._waiting.popleft()
        calls = [first]
        size = 1
        if self._slots.takes_several and not first.shared:
            size = self._pace(first.function).frame_size(len(self._waiting) + 1, self._slots.count - len(self._frames))
        while len(calls) < size and self._waiting:
            following = self._waiting[0]
            if following.function is not first.function or following.way != first.way or following.shared:
                break
            calls.append(self._waiting.popleft())
        for call in calls:
            call.started = True
        return calls

    def _room(self) -> int:
        frame_size = (
            self._pace(self._waiting[0].function).frame_size(LARGEST_FRAME, 1) if self._slots.takes_several else 1
        )
        return 2 * self._slots.count * frame_size

    def _pace(self, function: bytes) -> Pace:
        if function not in self._paces and len(self._paces) >= _MOST_PACES:
            self._paces.clear()
        return self._paces.setdefault(function, Pace())

    def _pickled(self, calls: list[Call]) -> bytes:
        """Returns the calls' arguments as bytes. Those whose arguments cannot be pickled are taken out and hear of it."""
        try:
            return cloudpickle.dumps([(call.args, call.kwargs) for call in calls])
        except Exception:
            for call in list(calls):
                try:
                    cloudpickle.dumps((call.args, call.kwargs))
                except Exception as error:
                    calls.remove(call)
                    self._refuse([call], error)
        return cloudpickle.dumps([(call.args, call.kwargs) for call in calls])

    def _refuse(self, calls: list[Call], error: BaseException) -> None:
        for call in calls:
            call.started = True
            self._refused.append((call, error))
        if calls:
            self._ended.put((-1, None))

    # Outcomes come in.

    def _listen(self) -> None:
        while True:
            number, future = self._ended.get()
            self._tell_of_refusals()
            if future is not None:
                self._frame_ended(number, future)
                # Its value is not kept until the next one comes.
                del future
            with self._lock:
                if self._is_over():
                    return

    def _tell_of_refusals(self) -> None:
        with self._lock:
            refused = list(self._refused)
            self._refused.clear()
        for call, error in refused:
            _tell(call, False, error)

    def _frame_ended(self, number: int, future: concurrent.futures.Future[Any]) -> None:
        outcomes: list[Outcome] = []
        failure: BaseException | None = None
        seconds = None
        try:
            seconds, pickled = future.result()
            outcomes = pickle.loads(pickled)
        except BaseException as error:
            failure = error
        with self._lock:
            frame = self._frames.pop(number)
            if seconds is not None:
                self._pace(frame.calls[0].function).learn(len(outcomes), seconds)
                self._wait_again(frame, len(outcomes))
            if isinstance(failure, _SESSION_IS_GONE):
                # Otherwise they would begin another session, or die with the next one of the same.
                self._slots.done(frame.slot, 0)
                self._refuse_waiting(failure)
            elif not self._closed or self._waiting:
                self._slots.done(frame.slot, len(frame.calls))
                self._fill()
            self._changed.notify_all()
        for position, call in enumerate(frame.calls):
            if failure is not None:
                _tell(call, False, failure)
                continue
            returned, value = outcomes[position]
            _tell(call, returned, value.exception() if isinstance(value, Raised) and not returned else value)

    def _wait_again(self, frame: _Frame, made: int) -> None:
        """The calls of a frame behind those that were made have not begun."""
        for call in reversed(frame.calls[made:]):
            call.started = False
            self._waiting.appendleft(call)
        del frame.calls[made:]
        if self._end_reason is not None:
            self._refuse_waiting(RuntimeError(self._end_reason))

    def _refuse_waiting(self, error: BaseException) -> None:
        self._refuse(list(self._waiting), error)
        self._waiting.clear()

    def _is_over(self) -> bool:
        return self._closed and not self._frames and not self._waiting and not self._refused

    def _end_thread_if_idle(self) -> None:
        if self._is_over():
            self._ended.put((-1, None))


def _tell(call: Call, returned: bool, value: Any) -> None:
    try:
        call.listener(returned, value)
    except Exception:
        # A user's callback: others are still to be told.
        kind, error, trace = sys.exc_info()
        assert kind is not None
        threading.excepthook(threading.ExceptHookArgs((kind, error, trace, threading.current_thread())))
