"""Dask's own callbacks (`dask.diagnostics`), which hear of tasks as they end."""

from __future__ import annotations

import concurrent.futures
import queue
from typing import Any

import shoal


class LocalCallbacks:
    """Calls Dask's callbacks for one computation.

    Args:
        unpacked: what `dask.callbacks.unpack_callbacks` gives: lists of functions for start, start_state, pretask, posttask and finish.
    """

    def __init__(self, unpacked: tuple[Any, ...]) -> None:
        self._start, self._start_state, self._pretask, self._posttask, self._finish = (list(part) for part in unpacked)
        self._any = any((self._start, self._start_state, self._pretask, self._posttask, self._finish))
        self._state: dict[str, Any] = {}
        self._nodes: Any = None
        self._ended: queue.SimpleQueue[tuple[Any, concurrent.futures.Future[Any]]] = queue.SimpleQueue()

    def start(self, nodes: dict[Any, Any]) -> None:
        """The graph is there."""
        if not self._any:
            return
        self._nodes = nodes
        self._state = {"waiting": dict.fromkeys(nodes), "ready": [], "running": set(), "finished": set(), "cache": {}}
        for hook in self._start:
            hook(nodes)
        for hook in self._start_state:
            hook(nodes, self._state)

    def submitted(self, key: Any, ref: Any) -> None:
        """A task is on its way."""
        if not self._any:
            return
        self._state["waiting"].pop(key, None)
        self._state["running"].add(key)
        for hook in self._pretask:
            hook(key, self._nodes, self._state)
        ref.future().add_done_callback(lambda future: self._ended.put((key, future)))

    def follow(self) -> None:
        """Tells of each task's end, until all have ended or one has failed."""
        while self._any and self._state["running"]:
            key, future = self._ended.get()
            if future.exception() is not None:
                return
            self._state["running"].discard(key)
            self._state["finished"].add(key)
            for hook in self._posttask:
                hook(key, future.result(), self._nodes, self._state, shoal.get_runtime_context().get_node_id())

    def finish(self, nodes: dict[Any, Any], failed: bool) -> None:
        """The computation is over."""
        for hook in self._finish:
            hook(nodes, self._state, failed)
