"""Dividing work in order: runs of neighbours of about the same weight."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise


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
