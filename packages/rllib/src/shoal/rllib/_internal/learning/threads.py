"""How many threads torch uses for one operation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

# Numbers of the largest layer up to which one thread is done sooner than several agree on their parts.
_SMALL = 1 << 18


@contextmanager
def threads_for(parameters: Iterable[Any]) -> Iterator[None]:
    """Has torch use one thread in the block where all parameters are small."""
    given = torch.get_num_threads()
    if given == 1 or max((parameter.numel() for parameter in parameters), default=0) > _SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(given)
