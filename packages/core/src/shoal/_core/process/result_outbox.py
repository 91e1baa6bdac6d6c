"""Results on their way back, and items of streams: kept for a moment, so that those of short tasks travel together."""

from __future__ import annotations

import threading
import time

from shoal._core.process.peers import Peer
from shoal._core.schema.messages import StreamItem, TaskResult, TasksDone

FLUSH_SECONDS = 0.001
FLUSH_RESULTS = 100


class ResultOutbox:
    """Results and items of one worker, by owner, in their order. Safe from all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Peer, list[TaskResult | StreamItem]] = {}
        self._last_flush = 0.0
        self._count = 0

    def add(self, peer: Peer, result: TaskResult | StreamItem, more_to_come: bool) -> None:
        """Takes a result, or an item; sends it now unless more follow at once."""
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
            peer.send_all(_messages(results))

    @property
    def empty(self) -> bool:
        return self._count == 0


def _messages(results: list[TaskResult | StreamItem]) -> list[TasksDone | StreamItem]:
    """Results that follow one another are one message."""
    messages: list[TasksDone | StreamItem] = []
    for result in results:
        if isinstance(result, StreamItem):
            messages.append(result)
        elif messages and isinstance(messages[-1], TasksDone):
            messages[-1].results.append(result)
        else:
            messages.append(TasksDone([result]))
    return messages
