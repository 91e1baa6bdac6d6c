"""Running one call in a worker: arguments in, result out, whatever the user's code does in between."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from shoal._core.logic.tasks import Task
from shoal._core.process.arguments import unpack_arguments
from shoal._core.process.arguments_ahead import ArgumentsAhead
from shoal._core.process.dynamic_refs import DynamicObjectRefGenerator
from shoal._core.process.node_link import NodeLink
from shoal._core.process.object_ref import ObjectRef
from shoal._core.process.peers import Peer
from shoal._core.process.references import INLINE_LIMIT, References
from shoal._core.process.view_ahead import ViewAhead
from shoal._core.schema.ids import object_id_of
from shoal._core.schema.messages import ERROR, INLINE, STORED, ObjectValue, StreamItem, TaskCall, TaskResult
from shoal._core.schema.options import DYNAMIC, STREAMING
from shoal._core.system.serialization import serialize
from shoal._core.system.task_errors import capture_task_error


class Execution:
    """One call that runs, or waits its turn in this process."""

    __slots__ = (
        "actor_id",
        "arrived",
        "async_task",
        "call",
        "canceled",
        "consumed",
        "function_name",
        "name",
        "peer",
        "started",
        "wake_producer",
    )

    def __init__(self, peer: Peer, call: TaskCall) -> None:
        self.peer = peer
        self.call = call
        self.name = call.name
        self.function_name = ""
        self.actor_id = b""
        self.canceled = False
        self.started = 0.0
        self.arrived: list[bytes] = []
        """References that came inside the arguments."""
        self.async_task: Any = None
        self.consumed = 0
        self.wake_producer: Callable[[], None] | None = None


class Children(Protocol):
    """The calls that calls of this process make."""

    def children_of(self, task_id: bytes) -> list[Task]: ...

    def cancel_children(self, children: Sequence[Task]) -> None: ...


SendItem = Callable[[Execution, StreamItem], None]

current_execution: ContextVar[Execution | None] = ContextVar("shoal_current_execution", default=None)


class WorkerExit(BaseException):
    """The user's code asked the process to end (sys.exit, exit_actor)."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(status, reason)


