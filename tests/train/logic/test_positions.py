"""Which rows are done."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from shoal.train._internal.logic.positions import PassProgress, Position, joined, merged, remaining
from shoal.train._internal.logic.sharing import EqualShares, Piece

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])))


def rows_of(spans: list[tuple[int, int]]) -> set[int]:
    return {row for first, after in spans for row in range(first, after)}


@given(spans=SPANS)
def test_merged_spans_are_the_same_rows(spans: list[tuple[int, int]]) -> None:
    found = merged(spans)
    assert rows_of(found) == rows_of(spans)
    assert all(first < after for first, after in found)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))


@given(spans=SPANS, first=st.integers(0, 60), rows=st.integers(0, 40))
def test_what_remains_is_what_is_not_done(spans: list[tuple[int, int]], first: int, rows: int) -> None:
    left = remaining(first, rows, merged(spans))
    assert rows_of(left) == set(range(first, first + rows)) - rows_of(spans)
    assert sum(after - start for start, after in left) == len(rows_of(left))


@given(blocks=st.lists(st.integers(1, 20), max_size=20), ranks=st.integers(1, 5))
def test_ranks_get_equally_many_rows_and_none_twice(blocks: list[int], ranks: int) -> None:
    shares, first = EqualShares(ranks), 0
    got: list[list[int]] = [[] for _ in range(ranks)]
    for number, rows in enumerate(blocks):
        for rank, piece in shares.add(Piece(number, 0, rows, first)):
            assert piece.start == piece.first - first or piece.block != number
            got[rank] += range(piece.first, piece.first + piece.rows)
        first += rows
    assert {len(rows) for rows in got} == {first // ranks}
    everything = sorted(row for rows in got for row in rows)
    assert everything == list(range(len(everything)))
    assert all(rows == sorted(rows) for rows in got)


def test_taken_rows_follow_what_arrived() -> None:
    progress = PassProgress(3)
    progress.arrive(0, 4)
    progress.arrive(10, 4)
    progress.take(3)
    assert progress.taken == [(0, 3)]
    progress.take(3)
    assert progress.taken == [(0, 4), (10, 12)]
    progress.take_these([13, 12])
    assert progress.taken == [(0, 4), (10, 14)]


def test_ranks_together_are_in_the_pass_of_the_last() -> None:
    """One that is ahead has had its part of the pass that others are still in."""
    ahead = Position(1, {0: [(0, 5)], 1: [(0, 2)]})
    behind = Position(0, {0: [(5, 8)]})
    assert joined([ahead, behind]) == Position(0, {0: [(0, 8)], 1: [(0, 2)]})
    assert joined([ahead, ahead]) == Position(1, {1: [(0, 2)]})
    assert joined([]) == Position()


def test_positions_survive_json() -> None:
    position = Position(2, {2: [(0, 3), (5, 9)], 3: [(1, 2)]})
    assert Position.from_json(position.as_json()) == position


def test_any_number_of_restarts_sees_each_row_once() -> None:
    """Ranks take some rows each, stop, and others go on with what is left."""
    chance = random.Random(7)
    for _ in range(200):
        blocks = [chance.randint(1, 9) for _ in range(chance.randint(1, 8))]
        total, seen = sum(blocks), []
        position = Position()
        for _ in range(20):
            ranks = chance.randint(1, 4)
            shares, first = EqualShares(ranks), 0
            progress = [PassProgress(0) for _ in range(ranks)]
            arrived = [0] * ranks
            for rows in blocks:
                for start, after in remaining(first, rows, position.of_pass(0)):
                    for rank, piece in shares.add(Piece(None, 0, after - start, start)):
                        progress[rank].arrive(piece.first, piece.rows)
                        arrived[rank] += piece.rows
                first += rows
            for rank in range(ranks):
                progress[rank].take(chance.randint(0, arrived[rank]))
                seen += sorted(rows_of(progress[rank].taken))
            taken = [Position(0, {0: one.taken}) for one in progress]
            position = joined([*taken, position])
        assert len(seen) == len(set(seen))
        assert rows_of(list(position.of_pass(0))) == set(seen) <= set(range(total))
