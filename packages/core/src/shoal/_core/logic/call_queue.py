"""Calls of one actor that have not been sent: in order for each task that makes them, so that a call whose arguments are not there yet
holds up those behind it of the same task, and no others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from shoal._core.logic.tasks import Task


class CallQueue:
    """Calls by the task that made them. Those of a program's driver are made by one task."""

    __slots__ = ("_by_caller", "_count")

    def __init__(self) -> None:
        self._by_caller: dict[bytes, deque[Task]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Task]:
        for calls in self._by_caller.values():
            yield from calls

    def append(self, call: Task) -> None:
        """The latest call of its caller."""
        calls = self._by_caller.get(call.call.parent_task_id)
        if calls is None:
            calls = self._by_caller[call.call.parent_task_id] = deque()
        calls.append(call)
        self._count += 1

    def put_back(self, calls: Iterable[Task]) -> None:
        """Calls, in order, that go before all others of their callers."""
        for call in reversed(list(calls)):
            self._by_caller.setdefault(call.call.parent_task_id, deque()).appendleft(call)
            self._count += 1

    def take_ready(self, in_order: bool) -> list[Task]:
        """Takes out the calls whose arguments are there.

        Args:
            in_order: not those that stand behind one of the same caller whose arguments are not there.
        """
        ready: list[Task] = []
        for caller, calls in list(self._by_caller.items()):
            if in_order:
                while calls and calls[0].waiting_for == 0:
                    ready.append(calls.popleft())
            else:
                ready += [call for call in calls if call.waiting_for == 0]
                calls = self._by_caller[caller] = deque(call for call in calls if call.waiting_for != 0)
            if not calls:
                del self._by_caller[caller]
        self._count -= len(ready)
        return ready

    def take_all(self) -> list[Task]:
        """Takes out all calls."""
        calls = list(self)
        self._by_caller.clear()
        self._count = 0
        return calls

    def remove(self, call: Task) -> bool:
        """Takes out one call. Returns False where it is not there."""
        calls = self._by_caller.get(call.call.parent_task_id)
        if calls is None or call not in calls:
            return False
        calls.remove(call)
        self._count -= 1
        if not calls:
            del self._by_caller[call.call.parent_task_id]
        return True
