"""How routers tell the controller what they have to do, where that decides how many replicas there are."""

from __future__ import annotations

import threading
import time
from typing import Any, Protocol

from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.schema.deployments import DeploymentId


class Reporting(Protocol):
    """A router, as this sees it."""

    deployment: DeploymentId

    @property
    def load(self) -> int:
        """Requests that are worked on, and that wait."""


class LoadReports:
    """Reports for the routers of one process while they have something to do, and once more when they have not. Its thread waits for an
    event otherwise.

    Args:
        controller: whom to tell.
    """

    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self._name = CALL_IDS.next()
        self._due: dict[Reporting, tuple[float, float]] = {}
        """When to report, and how often."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def busy(self, router: Reporting, interval: float) -> None:
        """A router has something to do: told now, and every `interval` seconds until it has not."""
        with self._changed:
            if router in self._due:
                return
            self._due[router] = (time.monotonic(), interval)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shoal-serve-load", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._due:
                    self._changed.wait()
                now = time.monotonic()
                first = min(due for due, _ in self._due.values())
                if first > now:
                    self._changed.wait(first - now)
                    continue
                told = [(router, interval) for router, (due, interval) in self._due.items() if due <= now]
                loads = []
                for router, interval in told:
                    load = router.load
                    loads.append((router.deployment, load))
                    if load:
                        self._due[router] = (now + interval, interval)
                    else:
                        del self._due[router]
            for deployment, load in loads:
                self._controller.report.remote(deployment, self._name, float(load))
