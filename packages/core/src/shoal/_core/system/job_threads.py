"""A few threads for work that blocks, so that a loop does not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class JobThreads:
    """Runs jobs, begun in the order in which they came. Threads start when there is something to do.

    Args:
        name: of the threads.
        count: how many jobs run at once.
    """

    def __init__(self, name: str, count: int = 2) -> None:
        self._name = name
        self._count = count
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, job: Callable[[], None]) -> None:
        """Runs `job` on one of the threads. Call from one thread only. What it raises goes to `threading.excepthook`."""
        self._jobs.put(job)
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Ends the threads, after the jobs that were submitted."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:
                threading.excepthook(
                    threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
                )
