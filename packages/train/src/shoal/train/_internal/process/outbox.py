"""What a rank has reported and not sent yet: a report is sent when its files are stored, and none overtakes another.

A report without files is sent at once, unless an earlier one is still waiting for its files.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_STORING = 2
"""Checkpoints that are being stored, or wait for it; the next one waits until one of them is. Else disks fill with what waits."""


@dataclass(frozen=True)
class _Waiting(Generic[T]):
    make: Callable[[], T]
    drop: Callable[[], object] | None
    """What is done where it is never made; None for what stores nothing."""


class Outbox(Generic[T]):
    """Of one rank.

    Args:
        send: takes reports away, in order; called from any thread.
    """

    def __init__(self, send: Callable[[T], None]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting[T]] = deque()
        """The first of them is being made."""
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raises what an earlier report failed with."""
        if self._error is not None:
            raise self._error

    def now(self, report: T) -> None:
        """Sends it, after those that were made before."""
        with self._changed:
            if not self._waiting:
                self._send(report)
            else:
                self._waiting.append(_Waiting(lambda: report, None))

    def later(self, store: Callable[[], T], drop: Callable[[], object]) -> None:
        """Sends what `store` returns, when it has: a thread calls it. Waits while too many others do.

        Args:
            store: makes the report.
            drop: is called instead, where an earlier report failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: sum(one.drop is not None for one in self._waiting) < MOST_STORING)
            if self._error is not None:
                drop()
                raise self._error
            self._waiting.append(_Waiting(store, drop))
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="checkpoint-upload", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Returns when all are sent. Raises what one of them failed with."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting)
        self.check()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                make = self._waiting[0].make
            try:
                report = make()
            except BaseException as error:
                self._fail(error)
                continue
            with self._changed:
                self._send(report)
                self._waiting.popleft()
                self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        """What was reported after it cannot be counted without it."""
        with self._changed:
            self._error = error
            self._waiting.popleft()
            for one in self._waiting:
                if one.drop is not None:
                    one.drop()
            self._waiting.clear()
            self._changed.notify_all()
