"""Dividing blocks among ranks so that all get the same number of rows, whatever comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a block.

    Args:
        block: a reference to it.
        start: the first of the rows, in the block.
        rows: how many.
        first: number of the first of them in the pass.
    """

    block: Any
    start: int
    rows: int
    first: int


class EqualShares:
    """Deals rows out in equal parts as they come.

    Args:
        count: how many ranks (>= 1).
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._waiting: deque[Piece] = deque()
        """Less rows than ranks; dealt out with the next ones, and at last left out."""
        self._rows = 0

    def add(self, piece: Piece) -> Iterator[tuple[int, Piece]]:
        """Yields what each rank gets of what is there now, in order."""
        self._waiting.append(piece)
        self._rows += piece.rows
        each = self._rows // self._count
        self._rows -= each * self._count
        for rank in range(self._count):
            left = each
            while left:
                head = self._waiting.popleft()
                part = min(left, head.rows)
                yield rank, Piece(head.block, head.start, part, head.first)
                left -= part
                if part < head.rows:
                    rest = Piece(head.block, head.start + part, head.rows - part, head.first + part)
                    self._waiting.appendleft(rest)
