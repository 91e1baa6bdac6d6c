"""Ctrl-C while a search runs: the first time it stops and saves, the second time it stops now."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupted(BaseException):
    """The user pressed Ctrl-C while the search waited."""


class Interrupts:
    """Notes SIGINT, and wakes up who waits. In the main thread only; elsewhere nothing is changed.

    TUNE_DISABLE_SIGINT_HANDLER=1 leaves SIGINT as it is.
    """

    def __init__(self) -> None:
        self.count = 0
        self._is_waiting = False
        self._before: Any = None
        self._is_installed = False

    def __enter__(self) -> Interrupts:
        disabled = os.environ.get("TUNE_DISABLE_SIGINT_HANDLER", "0") == "1"
        if not disabled and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
            self._is_installed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_installed:
            signal.signal(signal.SIGINT, self._before)

    def waiting(self) -> _Waiting:
        """While in it, SIGINT raises Interrupted."""
        return _Waiting(self)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        if self._is_waiting:
            self._is_waiting = False
            raise Interrupted


class _Waiting:
    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        self._interrupts._is_waiting = True
        if self._interrupts.count == 1:
            pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._interrupts._is_waiting = False
