"""Placing blocks: tight, warm first, and never two in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core.logic.allocation import GRANULE, Allocator, Block, Hole, arena_size_for, block_size

MIB = 1 << 20


def allocator_with(*sizes: int) -> Allocator:
    allocator = Allocator()
    for number, size in enumerate(sizes, 1):
        allocator.add_arena(number, size)
    return allocator


@pytest.mark.parametrize(("size", "expected"), [(0, 64), (1, 64), (64, 64), (65, 128), (100_000_000, 100_000_000)])
def test_blocks_are_multiples_of_a_cache_line(size: int, expected: int) -> None:
    assert block_size(size) == expected


def test_arenas_are_multiples_of_a_granule() -> None:
    assert [arena_size_for(size) for size in (1, GRANULE, GRANULE + 1)] == [GRANULE, GRANULE, 2 * GRANULE]


def test_blocks_lie_next_to_each_other() -> None:
    allocator = allocator_with(16 * MIB)
    assert allocator.allocate(MIB) == Block(1, 0, 0)
    assert allocator.allocate(64) == Block(1, MIB, 0)
    assert allocator.allocate(MIB) == Block(1, MIB + 64, 64 * 1023), "the granule that it shares was touched"


def test_none_where_no_run_is_long_enough() -> None:
    allocator = allocator_with(2 * MIB)
    first = allocator.allocate(MIB)
    assert first is not None
    assert allocator.allocate(2 * MIB) is None
    allocator.release(1, first.offset, MIB)
    assert allocator.allocate(2 * MIB) is not None, "the freed block and the rest are one run again"


def test_a_repeated_put_reuses_the_same_warm_block() -> None:
    allocator = allocator_with(1024 * MIB)
    size = block_size(100_000_000)
    allocator.allocate(size)
    first = allocator.allocate(size)
    assert first is not None
    for _ in range(3):
        allocator.release(1, first.offset, size)
        again = allocator.allocate(size)
        assert again == Block(1, first.offset, size)
    allocator.check()


def test_the_block_freed_last_comes_first_among_equals() -> None:
    allocator = allocator_with(16 * MIB)
    blocks = [allocator.allocate(MIB) for _ in range(7)]
    for number in (1, 5, 3):
        block = blocks[number]
        assert block is not None
        allocator.release(1, block.offset, MIB)
    found = [allocator.allocate(MIB) for _ in range(3)]
    assert [block.offset // MIB for block in found if block] == [3, 5, 1]


def test_a_warm_run_is_better_than_a_cold_one_that_fits_tighter() -> None:
    allocator = allocator_with(4 * MIB, 16 * MIB)
    warm = allocator.allocate(8 * MIB)
    assert warm is not None
    assert warm.arena == 2
    allocator.release(2, warm.offset, 8 * MIB)
    assert allocator.allocate(4 * MIB) == Block(2, 0, 4 * MIB)


def test_warm_bytes_are_those_free_and_touched() -> None:
    allocator = allocator_with(16 * MIB)
    assert allocator.warm_bytes == 0
    block = allocator.allocate(3 * MIB)
    assert block is not None
    assert allocator.warm_bytes == 0
    allocator.release(1, block.offset, 3 * MIB)
    assert allocator.warm_bytes == 3 * MIB
    allocator.allocate(MIB)
    assert allocator.warm_bytes == 2 * MIB


def test_reclaim_punches_from_the_high_end_of_what_was_freed_longest_ago() -> None:
    allocator = allocator_with(16 * MIB)
    for _ in range(6):
        allocator.allocate(MIB)
    allocator.release(1, 4 * MIB, MIB)
    allocator.release(1, 1 * MIB, MIB)
    holes, removed = allocator.reclaim(MIB)
    assert (holes, removed) == ([Hole(1, 4 * MIB, MIB), Hole(1, 2 * MIB - MIB // 8, MIB // 8)], [])
    assert allocator.warm_bytes == MIB - MIB // 8
    assert allocator.reclaim(MIB) == ([], []), "it went a little lower than the limit"
    allocator.check()


def test_a_range_being_punched_is_nobodys_until_it_is_done() -> None:
    allocator = allocator_with(2 * MIB)
    allocator.allocate(2 * MIB)
    allocator.release(1, 0, 2 * MIB)
    holes, _ = allocator.reclaim(0)
    assert holes == [Hole(1, 0, 2 * MIB)]
    punching = allocator.is_punching
    assert punching
    assert allocator.allocate(64) is None
    allocator.punched(1, 0, 2 * MIB)
    assert not allocator.is_punching
    assert allocator.allocate(2 * MIB) == Block(1, 0, 0), "cold again"


def test_an_announcement_of_another_hole_is_refused() -> None:
    allocator = allocator_with(2 * MIB)
    with pytest.raises(AssertionError, match="no hole"):
        allocator.punched(1, 0, MIB)


def test_an_empty_arena_goes_when_its_pages_are_too_many() -> None:
    allocator = allocator_with(2 * MIB, 64 * MIB)
    allocator.allocate(MIB)
    allocator.allocate(64 * MIB)
    allocator.release(2, 0, 64 * MIB)
    assert allocator.reclaim(64 * MIB) == ([], []), "kept, for the next object of this size"
    assert allocator.reclaim(MIB) == ([], [2])
    assert allocator.arenas() == {1: 2 * MIB}


def test_the_last_arena_stays() -> None:
    allocator = allocator_with(2 * MIB)
    assert allocator.reclaim(0) == ([], [])
    assert allocator.arenas() == {1: 2 * MIB}


@given(st.data())
def test_random_use_keeps_the_books(data: st.DataObject) -> None:
    allocator = allocator_with(MIB, 2 * MIB)
    live: list[tuple[int, int, int]] = []
    holes: list[Hole] = []
    for _ in range(data.draw(st.integers(1, 40))):
        action = data.draw(st.sampled_from(["allocate", "allocate", "release", "reclaim", "punched"]))
        if action == "allocate":
            size = block_size(data.draw(st.sampled_from([1, 1000, 65_536, 70_000, 131_072, 300_000, 1 << 20])))
            block = allocator.allocate(size)
            if block is not None:
                live.append((block.arena, block.offset, size))
        elif action == "release" and live:
            allocator.release(*live.pop(data.draw(st.integers(0, len(live) - 1))))
        elif action == "reclaim":
            limit = data.draw(st.sampled_from([0, 100_000, 1 << 20]))
            new, removed = allocator.reclaim(limit)
            holes += new
            assert allocator.warm_bytes <= limit
            assert not {arena for arena, _, _ in live} & set(removed)
        elif action == "punched" and holes:
            hole = holes.pop(data.draw(st.integers(0, len(holes) - 1)))
            allocator.punched(hole.arena, hole.offset, hole.size)
        allocator.check()
        parts = sorted(live + [(hole.arena, hole.offset, hole.size) for hole in allocator.free_ranges()])
        for arena, size in allocator.arenas().items():
            ends = [(offset, offset + length) for where, offset, length in parts if where == arena]
            assert [start for start, _ in ends] == [0] + [end for _, end in ends[:-1]]
            assert ends[-1][1] == size
