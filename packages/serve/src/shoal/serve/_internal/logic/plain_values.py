"""Values that are the same wherever they are made again: small, of types that every Python has, with no reference in them."""

from __future__ import annotations

from typing import Any

SCALARS = frozenset((int, float, bool, type(None)))
TEXTS = frozenset((str, bytes))
LONGEST = 65536
"""Of a text."""
MOST_MEMBERS = 64
MOST_LEVELS = 3


def is_plain(value: Any, levels: int = MOST_LEVELS) -> bool:
    """Whether a value is one. Says no to some that are, where telling would take long.

    Args:
        value: any.
        levels: of lists and the like inside of one another.
    """
    kind = type(value)
    if kind in SCALARS:
        return True
    if kind in TEXTS:
        return len(value) <= LONGEST
    if levels == 0 or kind not in (list, tuple, dict) or len(value) > MOST_MEMBERS:
        return False
    if kind is dict:
        return is_plain((*value.keys(), *value.values()), levels)
    return all(is_plain(one, levels - 1) for one in value)
