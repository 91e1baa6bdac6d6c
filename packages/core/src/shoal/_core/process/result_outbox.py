"""Results on their way back: kept for a moment, so that short tasks share a frame."""

from __future__ import annotations

import threading
import time

from shoal._core.process.peers import Peer
from shoal._core.schema.messages import TaskResult, TasksDone

FLUSH_SECONDS = 0.001
FLUSH_RESULTS = 100


class ResultOutbox:
    """Results of one worker, by owner. Safe from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Peer, list[TaskResult]] = {}
        self._last_flush = 0.0
        self._count = 0

    def add(self, peer: Peer, result: TaskResult, more_to_come: bool) -> None:
        """Takes a result; sends it now unless more follow at once."""
        with self._lock:
            waiting = self._waiting.get(peer)
            if waiting is None:
                waiting = self._waiting[peer] = []
            waiting.append(result)
            self._count += 1
            if more_to_come and self._count < FLUSH_RESULTS and time.monotonic() - self._last_flush < FLUSH_SECONDS:
                return
            self._flush_locked()

    def flush(self) -> None:
        if self._count:
            with self._lock:
                self._flush_locked()

    def _flush_locked(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._count = 0
        self._last_flush = time.monotonic()
        for peer, results in waiting.items():
            peer.send(TasksDone(results))

    @property
    def empty(self) -> bool:
        return self._count == 0
