"""Pickles what is to be served. Web applications have locks, which no other process shares: each gets fresh ones."""

from __future__ import annotations

import io
import threading
from typing import Any

from starlette.datastructures import State

from shoal import cloudpickle

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())


class _Pickler(cloudpickle.CloudPickler):
    """Cloudpickle's, with locks."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _LOCK):
            return threading.Lock, ()
        if isinstance(obj, _RLOCK):
            return threading.RLock, ()
        if isinstance(obj, State):
            # Starlette's own reading of it goes round in circles.
            return State, (dict(obj._state),)
        return super().reducer_override(obj)


def dumps(value: Any) -> bytes:
    """Returns a value as bytes, which `cloudpickle.loads` reads. Raises what pickling raises."""
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(value)
    return file.getvalue()
