"""A rank's part of a dataset, which knows how far it has been read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

import shoal
import shoal.data
from shoal.data import DataIterator
from shoal.train._internal.logic.positions import PassProgress, Position, joined
from shoal.train._internal.logic.sharing import Piece
from shoal.train._internal.process.dataset_splitter import unread_pieces

if TYPE_CHECKING:
    from shoal.data import DataContext, MaterializedDataset, Schema

_ROW = "__shoal_row__"
"""The column that numbers rows while a local shuffle mixes them; no batch has it."""


class PieceSource(Protocol):
    """Where the rows come from, pass after pass."""

    def pieces(self, number: int) -> Iterator[Piece]:
        """Yields the rows of a pass that are not done."""


class SplitPieces:
    """One part of what a splitter deals out.

    Args:
        splitter: the actor.
        rank: whose part.
    """

    def __init__(self, splitter: Any, rank: int) -> None:
        self._splitter = splitter
        self._rank = rank

    def pieces(self, number: int) -> Iterator[Piece]:
        begun = shoal.get(self._splitter.begin.remote(self._rank))
        upcoming = self._splitter.next_piece.remote(begun, self._rank)
        while (piece := shoal.get(upcoming)) is not None:
            # The next one is on its way while this one is worked on.
            upcoming = self._splitter.next_piece.remote(begun, self._rank)
            yield piece


class WholePieces:
    """All rows, run in the rank's own process.

    Args:
        dataset: of shoal.data.
        position: where the first pass goes on.
    """

    def __init__(self, dataset: Any, position: Position) -> None:
        self._dataset = dataset
        self._position = position

    def pieces(self, number: int) -> Iterator[Piece]:
        return unread_pieces(self._dataset, self._position, number)


class DatasetShard(DataIterator):
    """Rows to loop over. After a restart the first loop goes on where the checkpoint was made; each further one begins anew.

    Args:
        source: where they come from.
        position: where the first pass goes on.
        schema: columns and types; None where nobody knows yet.
        context: Data's settings.
    """

    def __init__(self, source: PieceSource, position: Position, schema: Schema | None, context: DataContext) -> None:
        self._source = source
        self._base = position
        self._schema = schema
        self._context = context
        self._passes: list[PassProgress] = []
        """The one that is read, and the one before it: other ranks may still be there."""

    def position(self) -> dict[str, Any]:
        """Returns how far the loop has read."""
        number = self._base.pass_number
        if self._passes:
            last = self._passes[-1]
            number = last.number + last.is_over
        read = Position(number, {progress.number: progress.taken for progress in self._passes})
        base = Position(number, {each: spans for each, spans in self._base.done.items() if each >= number - 1})
        passes = sorted({*read.done, *base.done})
        return Position(
            number,
            {each: joined([Position(each, read.done), Position(each, base.done)]).of_pass(each) for each in passes},
        ).as_json()

    def _begin(self) -> PassProgress:
        number = self._passes[-1].number + 1 if self._passes else self._base.pass_number
        progress = PassProgress(number)
        self._passes = [*self._passes[-1:], progress]
        return progress

    def _counted(self, loop: Callable[[PassProgress], Iterable[Any]]) -> Iterable[Any]:
        return _Loop(lambda: self._run(loop))

    def _run(self, loop: Callable[[PassProgress], Iterable[Any]]) -> Iterator[Any]:
        progress = self._begin()
        yield from loop(progress)
        progress.finish()

    def iter_rows(self) -> Iterable[dict[str, Any]]:
        """Returns rows to loop over, as dicts."""

        def loop(progress: PassProgress) -> Iterator[dict[str, Any]]:
            for row in _OnePass(self, progress).iter_rows():
                progress.take(1)
                yield row

        return self._counted(loop)

    def iter_batches(
        self,
        *,
        local_shuffle_buffer_size: int | None = None,
        _collate_fn: Callable[[Any], Any] | None = None,
        _finalize_fn: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> Iterable[Any]:
        """Returns batches to loop over; see `shoal.data.DataIterator.iter_batches`."""
        is_mixed = local_shuffle_buffer_size is not None

        def collate(batch: Any) -> tuple[Any, Any]:
            batch, rows = _without_row_numbers(batch) if is_mixed else (batch, _rows_in(batch))
            return (_collate_fn(batch) if _collate_fn is not None else batch), rows

        def finalize(pair: tuple[Any, Any]) -> tuple[Any, Any]:
            return (_finalize_fn(pair[0]) if _finalize_fn is not None else pair[0]), pair[1]

        def batches(progress: PassProgress) -> Iterable[Any]:
            return _OnePass(self, progress, is_mixed).iter_batches(
                local_shuffle_buffer_size=local_shuffle_buffer_size,
                _collate_fn=collate,
                _finalize_fn=finalize,
                **options,
            )

        def loop(progress: PassProgress) -> Iterator[Any]:
            for batch, rows in batches(progress):
                if is_mixed:
                    progress.take_these(rows)
                else:
                    progress.take(rows)
                yield batch

        batches(PassProgress(0))  # Wrong arguments are told at once, not when the loop begins.
        return self._counted(loop)

    def materialize(self) -> MaterializedDataset:
        """Returns one pass over it as a dataset that exists."""
        progress = self._begin()
        tables = list(_OnePass(self, progress)._open())
        progress.finish()
        if not tables and self._schema is not None:
            tables = [self._schema.base_schema.empty_table()]
        made: MaterializedDataset = shoal.data.from_arrow(tables)
        return made

    def _open(self) -> Iterator[pa.Table]:
        return self._run(lambda progress: _OnePass(self, progress, is_counted=True)._open())

    def schema(self) -> Schema | None:
        return self._schema

    def stats(self) -> str:
        return ""

    def get_context(self) -> DataContext:
        return self._context


class _OnePass(DataIterator):
    """Reads one pass."""

    def __init__(
        self, shard: DatasetShard, progress: PassProgress, numbers_rows: bool = False, is_counted: bool = False
    ) -> None:
        self._shard = shard
        self._progress = progress
        self._numbers_rows = numbers_rows
        self._is_counted = is_counted

    def _open(self) -> Iterator[pa.Table]:
        for piece in self._shard._source.pieces(self._progress.number):
            block: pa.Table = shoal.get(piece.block)
            table = block.slice(piece.start, piece.rows)
            if self._numbers_rows:
                yield table.append_column(_ROW, pa.array(range(piece.first, piece.first + piece.rows), pa.int64()))
                continue
            self._progress.arrive(piece.first, piece.rows)
            if self._is_counted:
                self._progress.take(piece.rows)
            yield table

    def schema(self) -> Schema | None:
        return self._shard.schema()

    def stats(self) -> str:
        return self._shard.stats()

    def get_context(self) -> DataContext:
        return self._shard.get_context()

    def materialize(self) -> MaterializedDataset:
        return self._shard.materialize()


class _Loop:
    """Something to loop over, any number of times."""

    def __init__(self, begin: Callable[[], Iterator[Any]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[Any]:
        return self._begin()


def _rows_in(batch: Any) -> int:
    if isinstance(batch, pa.Table):
        return int(batch.num_rows)
    if isinstance(batch, Mapping):
        return len(next(iter(batch.values()), ()))
    return len(batch)


def _without_row_numbers(batch: Any) -> tuple[Any, list[int]]:
    if isinstance(batch, pa.Table):
        return batch.drop_columns([_ROW]), batch.column(_ROW).to_pylist()
    if isinstance(batch, Mapping):
        others = {name: column for name, column in batch.items() if name != _ROW}
        return others, batch[_ROW].tolist()
    return batch.drop(columns=[_ROW]), batch[_ROW].tolist()
