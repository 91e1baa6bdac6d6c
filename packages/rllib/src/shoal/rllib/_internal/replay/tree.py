"""Sums and minima of many numbers that change a few at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH = 64
"""Children of a node: wide, since a call of NumPy costs more than some more numbers in it."""


class Tree:
    """Numbers, and above them the sum (or the minimum) of each 64, and of each 64 of those, up to one.

    Args:
        size: how many numbers there are.
        minimum: keep minima, not sums. Numbers are then infinite until they are set, and otherwise 0.

    Example:
        >>> tree = Tree(1000)
        >>> tree.set(np.array([3, 999]), np.array([1.0, 2.0]))
        >>> tree.whole, tree.find(np.array([0.5, 2.9]))
        (3.0, array([  3, 999]))
    """

    def __init__(self, size: int, *, minimum: bool = False) -> None:
        self._combine: Any = np.minimum if minimum else np.add
        self._levels: list[NDArray[np.float64]] = []  # from the numbers up, each in rows of one parent's children
        rows = size
        while True:
            rows = -(-rows // _WIDTH)
            self._levels.append(np.full((rows, _WIDTH), np.inf if minimum else 0.0))
            if rows == 1:
                break

    @property
    def whole(self) -> float:
        """The sum (or the minimum) of all."""
        return float(self._combine.reduce(self._levels[-1][0]))

    def __getitem__(self, indices: Any) -> Any:
        return self._levels[0].ravel()[indices]

    def set(self, indices: NDArray[np.int64], values: Any) -> None:
        """Sets some numbers; where an index comes twice, the later value holds."""
        self._levels[0].ravel()[indices] = values
        for below, above in zip(self._levels, self._levels[1:], strict=False):
            indices = indices // _WIDTH
            above.ravel()[indices] = self._combine.reduce(below[indices], axis=1)

    def find(self, sums: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each of these the index at which the sum of all numbers up to it first is larger; never that of a 0."""
        index = np.zeros(len(sums), np.int64)
        rest = sums
        for level in reversed(self._levels):
            running = level[index].cumsum(axis=1)
            # Sums of sums are rounded: what lies beyond the last child is that child's.
            rest = np.minimum(rest, np.nextafter(running[:, -1], 0))
            child = (running <= rest[:, None]).sum(axis=1)
            before = np.where(child > 0, running[np.arange(len(child)), child - 1], 0.0)
            rest = np.maximum(rest - before, 0.0)
            index = index * _WIDTH + child
        return index
