"""A client's line to its node's daemon: questions and answers, and the shared memory it hands out."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from shoal._core.process.view_ahead import ViewAhead
from shoal._core.process.waiting import Reply
from shoal._core.schema.messages import (
    Abort,
    Allocate,
    Allocated,
    Answer,
    ArenaAdded,
    ArenaRemoved,
    Located,
    Missing,
    Pin,
    Query,
    Seal,
    StoreFull,
    Unpin,
)
from shoal._core.system.event_loop import EventLoop
from shoal._core.system.serialization import Serialized
from shoal._core.system.store import ArenaMap
from shoal._core.system.task_errors import load_error
from shoal._core.system.transport import Connection, ConnectionClosed
from shoal.exceptions import LocalDaemonDiedError, ObjectLostError, ObjectStoreFullError, OutOfDiskError

UNPIN_SECONDS = 0.002
"""A block that is not read here any more may be in use so much longer, as far as the node knows."""


class NodeLink:
    """Sends to the daemon from any thread; replies arrive through `handle` on the loop's thread."""

    def __init__(self, connection: Connection, loop: EventLoop) -> None:
        self.connection = connection
        self._loop = loop
        self._request_ids = itertools.count(1)
        self._replies: dict[int, Reply | Callable[[Any], None]] = {}
        self._arenas = ArenaMap()
        self._unpins: list[bytes] = []
        self._ended: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the daemon is (as far as is known) still there."""
        return self._ended is None and not self.connection.closed

    # --- talking -----------------------------------------------------------------------------------------------------------

    def send(self, message: Any) -> None:
        """Sends without an answer. A daemon that is gone is noticed elsewhere (`lost`)."""
        if self._ended is not None:
            return
        try:
            self.connection.send(message)
        except ConnectionClosed:
            return

    def next_request_id(self) -> int:
        return next(self._request_ids)

    def call(self, request_id: int, message: Any, timeout: float | None = None) -> Any:
        """Sends and blocks for the answer. Raises LocalDaemonDiedError, TimeoutError."""
        reply = Reply()
        self._replies[request_id] = reply
        if self._ended is None:
            self.send(message)
        if self._ended is not None and self._replies.pop(request_id, None) is not None:
            raise LocalDaemonDiedError(self._ended)
        if not reply.wait(timeout):
            self._replies.pop(request_id, None)
            raise TimeoutError(f"the node's daemon did not answer within {timeout} s")
        if isinstance(reply.message, BaseException):
            raise reply.message
        return reply.message

    def call_back(self, request_id: int, message: Any, callback: Callable[[Any], None]) -> None:
        """Sends; `callback(answer)` comes on the loop's thread (with an exception, should the daemon die)."""
        self._replies[request_id] = callback
        self.send(message)

    def query(self, what: str, *arguments: Any, timeout: float | None = 30.0) -> Any:
        """Asks the daemon a question off the hot path and returns the plain answer."""
        request_id = self.next_request_id()
        answer = self.call(request_id, Query(request_id, what, list(arguments)), timeout)
        if answer.error:
            raise load_error(answer.error)
        return answer.value

    # --- hearing -----------------------------------------------------------------------------------------------------------

    def handle(self, message: Any) -> bool:
        """Takes a message from the daemon that answers a request or concerns memory. Returns False for all others."""
        kind = type(message)
        if kind is ArenaAdded:
            (fd,) = self.connection.take_fds(1)
            try:
                self._arenas.add(message.arena, fd, message.size)
            finally:
                os.close(fd)
            return True
        if kind is ArenaRemoved:
            self._arenas.remove(message.arena)
            return True
        if kind in (Allocated, Located, Missing, StoreFull, Answer):
            self.settle(message.request_id, message)
            return True
        return False

    def settle(self, request_id: int, message: Any) -> None:
        """Delivers the answer to a request."""
        reply = self._replies.pop(request_id, None)
        if reply is None:
            if type(message) is Located:
                self._loop.call_soon(self._flush_unpins)
            return
        if isinstance(reply, Reply):
            reply.set(message)
        else:
            reply(message)

    def lost(self, reason: str) -> None:
        """The daemon is gone: every open request ends."""
        self._ended = reason
        for request_id in list(self._replies):
            self.settle(request_id, LocalDaemonDiedError(reason))

    def cut(self, reason: str) -> None:
        """From now on nothing is sent; nobody is waiting."""
        self._ended = reason

    def void(self, reason: str) -> None:
        """Nothing may be sent any more; nobody is told."""
        self._ended = reason

    # --- objects -----------------------------------------------------------------------------------------------------------

    def store(self, object_id: bytes, value: Serialized) -> None:
        """Writes a value into the node's store. Raises ObjectStoreFullError."""
        request_id = self.next_request_id()
        reply = self.call(request_id, Allocate(request_id, object_id, value.size))
        if type(reply) is StoreFull:
            raise (OutOfDiskError if reply.no_disk else ObjectStoreFullError)(reply.text)
        if reply.arena < 0:
            return
        try:
            value.write_into(self._arenas.writer(reply.arena, reply.offset, value.size, reply.warm))
        except BaseException:
            self.send(Abort(object_id))
            raise
        self.send(Seal(object_id))

    def open(self, object_id: bytes, nodes: list[bytes]) -> memoryview:
        """Returns a read-only view of a stored object; the object stays in memory until the last view is gone.

        Raises ObjectLostError, and ObjectStoreFullError where it lies on disk and there is no room to bring it back."""
        request_id = self.next_request_id()
        reply = self.call(request_id, Pin(request_id, object_id, nodes))
        if type(reply) is StoreFull:
            raise (OutOfDiskError if reply.no_disk else ObjectStoreFullError)(reply.text)
        if type(reply) is Missing:
            raise ObjectLostError(object_id.hex(), reason=reply.text)
        return self._readable(object_id, reply)

    def open_ahead(self, object_id: bytes, nodes: list[bytes]) -> ViewAhead:
        """Asks for a view of a stored object that is going to be opened; does not wait for it."""
        ahead = ViewAhead(lambda place: self._readable(object_id, place), lambda: self._released(object_id))
        request_id = self.next_request_id()
        self._replies[request_id] = ahead.answered
        if self._ended is None:
            self.send(Pin(request_id, object_id, nodes, ahead=True))
        if self._ended is not None and self._replies.pop(request_id, None) is not None:
            ahead.answered(None)
        return ahead

    def _readable(self, object_id: bytes, place: Located) -> memoryview:
        return self._arenas.readable(place.arena, place.offset, place.size, lambda: self._released(object_id))

    def _released(self, object_id: bytes) -> None:
        # Called from wherever the collector runs: only note it, the loop tells the daemon.
        if self._ended is not None:
            return
        self._unpins.append(object_id)
        if len(self._unpins) == 1:
            self._loop.call_within(UNPIN_SECONDS, self._flush_unpins)

    def _flush_unpins(self) -> None:
        unpins, self._unpins = self._unpins, []
        if unpins:
            self.send(Unpin(unpins))
