"""Opens the stored arguments of calls that wait their turn in this process, while others run."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shoal._core.process.view_ahead import ViewAhead
from shoal._core.schema.messages import STORED, ObjectValue, TaskCall

CALLS_AHEAD = 2
"""Calls that have their arguments open before they begin."""
ARGUMENTS_AHEAD = 16
"""Of a call: asking for very many would hold up the one before it."""


class ArgumentsAhead:
    """What is open for calls that have not begun. Safe from all threads.

    Nothing depends on it: what was not opened ahead is opened when the call begins, and fails then if it must.

    Args:
        open_ahead: asks for a view of an object, by its id and nodes.
    """

    def __init__(self, open_ahead: Callable[[bytes, list[bytes]], ViewAhead]) -> None:
        self._open_ahead = open_ahead
        self._lock = threading.Lock()
        self._views: dict[bytes, dict[bytes, ViewAhead]] = {}
        """By task and object."""

    def expect(self, call: TaskCall) -> None:
        """The call is among the next to begin."""
        if not call.deps or not _stored(call):
            return
        with self._lock:
            if call.task_id in self._views or len(self._views) >= CALLS_AHEAD:
                return
            # Looked at again: it may have begun, or ended, meanwhile.
            stored = _stored(call)
            if stored:
                self._views[call.task_id] = {
                    object_id: self._open_ahead(object_id, nodes) for object_id, nodes in stored.items()
                }

    def begin(self, call: TaskCall) -> tuple[list[ObjectValue], dict[bytes, ViewAhead]]:
        """The call begins: returns where its arguments are, and views of objects among them. Both are the caller's from now on."""
        if not call.deps:
            return [], {}
        with self._lock:
            deps, call.deps = call.deps, []
            return deps, self._views.pop(call.task_id, {})

    def end(self, call: TaskCall) -> None:
        """The call has ended, or will never begin."""
        _let_go(self.begin(call)[1])

    def let_go(self, call: TaskCall) -> None:
        """The call need not find its arguments open. It may begin at this moment."""
        with self._lock:
            views = self._views.pop(call.task_id, {})
        _let_go(views)

    def let_all_go(self) -> None:
        """Others need the room."""
        with self._lock:
            calls = list(self._views.values())
            self._views.clear()
        for views in calls:
            _let_go(views)


def _stored(call: TaskCall) -> dict[bytes, list[bytes]]:
    """Returns ids and nodes of stored objects among a call's first arguments."""
    return {dep.object_id: dep.nodes for dep in call.deps[:ARGUMENTS_AHEAD] if dep.kind == STORED}


def _let_go(views: dict[bytes, ViewAhead]) -> None:
    for view in views.values():
        view.let_go()
