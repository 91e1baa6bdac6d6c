"""Batches between runners and learners: nothing is lost but what has to be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib._internal.learning.batch_queue import BatchQueue, CircularBuffer


def same(part: Any) -> Any:
    return part


@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 60))
def test_all_that_arrives_goes_out_once_and_in_order(sizes: list[int], steps: int) -> None:
    queue = BatchQueue(steps, size=3)
    for part, size in enumerate(sizes):
        queue.add(part, size)
    batches = []
    while (batch := queue.take()) is not None:
        batches.append(batch)
    out = [part for batch in batches for part in batch]
    assert out == list(range(len(out)))
    assert all(sum(sizes[part] for part in batch) >= steps for batch in batches)
    assert all(sum(sizes[part] for part in batch[:-1]) < steps for batch in batches)
    assert sum(sizes[len(out) :]) < steps
    assert queue.dropped == 0


def test_a_queue_is_full_and_loses_nothing() -> None:
    queue = BatchQueue(steps=1, size=2)
    queue.add("a", 1)
    assert not queue.is_full
    queue.add("b", 1)
    queue.add("c", 1)
    assert queue.is_full
    assert [queue.take() for _ in range(4)] == [["a"], ["b"], ["c"], None]


@given(st.integers(1, 4), st.integers(1, 3), st.lists(st.booleans(), max_size=40))
def test_a_circular_buffer_hands_out_no_batch_too_often_and_counts_what_it_drops(
    size: int, uses: int, adds: list[bool]
) -> None:
    buffer = CircularBuffer(1, size, uses, seed=0)
    used: Counter[int] = Counter()
    arrived = 0
    for adding in adds:
        if adding:
            buffer.add(arrived, 1)
            arrived += 1
        elif (batch := buffer.take()) is not None:
            used.update(batch)
        assert len(buffer) <= size and not buffer.is_full
    while (batch := buffer.take()) is not None:
        used.update(batch)
    assert all(count <= uses for count in used.values())
    short = sum(used[part] < uses for part in range(arrived))
    assert short == buffer.dropped


def test_a_circular_buffer_mixes() -> None:
    buffer = CircularBuffer(1, 4, 2, seed=1)
    for part in range(4):
        buffer.add(part, 1)
    out = [batch[0] for _ in range(8) if (batch := buffer.take()) is not None]
    assert sorted(out) == [0, 0, 1, 1, 2, 2, 3, 3] != out


@pytest.mark.parametrize("make", [lambda: BatchQueue(2, 3), lambda: CircularBuffer(2, 3, 2, seed=5)])
def test_what_waits_is_a_part_of_the_state(make: Any) -> None:
    queue, other = make(), make()
    for part in range(7):
        queue.add(part, 1)
    queue.take()
    other.set_state(queue.get_state(lambda part: [part]), lambda parts: parts[0])
    for one in (queue, other):
        one.add("last", 1)
    taken = [queue.take() for _ in range(8)]
    assert [other.take() for _ in range(8)] == taken
    assert [6, "last"] in taken
