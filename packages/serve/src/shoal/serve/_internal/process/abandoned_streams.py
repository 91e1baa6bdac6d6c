"""Streams that nobody reads to their end: they are cancelled, or each would keep a place in its replica for good."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue

from shoal.serve._internal.process.router import AnyRouter, Call

logger = logging.getLogger("shoal.serve")


class AbandonedStreams:
    """Cancels them on a thread of its own: a dying object may not take a lock, which its own thread may hold."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._left: SimpleQueue[tuple[AnyRouter, Call]] = SimpleQueue()

    def watch(self) -> None:
        """There is a stream."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shoal-serve-abandoned", daemon=True)
                self._thread.start()

    def add(self, router: AnyRouter, call: Call) -> None:
        """Nobody will read on. Never blocks, and takes no lock."""
        self._left.put((router, call))

    def _run(self) -> None:
        while True:
            router, call = self._left.get()
            try:
                router.cancel(call)
            except Exception as error:
                # The session may be over, and the stream with it.
                logger.debug("a stream that was left could not be cancelled: %r", error)
            del router, call


ABANDONED_STREAMS = AbandonedStreams()
"""Of this process."""