class Runner:
    """Turns calls into results with this process's memory and connections; knows no queue and no thread."""

    def __init__(
        self, references: References, node: NodeLink, put: Callable[[Any], ObjectRef[Any]], children: Children
    ) -> None:
        self._put = put
        self._children = children
        self._references = references
        self._node = node
        self._pid = os.getpid()
        self.ahead = ArgumentsAhead(node.open_ahead)
        """Arguments of calls that have not begun."""
        self.streams: dict[bytes, Execution] = {}
        """Streaming calls that run, for what their consumers say."""

    def arguments(self, execution: Execution) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments of a call; raises what reading them raises."""
        call = execution.call
        if not call.args and not call.deps:
            return (), {}
        deps, views = self.ahead.begin(call)
        open_stored = partial(self._open, views) if views else self._node.open
        try:
            args, kwargs, execution.arrived = unpack_arguments(
                call.args, deps, call.slots, self._references, open_stored
            )
        finally:
            for ahead in views.values():
                ahead.let_go()
        call.args = b""
        return args, kwargs

    def _open(self, views: dict[bytes, ViewAhead], object_id: bytes, nodes: list[bytes]) -> memoryview:
        """Takes the view that was opened ahead, where there is one."""
        ahead = views.pop(object_id, None)
        view = ahead.open() if ahead is not None else None
        return view if view is not None else self._node.open(object_id, nodes)

    def ended(self, execution: Execution, value: Any) -> TaskResult:
        """Returns what a call that came to its end gives: its value, or that it was cancelled meanwhile."""
        return self.canceled(execution) if execution.canceled else self.succeeded(execution, value)

    def succeeded(self, execution: Execution, value: Any) -> TaskResult:
        """Returns the wire form of a result; an error result where it cannot be made."""
        call = execution.call
        try:
            if call.num_returns == DYNAMIC:
                value = DynamicObjectRefGenerator([self._put(item) for item in value])
            if call.num_returns in (1, DYNAMIC):
                packed = self._pack(execution, object_id_of(call.task_id, 0), value)
                result = TaskResult(call.task_id, packed.kind, packed.data, packed.size, packed.contained)
            else:
                values = [
                    self._pack(execution, object_id_of(call.task_id, index), item)
                    for index, item in enumerate(self._split(execution, value))
                ]
                result = TaskResult(call.task_id, INLINE, b"", values=values)
        except BaseException as error:
            return self.failed(execution, error)
        return self._finish(execution, result)

    def failed(self, execution: Execution, error: BaseException, retryable: bool = True) -> TaskResult:
        data = capture_task_error(
            error, execution.function_name, pid=self._pid, attempt=execution.call.attempt, task_name=execution.name
        )
        result = TaskResult(execution.call.task_id, ERROR, data, retryable=retryable, error_type=type(error).__name__)
        return self._finish(execution, result)

    def interrupted(self, execution: Execution, error: BaseException) -> TaskResult:
        """Returns the result of a call that was interrupted: by its cancellation, or by something of its own."""
        return self.canceled(execution) if execution.canceled else self.failed(execution, error)

    @contextmanager
    def cancelling(self, task_id: bytes, recursive: bool) -> Iterator[None]:
        """The block tells a call that it is cancelled. Then what it has called is cancelled, where that is meant; not what it calls when
        it has been told: so it can clean up."""
        children = self._children.children_of(task_id) if recursive else []
        yield
        if children:
            self._children.cancel_children(children)

    def canceled(self, execution: Execution) -> TaskResult:
        """The call was cancelled: the owner makes the error."""
        return self._finish(execution, TaskResult(execution.call.task_id, ERROR, b"", error_type="TaskCancelledError"))

    def _finish(self, execution: Execution, result: TaskResult) -> TaskResult:
        self.streams.pop(execution.call.task_id, None)
        self.ahead.end(execution.call)
        result.started = execution.started
        result.ended = time.time()
        if execution.arrived or self._references._dropped:
            with self._references.lock:
                self._references.drain_dropped_locked()
                if execution.arrived:
                    result.kept = self._references.table.still_held(dict.fromkeys(execution.arrived))
        return result

    def _split(self, execution: Execution, value: Any) -> Any:
        count = execution.call.num_returns
        if count == 0:
            return ()
        if hasattr(value, "__next__"):
            value = tuple(value)
        try:
            length = len(value)
        except TypeError:
            raise ValueError(
                f"{execution.function_name} was called with num_returns={count} and returned {type(value).__name__}, "
                f"which is no list or tuple of {count} values"
            ) from None
        if length != count:
            raise ValueError(
                f"{execution.function_name} was called with num_returns={count} and returned {length} values"
            )
        return value

    def _pack(self, execution: Execution, object_id: bytes, value: Any) -> ObjectValue:
        serialized = serialize(value)
        contained: list[tuple[bytes, str]] = []
        if serialized.refs:
            contained = self._references.contained_in(serialized)
            with self._references.lock:
                self._references.borrows.handed_on(
                    contained, execution.call.task_id[:16], [object_id for object_id, _ in contained]
                )
        if serialized.size <= INLINE_LIMIT:
            return ObjectValue(object_id, INLINE, serialized.to_bytes(), serialized.size, [], contained)
        self._node.store(object_id, serialized)
        return ObjectValue(object_id, STORED, b"", serialized.size, [self._references._node_id], contained)

    # --- streams ---------------------------------------------------------------------------------------------------------------

    def stream_item(self, execution: Execution, index: int, value: Any, send: SendItem | None = None) -> None:
        """Sends one item of a streaming call; `send` says how, where not at once."""
        object_id = object_id_of(execution.call.task_id, index)
        item = StreamItem(execution.call.task_id, index, self._pack(execution, object_id, value))
        if send is None:
            execution.peer.send(item)
        else:
            send(execution, item)

    def may_produce(self, execution: Execution, produced: int) -> bool:
        """Whether back-pressure lets the stream go on."""
        limit = execution.call.backpressure
        return limit <= 0 or execution.consumed < 0 or produced - execution.consumed < limit

    def run_stream(
        self,
        execution: Execution,
        items: Iterator[Any],
        wait: Callable[[Execution, int], None],
        send: SendItem | None = None,
    ) -> TaskResult:
        """Sends all items of a generator; `wait(execution, produced)` blocks until the consumer has taken enough."""
        if not hasattr(items, "__next__"):
            items = iter(items)
        self.streams[execution.call.task_id] = execution
        for index, item in enumerate(items):
            if execution.consumed < 0:
                break
            self.stream_item(execution, index, item, send)
            if not self.may_produce(execution, index + 1):
                wait(execution, index + 1)
        return self.end_of_stream(execution)

    def end_of_stream(self, execution: Execution) -> TaskResult:
        return self._finish(execution, TaskResult(execution.call.task_id, INLINE, b""))

    @staticmethod
    def is_stream(call: TaskCall) -> bool:
        return call.num_returns == STREAMING
