"""Functions as bytes."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from typing import Any

from shoal import cloudpickle


class PortableFunctions:
    """Pickles functions, those that cannot change once."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Callable[..., Any], bytes] = weakref.WeakKeyDictionary()

    def pickled(self, function: Callable[..., Any]) -> bytes:
        """Returns the bytes of a function. Raises what pickling it raises."""
        # A closure's cells, and the objects of bound methods and partials, may have changed since the last time.
        if not isinstance(function, types.FunctionType) or function.__closure__ is not None:
            return cloudpickle.dumps(function)
        known = self._known.get(function)
        if known is None:
            known = self._known[function] = cloudpickle.dumps(function)
        return known
