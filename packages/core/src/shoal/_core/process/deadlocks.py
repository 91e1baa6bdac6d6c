"""Errors of waits that can never end because of who waits."""

from __future__ import annotations

from shoal._core.schema.ids import TASK_ID_SIZE
from shoal.exceptions import DeadlockError


def own_result(object_id: bytes) -> DeadlockError:
    """Returns the error of a task that waits for what it makes itself."""
    return DeadlockError(
        f"task {object_id[:TASK_ID_SIZE].hex()} waits for its own result ({object_id.hex()}), which it cannot have before it ends; "
        "do not pass a task the reference that it makes, or do not get it there"
    )


def own_later_call(method: str, reference: str) -> DeadlockError:
    """Returns the error of an actor that does one call at a time, and waits for a later one."""
    return DeadlockError(
        f"the actor waits for a call of its own method {method} ({reference}), which it cannot begin before the call that waits has "
        "ended; call the method directly (self.method()), return the reference, or make the actor with max_concurrency=2 or more"
    )
