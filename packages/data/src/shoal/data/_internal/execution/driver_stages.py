"""Stages that only look at what is known of blocks, and cut or order them: limit, union, zip, rows a block, order of blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from shoal.data._internal.execution import remote_work
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.positional import block_order
from shoal.data._internal.execution.remote_calls import Calls
from shoal.data._internal.execution.remote_work import Slice
from shoal.data._internal.execution.stage import QueueStage, Stage, Work


class LimitStage(QueueStage):
    """The first rows; what comes before it is stopped when they are there."""

    def __init__(self, count: int, calls: Calls) -> None:
        super().__init__(f"Limit({count})")
        self._left = count
        self._calls = calls
        self._to_cut: deque[tuple[int, Bundle, int]] = deque()
        self.stop_inputs: Callable[[], None] = _nothing
        self._emitted = False

    def take(self, bundle: Bundle, side: int) -> None:
        if self._left <= 0 and self._emitted:
            return
        self._emitted = True
        if bundle.rows <= self._left:
            self._left -= bundle.rows
            sequence = self._next_sequence()
            for ready in [*self._output.made(sequence, bundle), *self._output.ended(sequence)]:
                self.emit(ready)
        else:
            self._to_cut.append((self._next_sequence(), bundle, self._left))
            self._left = 0
        if self._left == 0:
            self.stop_inputs()
        self.advance()

    def waiting(self) -> int:
        return len(self._to_cut)

    @property
    def cpus(self) -> float:
        return 0.0

    def start(self) -> Work:
        sequence, bundle, rows = self._to_cut.popleft()
        return Work(
            lambda: self._calls.stream(remote_work.gather, None, [(0, 0, rows)], bundle.block),
            sequence,
            inputs=(bundle,),
        )

    def advance(self) -> None:
        if (self.inputs_ended or (self._left == 0 and self._emitted)) and not self._to_cut and self.running == 0:
            self.end()


class UnionStage(Stage):
    """All blocks of the first input, then all of the second, …"""

    def __init__(self, sides: int) -> None:
        super().__init__(f"Union({sides})", sides)
        self._held: list[deque[Bundle]] = [deque() for _ in range(sides)]
        self._ended = [False] * sides
        self._current = 0

    def take(self, bundle: Bundle, side: int) -> None:
        self._held[side].append(bundle)
        self.advance()

    def side_ended(self, side: int) -> None:
        self._ended[side] = True
        super().side_ended(side)

    @property
    def queued_bytes(self) -> int:
        return sum(bundle.size for held in self._held for bundle in held)

    def advance(self) -> None:
        while self._current < len(self._held):
            held = self._held[self._current]
            while held:
                self.emit(replace(held.popleft(), progress=None))
            if not self._ended[self._current]:
                return
            self._current += 1
        self.end()


class OrderStage(Stage):
    """All blocks in a random order."""

    def __init__(self, seed: int) -> None:
        super().__init__("RandomizeBlockOrder")
        self._seed = seed
        self._bundles: list[Bundle] = []

    def take(self, bundle: Bundle, side: int) -> None:
        self._bundles.append(bundle)

    def advance(self) -> None:
        if self.inputs_ended and not self.ended:
            for position in block_order(len(self._bundles), self._seed):
                self.emit(replace(self._bundles[position], progress=None))
            self._bundles.clear()
            self.end()


class RowsStage(QueueStage):
    """The same rows in blocks of so many rows."""

    def __init__(self, rows: int, calls: Calls) -> None:
        super().__init__(f"Repartition({rows} rows)")
        self._rows = rows
        self._calls = calls
        self._offset = 0
        """Rows of the first block in the queue that have been used."""

    def _queued_rows(self) -> int:
        return sum(bundle.rows for bundle in self._queue) - self._offset

    def waiting(self) -> int:
        rows = self._queued_rows()
        return -(-rows // self._rows) if self.inputs_ended else rows // self._rows

    def start(self) -> Work:
        slices: list[Slice] = []
        bundles: list[Bundle] = []
        left = self._rows
        while self._queue and left > 0:
            bundle = self._queue[0]
            rows = min(left, bundle.rows - self._offset)
            if rows > 0:
                slices.append((len(bundles), self._offset, rows))
                bundles.append(bundle)
            left -= rows
            self._offset += rows
            if self._offset >= bundle.rows:
                self._pop()
                self._offset = 0
        blocks = [bundle.block for bundle in bundles]
        return Work(
            lambda: self._calls.stream(remote_work.gather, None, slices, *blocks),
            self._next_sequence(),
            inputs=tuple(bundles),
        )

    def advance(self) -> None:
        while self._queue and self._queue[0].rows == 0:
            self._pop()
        super().advance()


class ZipStage(QueueStage):
    """Columns of all inputs side by side, in the blocks of the first."""

    def __init__(self, sides: int, calls: Calls) -> None:
        super().__init__(f"Zip({sides})", sides)
        self._calls = calls
        self._held: list[list[Bundle]] = [[] for _ in range(sides)]
        self._next_row = 0
        self._next_block = 0

    def take(self, bundle: Bundle, side: int) -> None:
        self._held[side].append(bundle)

    @property
    def queued_bytes(self) -> int:
        return sum(bundle.size for held in self._held for bundle in held)

    def advance(self) -> None:
        if self.inputs_ended and self._next_block == 0:
            rows = [sum(bundle.rows for bundle in held) for held in self._held]
            if len(set(rows)) > 1:
                raise ValueError(f"zip: the datasets have different numbers of rows: {', '.join(map(str, rows))}")
        if self.inputs_ended and self._next_block >= len(self._held[0]) and self.running == 0:
            self.end()

    def waiting(self) -> int:
        return len(self._held[0]) - self._next_block if self.inputs_ended else 0

    def start(self) -> Work:
        first = self._held[0][self._next_block]
        self._next_block += 1
        blocks = [first.block]
        groups: list[list[Slice]] = [[(0, 0, first.rows)]]
        groups.extend(self._slices(held, first.rows, blocks) for held in self._held[1:])
        self._next_row += first.rows
        return Work(
            lambda: self._calls.stream(remote_work.beside, None, groups, *blocks),
            self._next_sequence(),
            inputs=(first,),
        )

    def _slices(self, held: list[Bundle], rows: int, blocks: list[object]) -> list[Slice]:
        """Returns where the next rows of an input lie, and adds their blocks."""
        slices: list[Slice] = []
        start = self._next_row
        position = 0
        for bundle in held:
            begin = max(start, position)
            end = min(start + rows, position + bundle.rows)
            if begin < end or (rows == 0 and not slices):
                slices.append((len(blocks), max(0, begin - position), max(0, end - begin)))
                blocks.append(bundle.block)
            position += bundle.rows
        return slices


def _nothing() -> None:
    return
