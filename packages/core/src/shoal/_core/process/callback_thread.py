"""One thread for callbacks that may block or run the user's code; started when the first one comes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from shoal._core.system.event_loop import report_to_stderr


class CallbackThread:
    """Runs callbacks one after another, away from the IO thread."""

    def __init__(self) -> None:
        self._due: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def run(self, callback: Callable[[], None]) -> None:
        """Queues a callback. Safe from all threads."""
        self._due.put(callback)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._serve, name="shoal-callbacks", daemon=True)
                    self._thread.start()

    def _serve(self) -> None:
        while True:
            callback = self._due.get()
            if callback is None:
                return
            try:
                callback()
            except Exception as error:
                report_to_stderr(error)

    def stop(self) -> None:
        """Ends the thread after the callbacks that are queued."""
        self._due.put(None)
