"""Items, so many together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


def chunks(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Yields lists of `size` items, at least 1, the last one of what is left. Reads no further than it has to."""
    while chunk := list(itertools.islice(items, size)):
        yield chunk
