"""Calls that were taken are made before the program ends, as those of the standard library's executors are."""

from __future__ import annotations

# What these do at the exit is registered as they are imported, and comes after what is registered here: the session may need their threads.
import concurrent.futures.process
import concurrent.futures.thread  # noqa: F401
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from shoal.util.remote_calls.remote_calls import RemoteCalls

_unfinished: WeakSet[RemoteCalls] = WeakSet()


def finish_at_exit(calls: RemoteCalls) -> None:
    """Sees to it that the program does not end, and with it its session, before these are closed and all of them made."""
    _unfinished.add(calls)


def _finish() -> None:
    for calls in list(_unfinished):
        calls.finish()


# With `atexit` it would depend on who came first whether the session is still there. Python's own executors are ended like this, too.
threading._register_atexit(_finish)  # type: ignore[attr-defined]
