"""Says where a runner in this process is when it does not get on: nobody else could, and nothing can end it but its user."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import weakref
from typing import Protocol

logger = logging.getLogger(__name__)


class Watched(Protocol):
    """What is watched."""

    progress: int
    """Grows with each step."""

    @property
    def doing(self) -> str:
        """Says which environment is being stepped."""
        ...


class StallWatch:
    """Watches one thread while it samples, from another one that sleeps between deadlines.

    Args:
        limit_s: how long the runner may take for one step, in seconds.
        runner: the runner. The watch does not keep it alive.
    """

    def __init__(self, limit_s: float, runner: Watched) -> None:
        self._limit_s = limit_s
        self._runner = weakref.ref(runner)
        self._thread_id = 0
        self._said_at = -1
        self._sampling = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._thread_id = threading.get_ident()
        self._sampling.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="shoal-rllib-stall-watch", daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._sampling.clear()

    def end(self) -> None:
        """Has the thread end."""
        self._stopped.set()
        self._sampling.set()

    def stop(self) -> None:
        """Ends the thread, and waits for that."""
        self.end()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            self._sampling.wait()
            before = self._progress()
            if self._stopped.wait(self._limit_s):
                return
            runner = self._runner()
            if runner is not None and self._sampling.is_set() and runner.progress == before != self._said_at:
                self._said_at = before
                self._say(runner.doing)
            del runner

    def _progress(self) -> int:
        runner = self._runner()
        return -1 if runner is None else runner.progress

    def _say(self, doing: str) -> None:
        frame = sys._current_frames().get(self._thread_id)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        logger.error(
            "%sIt has not got on for %g s (config.env_runners(sample_timeout_s=...)). It runs in this process, so that only you can end it "
            "(Ctrl-C). It is here:\n%s",
            doing,
            self._limit_s,
            stack,
        )
