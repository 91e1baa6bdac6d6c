"""Streaming tasks: items are objects in the producer's worker, and the consumer hears of each as it comes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from shoal.engines import ObjectRef
from shoal.exceptions import GetTimeoutError
from shoal.integrations.dask.connection import PENDING, Connection
from shoal.integrations.dask.keys import TASK_ID_SIZE, id_of, key_of
from shoal.integrations.dask.references import DaskObjectRef, has_failed
from shoal.integrations.dask.results import Returns, packed


class DaskStream:
    """The consumer's side of one streaming task.

    It is made before the task is submitted, since items may come as soon as that is.

    Args:
        key: of the task.
        connection: of this process.
        is_limited: whether the producer waits for items to be taken.
    """

    _completed: DaskObjectRef[Any]

    def __init__(self, key: str, connection: Connection, is_limited: bool) -> None:
        self.key = key
        self.connection = connection
        self._is_limited = is_limited
        self._lock = threading.Lock()
        self._items: deque[Any] = deque()
        self._received = 0
        self._taken = 0
        self._producer = ""
        self._error_given = False
        self._closed = False
        self._waiting: list[Callable[[], None]] = []
        connection.streams[key] = self

    def begin(self, future: Any) -> DaskStream:
        """The task is submitted. Returns the stream.

        Args:
            future: of the task; Dask tells of its end after all of its items.
        """
        self._completed = DaskObjectRef[Any](future, self.connection)
        self.connection.watch(future, self._wake)
        return self

    @property
    def dask_future(self) -> Any:
        """Of the task itself."""
        return self._completed.dask_future

    def arrived(self, index: int, future: Any, worker: str) -> None:
        """The next item is there. (A producer that runs again, after its worker's death, sends the first ones again.)"""
        with self._lock:
            self._producer = worker
            is_new = index >= self._received
            if is_new:
                self._received = index + 1
                if not self._closed:
                    self._items.append(future)
        if is_new:
            self._wake()
        else:
            self._tell_taken()

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def _has_ended(self) -> bool:
        return self.dask_future.status not in PENDING

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        """Blocks for the next item. Raises StopIteration at the end, GetTimeoutError. An error of the task comes as one last reference."""
        future = self._next(timeout)
        if future is None:
            return self._completed
        self._tell_taken()
        return DaskObjectRef(future, self.connection)

    def _next(self, timeout: float | None) -> Any:
        """Returns the future of the next item, or None where an error of the task comes as the last one."""
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            ready = threading.Event()
            self.on_next(ready.set)
            try:
                if not self.connection.wait_for(ready, None if deadline is None else max(0, deadline - monotonic())):
                    raise GetTimeoutError(f"the next item of the stream did not come within {timeout or 0:g} s")
            finally:
                self.forget(ready.set)
            with self._lock:
                if self._items:
                    self._taken += 1
                    return self._items.popleft()
                if has_failed(self.dask_future) and not self._error_given:
                    self._error_given = True
                    return None
                if self._has_ended():
                    raise StopIteration
            # Another thread was told, too, and has taken it.

    def _tell_taken(self) -> None:
        if self._is_limited and self._producer:
            count = 2**62 if self._closed else self._taken
            self.connection.tell("taken", stream=self.key, at=self._producer, count=count)

    def on_next(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once when `next_ref` would not block."""
        with self._lock:
            if not self._items and not self._has_ended():
                self._waiting.append(callback)
                return
        callback()

    def forget(self, callback: Callable[[], None]) -> None:
        """Takes an `on_next` back, if it is still there."""
        with self._lock:
            if callback in self._waiting:
                self._waiting.remove(callback)

    def next_is_ready(self) -> bool:
        with self._lock:
            return bool(self._items) or self._has_ended()

    def is_finished(self) -> bool:
        with self._lock:
            error_left = has_failed(self.dask_future) and not self._error_given
            return not self._items and self._has_ended() and not error_left

    def completed(self) -> ObjectRef[Any]:
        """A reference that is ready when the task has ended; its `get` raises the task's error."""
        return self._completed

    def close(self) -> None:
        """The consumer is gone: remaining items are not kept, and nothing holds their producer up."""
        with self._lock:
            self._closed = True
            self._items.clear()
        self._tell_taken()


class Producer:
    """The side of the task that yields.

    Args:
        key: of the task.
        client: who consumes.
        limit: how many items may wait to be taken; -1 for any number.
        connection: of this process.
    """

    def __init__(self, key: str, client: str, limit: int, connection: Connection) -> None:
        self.key = key
        self._name = key.rpartition("-")[0]
        self._task_id = id_of(key)[:TASK_ID_SIZE]
        self._client = client
        self._limit = limit
        self._connection = connection
        self._sent = 0
        self._taken = 0
        self._room = threading.Event()
        self._lock = threading.Lock()

    def send(self, item: Any) -> None:
        """Sends an item on; waits while too many have not been taken. Raises SerializationError."""
        data, inside = packed(item)
        key = key_of(self._name, self._task_id, self._sent)
        if inside:
            self._connection.ask("contains", outer=[key], inner=[one.key for one in inside], are_there=False)
        connection = self._connection
        facts = {"stream": self.key, "index": self._sent, "key": key, "size": len(data), "client": self._client}
        connection.tell_of_work("item", keep={key: data}, **facts)
        self._sent += 1
        if self._limit > 0:
            with self._lock:
                self._room = threading.Event()
                if self._sent - self._taken < self._limit:
                    return
            connection.wait_for(self._room, None)

    def taken(self, count: int) -> None:
        """`count` items have been taken."""
        with self._lock:
            self._taken = max(self._taken, count)
            if self._sent - self._taken < self._limit:
                self._room.set()


class Producers:
    """Those of this worker.

    Args:
        connection: of this process.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._running: dict[str, Producer] = {}
        if connection.worker is not None:
            connection.worker.stream_handlers["shoal-taken"] = self._taken

    @contextmanager
    def begin(self, key: str, returns: Returns) -> Iterator[Producer]:
        """Has the producer of a task as long as it yields."""
        producer = Producer(key, returns.client, returns.backpressure, self._connection)
        self._running[key] = producer
        try:
            yield producer
        finally:
            del self._running[key]

    def _taken(self, stream: str, count: int) -> None:
        producer = self._running.get(stream)
        if producer is not None:
            producer.taken(count)
