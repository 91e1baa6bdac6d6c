"""The actor that runs a dataset once for all ranks, pass after pass, and deals its rows out to them in equal parts."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from shoal.train._internal.logic.positions import Position, remaining
from shoal.train._internal.logic.sharing import EqualShares, Piece


class DatasetSplitter:
    """Serves the ranks of one attempt. Its threads: one for each, since they wait for one another at the start of a pass.

    Args:
        dataset: of shoal.data.
        count: how many ranks.
        position: where the first pass goes on.
    """

    def __init__(self, dataset: Any, count: int, position: Position) -> None:
        self._dataset = dataset
        self._count = count
        self._position = position
        self._changed = threading.Condition()
        self._arrived: set[int] = set()
        self._pass = position.pass_number - 1
        self._pieces: Iterator[Piece] = iter(())
        self._shares = EqualShares(count)
        self._dealt: list[deque[Piece]] = []
        self._ended = True
        self._error: BaseException | None = None
        self._reading = False

    def begin(self, rank: int) -> int:
        """Waits until all ranks begin the next pass; returns its number."""
        with self._changed:
            before = self._pass
            self._arrived.add(rank)
            if len(self._arrived) < self._count:
                self._changed.wait_for(lambda: self._pass != before)
                return self._pass
            self._arrived.clear()
            self._pass += 1
            self._pieces = unread_pieces(self._dataset, self._position, self._pass)
            self._shares = EqualShares(self._count)
            self._dealt = [deque() for _ in range(self._count)]
            self._ended, self._error = False, None
            self._changed.notify_all()
            return self._pass

    def next_piece(self, number: int, rank: int) -> Piece | None:
        """Returns more rows of the rank's part; None where the pass is over."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: number != self._pass or self._dealt[rank] or self._ended or not self._reading
                )
                if number != self._pass:
                    return None
                if self._dealt[rank]:
                    return self._dealt[rank].popleft()
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                self._reading = True
            self._read_one()

    def _read_one(self) -> None:
        """Runs the dataset on to its next block, while other ranks may take what is dealt."""
        piece, error = None, None
        try:
            piece = next(self._pieces, None)
        except BaseException as raised:
            error = raised
        with self._changed:
            self._reading = False
            self._ended, self._error = piece is None, error
            if piece is not None:
                for rank, part in self._shares.add(piece):
                    self._dealt[rank].append(part)
            self._changed.notify_all()


def unread_pieces(dataset: Any, position: Position, number: int) -> Iterator[Piece]:
    """Runs one pass of a dataset, and yields the rows that are not done."""
    done = position.of_pass(number)
    first = 0
    for bundle in dataset.iter_internal_ref_bundles():
        for block, metadata in bundle.blocks:
            rows = metadata.num_rows
            for start, after in remaining(first, rows, done):
                yield Piece(block, start - first, after - start, start)
            first += rows
