"""Dividing work in order: runs of neighbours of about the same weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import TypeVar

T = TypeVar("T")


def shares(weights: Sequence[int], count: int) -> list[range]:
    """Divides positions into runs of neighbours, none of them empty.

    Args:
        weights: of each position, 0 or more.
        count: how many runs (1 or more); as many as there are positions where those are fewer.

    Returns:
        The positions of each run, in order; together all of them.
    """
    if not weights:
        return []
    count = min(count, len(weights))
    # One more for each, so that what weighs nothing (an empty file) is divided, too.
    ends = list(accumulate(weight + 1 for weight in weights))
    cuts = [0]
    for run in range(1, count):
        position, goal = cuts[-1] + 1, ends[-1] * run
        last = len(weights) - (count - run)
        while position < last and (ends[position] + ends[position - 1]) * count <= 2 * goal:
            position += 1
        cuts.append(position)
    return [range(start, end) for start, end in pairwise([*cuts, len(weights)])]


def even_shares(items: Sequence[T], size_of: Callable[[T], int], count: int) -> list[list[T]]:
    """Returns the items, in their order, in at most `count` runs of about as much each; none of them is empty.

    Args:
        items: files, fragments, ….
        size_of: bytes or rows of an item (>= 0).
        count: how many runs are wanted (>= 1).
    """
    return [[items[place] for place in run] for run in shares([size_of(item) for item in items], count)]
