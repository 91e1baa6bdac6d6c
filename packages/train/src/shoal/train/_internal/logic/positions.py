"""Which rows of a dataset have been worked on, so that a restart goes on with the others.

Rows are numbered in the dataset's order, from 0 in each pass. A rank's position is the pass that it is in and the rows that it has had of
it, as spans [first, after). Together the ranks' spans tell what has been worked on, however many ranks there are afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Span = tuple[int, int]


def merged(spans: Iterable[Sequence[int]]) -> list[Span]:
    """Returns the same rows in as few spans as there can be, in order."""
    found: list[Span] = []
    for first, after in sorted((int(span[0]), int(span[1])) for span in spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], after))
        elif after > first:
            found.append((first, after))
    return found


def remaining(first: int, rows: int, done: Sequence[Span]) -> list[Span]:
    """Returns the rows from `first` on that are not done. `done` is merged."""
    left: list[Span] = []
    start, end = first, first + rows
    for span_first, span_after in done:
        if span_after <= start:
            continue
        if span_first >= end:
            break
        if span_first > start:
            left.append((start, span_first))
        start = span_after
    if start < end:
        left.append((start, end))
    return left


@dataclass(frozen=True)
class Position:
    """Where a pass goes on.

    Args:
        pass_number: from 0.
        done: rows that are done, of this pass and of later ones that some rank has begun.
    """

    pass_number: int = 0
    done: Mapping[int, Sequence[Span]] = field(default_factory=dict)

    def of_pass(self, number: int) -> Sequence[Span]:
        """Returns what is done of a pass."""
        return self.done.get(number, ())

    def as_json(self) -> dict[str, Any]:
        return {"pass": self.pass_number, "done": {str(number): list(spans) for number, spans in self.done.items()}}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Position:
        done = {int(number): merged(spans) for number, spans in value["done"].items()}
        return Position(int(value["pass"]), done)


def joined(positions: Sequence[Position]) -> Position:
    """Returns where ranks with these positions are together: in the pass of the last, with what any of them has done."""
    if not positions:
        return Position()
    number = min(position.pass_number for position in positions)
    passes = {each for position in positions for each in position.done if each >= number}
    return Position(
        number,
        {each: merged(span for position in positions for span in position.of_pass(each)) for each in sorted(passes)},
    )


class PassProgress:
    """What one rank has had of one pass. One thread may say what arrives, and one other what is taken.

    Args:
        number: of the pass.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.is_over = False
        self._arrived: deque[Span] = deque()
        self._taken: list[Span] = []

    def arrive(self, first: int, rows: int) -> None:
        """Rows are here, and will be taken in this order."""
        self._arrived.append((first, first + rows))

    def take(self, rows: int) -> None:
        """The loop gets the next rows of those that arrived."""
        while rows > 0 and self._arrived:
            first, after = self._arrived[0]
            part = min(rows, after - first)
            self._add(first, first + part)
            rows -= part
            if first + part == after:
                self._arrived.popleft()
            else:
                self._arrived[0] = (first + part, after)

    def take_these(self, rows: Sequence[int]) -> None:
        """The loop gets these rows, which arrived in another order."""
        for row in sorted(rows):
            self._add(row, row + 1)

    def finish(self) -> None:
        """The loop got all that there was."""
        self.is_over = True

    @property
    def taken(self) -> list[Span]:
        self._taken = merged(self._taken)
        return self._taken

    def _add(self, first: int, after: int) -> None:
        if self._taken and self._taken[-1][1] == first:
            self._taken[-1] = (self._taken[-1][0], after)
        else:
            self._taken.append((first, after))
            if len(self._taken) % 4096 == 0:
                self._taken = merged(self._taken)
