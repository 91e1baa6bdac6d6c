"""What a wait that takes long waits for, in words: which task, where it is, and who holds what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal._core.logic.ownership import PENDING
from shoal._core.logic.tasks import PUSHED, Task
from shoal._core.schema.ids import TASK_ID_SIZE, task_of
from shoal.exceptions import ShoalError

if TYPE_CHECKING:
    from shoal._core.process.client import Client

FIRST_WORD_SECONDS = 10.0
"""A wait of so long is explained."""
_MOST_NAMED = 3


def explain_wait(client: Client, object_ids: list[bytes], seconds: float) -> str:
    """Returns one text about all that is waited for. Asks the daemon; call it from a thread that may block."""
    pending = [object_id for object_id in object_ids if _is_pending(client, object_id)]
    count = len(pending)
    what = "1 object" if count == 1 else f"{count} objects"
    lines = [f"waiting for {what} since {seconds:.0f} s."]
    lines.extend("  " + _explain_object(client, object_id) for object_id in pending[:_MOST_NAMED])
    if count > _MOST_NAMED:
        lines.append(f"  and {count - _MOST_NAMED} more")
    return "\n".join(lines)


def _is_pending(client: Client, object_id: bytes) -> bool:
    entry = client.references.table.entries.get(object_id)
    return entry is not None and entry.kind == PENDING


def _explain_object(client: Client, object_id: bytes) -> str:
    task = client.tasks.running.get(task_of(object_id))
    short = object_id[:TASK_ID_SIZE].hex()[-8:]
    if task is None:
        entry = client.references.table.entries.get(object_id)
        if entry is not None and entry.owner_address:
            return f"object {short} belongs to another process ({entry.owner_address}), which has not made it yet"
        return f"object {short} is not made by a task that is known here"
    return f"{task.name} (task ..{short}) " + _explain_task(client, task)


def _explain_task(client: Client, task: Task) -> str:
    if task.waiting_for:
        return f"waits for {task.waiting_for} of its arguments"
    if task.fields is not None:
        return _explain_call(task)
    if task.state == PUSHED and task.lease is not None:
        ahead = list(task.lease.in_flight).index(task.call.task_id)
        where = f"worker ..{task.lease.worker_id.hex()[-8:]}"
        return f"runs on {where}" if ahead == 0 else f"is queued on {where} behind {ahead} others"
    try:
        return "waits for a worker: " + str(client.node.query("explain_request", client.request_of(task), timeout=5.0))
    except (ShoalError, TimeoutError) as error:
        return f"waits for a worker ({error})"


def _explain_call(task: Task) -> str:
    assert task.fields is not None
    link = task.fields["actor"]
    if link.state == "ALIVE":
        if task.call.task_id not in link.in_flight:
            return f"waits behind {len(link.queue)} calls whose arguments are not there yet"
        ahead = list(link.in_flight).index(task.call.task_id)
        return (
            "runs in its actor" if ahead == 0 else f"is in its actor's queue behind {ahead} other calls of this process"
        )
    states = {
        "UNKNOWN": "waits for its actor, whose state is being asked for",
        "PENDING_CREATION": "waits for its actor to be created: there is no free worker yet, or its constructor still runs",
        "RESTARTING": "waits for its actor to restart",
    }
    return states.get(link.state, f"waits for its actor, which is {link.state}")
