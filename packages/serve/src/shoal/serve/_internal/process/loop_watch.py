"""Names the code that stops an event loop: while requests run, a thread sees whether the loop still turns."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import FrameType

LONGEST = 1.0
"""Seconds that code may hold the loop before it is named."""
BEAT = 0.25
"""Seconds between two looks."""
BESIDES = frozenset(
    ("asyncio", "concurrent", "fastapi", "runpy", "shoal", "starlette", "threading", "uvicorn", "uvloop")
)
"""Packages whose code is nobody's handler."""


class LoopWatch:
    """Watches the running loop. Its thread waits for an event while there is nothing to do.

    Args:
        busy: whether requests run.
        tell: takes the report: what holds the loop, and its stack.
    """

    def __init__(self, busy: Callable[[], bool], tell: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._busy = busy
        self._tell = tell
        self.armed = False
        self._wake = threading.Event()
        self._beaten = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def arm(self) -> None:
        """Requests run: the loop is watched until there are none. Look at `armed` first: it is cheaper."""
        self.armed = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shoal-serve-loop-watch", daemon=True)
            self._thread.start()
        self._wake.set()

    def end(self) -> None:
        """Ends the thread."""
        self._over.set()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            # Most requests are over before it looks, and cost the loop nothing.
            if self._over.wait(BEAT):
                return
            if self._busy():
                if not self._beat():
                    return
                continue
            # The loop's thread may arm at the same time: it sets `armed` before it sets the event, and this looks again after.
            self._wake.clear()
            self.armed = False
            if self._busy():
                self.armed = True
                self._wake.set()

    def _beat(self) -> bool:
        """Waits until the loop turns; reports once where that takes too long. Returns False where the loop is closed."""
        self._beaten.clear()
        try:
            self._loop.call_soon_threadsafe(self._beaten.set)
        except RuntimeError:
            return False
        asked = time.monotonic()
        if self._beaten.wait(LONGEST - BEAT):
            return True
        frame = sys._current_frames().get(self._loop_thread)
        if frame is not None and self._busy():
            self._tell(report(frame))
        del frame
        self._beaten.wait()
        if not self._over.is_set():
            self._tell(f"the event loop turns again, after {time.monotonic() - asked:.1f} s")
        return True


def report(frame: FrameType) -> str:
    """Returns what holds the loop, in words, and its stack from the first frame of the application's own on."""
    frames = [one for one, _ in traceback.walk_stack(frame)][::-1]
    # Below the loop is the program that runs it; above, and above the server's code, is the handler.
    loop = next((number for number, one in enumerate(frames) if not _is_application(one)), 0)
    own = next((number for number, one in enumerate(frames) if number > loop and _is_application(one)), len(frames) - 1)
    code = frames[own].f_code
    summary = traceback.StackSummary.extract((one, one.f_lineno) for one in frames[own:])
    stack = "".join(summary.format())
    return (
        f"{code.co_qualname} ({os.path.basename(code.co_filename)}:{frames[own].f_lineno}) holds the event loop for more than "
        f"{LONGEST:g} s: no other request of this replica goes on. Make it a plain `def` (it runs on a thread then), "
        f"or use `await asyncio.to_thread(...)` for what blocks. It is here:\n{stack}"
    )


def _is_application(frame: FrameType) -> bool:
    names = frame.f_globals.get("__name__") or "", frame.f_globals.get("__package__") or ""
    return not any(name.partition(".")[0] in BESIDES for name in names)
