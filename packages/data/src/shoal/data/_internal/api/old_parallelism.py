"""The old name of `override_num_blocks`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_CHOOSE = (None, -1)


def takes_parallelism(reader: Callable[P, T]) -> Callable[P, T]:
    """Lets a function take `parallelism`, too, which programs for older versions of Ray give."""

    @functools.wraps(reader)
    def read(*args: Any, **kwargs: Any) -> T:
        old = kwargs.pop("parallelism", None)
        if old not in _CHOOSE and kwargs.get("override_num_blocks") is None:
            kwargs["override_num_blocks"] = old
        return reader(*args, **kwargs)

    return read
