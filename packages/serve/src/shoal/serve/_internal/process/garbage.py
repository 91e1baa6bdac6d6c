"""How often Python looks for garbage in a process that serves."""

from __future__ import annotations

import gc

ALLOCATIONS = 5000
"""More than are freed, between two looks at what is new. What a few dozen requests have in hand reaches Python's 700 several times."""


def collect_seldom() -> None:
    """What is there now, modules above all, is not looked at any more; what comes, less often. Whoever wants it otherwise calls
    `gc.set_threshold` in the constructor of a deployment."""
    gc.freeze()
    gc.set_threshold(ALLOCATIONS, *gc.get_threshold()[1:])
