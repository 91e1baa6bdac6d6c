"""Making the instance of an actor."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any


def construct(actor_class: type, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Returns a new instance. A constructor that is a coroutine runs to its end in the event loop of an async actor's thread."""
    constructor: Any = actor_class.__init__  # type: ignore[misc]
    if not inspect.iscoroutinefunction(constructor):
        return actor_class(*args, **kwargs)
    import asyncio

    instance = actor_class.__new__(actor_class, *args, **kwargs)
    asyncio.get_event_loop().run_until_complete(constructor(instance, *args, **kwargs))
    return instance
