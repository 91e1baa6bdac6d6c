"""What a client remembers of its tasks, for those who ask (state API, timeline, error messages). Nobody is told unasked."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from shoal._core.logic.tasks import PUSHED, Task
from shoal._core.schema.ids import owner_of
from shoal._core.schema.messages import ERROR, TaskResult
from shoal._core.schema.resources import ResourceSet

KEPT_RECORDS = 10_000


class TaskRecords:
    """The last ended tasks of one client, and rows for those that run."""

    def __init__(self, job_id: bytes, node_id: bytes) -> None:
        self._job_id = job_id
        self._node_id = node_id
        self._ended: deque[tuple[Any, ...]] = deque(maxlen=KEPT_RECORDS)
        self._pids: dict[bytes, int] = {}
        self.running: Callable[[], Iterable[Task]] = tuple

    def worker_known(self, worker_id: bytes, pid: int) -> None:
        self._pids[worker_id] = pid

    def finished(self, task: Task, result: TaskResult, worker_id: bytes) -> None:
        state = "FAILED" if result.kind == ERROR else "FINISHED"
        self._ended.append(_record(task, state, result.started, result.ended, worker_id, result.error_type, b""))

    def failed(self, task: Task, error: bytes) -> None:
        self._ended.append(_record(task, "FAILED", 0.0, time.time(), b"", "", error))

    def rows(self) -> list[dict[str, Any]]:
        """One row a task, in the keys of `shoal.util.state.TaskState`."""
        rows = [self._row(*record) for record in list(self._ended)]
        for task in self.running():
            state = "PENDING_NODE_ASSIGNMENT"
            if task.waiting_for:
                state = "PENDING_ARGS_AVAIL"
            elif task.state == PUSHED:
                state = "RUNNING" if self._is_first(task) else "SUBMITTED_TO_WORKER"
            worker_id = task.lease.worker_id if task.lease is not None else b""
            rows.append(self._row(*_record(task, state, 0.0, 0.0, worker_id, "", b"")))
        return rows

    def _is_first(self, task: Task) -> bool:
        if task.lease is None:
            return True
        return bool(next(iter(task.lease.in_flight), b"") == task.call.task_id)

    def _row(
        self,
        task_id: bytes,
        attempt: int,
        name: str,
        actor_id: bytes,
        function: str,
        parent_task_id: bytes,
        resources: ResourceSet | None,
        submitted: float,
        state: str,
        started: float,
        ended: float,
        worker_id: bytes,
        error_type: str,
        error: bytes,
    ) -> dict[str, Any]:
        message = None
        if error:
            from shoal._core.system.task_errors import load_error

            cause = load_error(error)
            error_type, message = type(cause).__name__, str(cause)
        return {
            "task_id": task_id.hex(),
            "attempt_number": attempt,
            "name": name,
            "state": state,
            "job_id": self._job_id.hex(),
            "actor_id": actor_id.hex() or None,
            "type": "ACTOR_TASK" if actor_id else "NORMAL_TASK",
            "func_or_class_name": function,
            "parent_task_id": parent_task_id.hex() or None,
            "node_id": self._node_id.hex(),
            "worker_id": worker_id.hex() or None,
            "worker_pid": self._pids.get(worker_id),
            "error_type": error_type or None,
            "error_message": message,
            "required_resources": {} if resources is None else resources.to_floats(),
            "owner_id": owner_of(task_id).hex(),
            "creation_time_ms": int(submitted * 1000),
            "start_time_ms": int(started * 1000) or None,
            "end_time_ms": int(ended * 1000) or None,
        }


def _record(
    task: Task, state: str, started: float, ended: float, worker_id: bytes, error_type: str, error: bytes
) -> tuple[Any, ...]:
    """Plain values alone: Python's garbage collector stops looking at such tuples, and ten thousand tasks would keep it busy."""
    call = task.call
    actor_id = task.actor_id
    template = task.template
    return (
        call.task_id,
        task.attempt,
        task.name,
        actor_id,
        task.name if actor_id else template.definition.name,
        call.parent_task_id,
        None if actor_id else template.options.resources,
        task.submitted,
        state,
        started,
        ended,
        worker_id,
        error_type,
        error,
    )
