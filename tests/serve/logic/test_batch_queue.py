"""When batches begin, and what is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.serve._internal.logic.batch_queue import BatchQueue


def test_a_full_batch_begins_at_once() -> None:
    queue: BatchQueue[str] = BatchQueue(2, 1.0)
    queue.add("a", 0.0)
    assert queue.take(0.0) == []
    assert queue.due() == 1.0
    queue.add("b", 0.5)
    queue.add("c", 0.5)
    assert queue.take(0.5) == ["a", "b"]
    assert queue.due() == 1.5


def test_what_has_waited_long_enough_begins_alone() -> None:
    queue: BatchQueue[str] = BatchQueue(10, 1.0)
    queue.add("a", 0.0)
    assert queue.take(0.9) == []
    assert queue.take(1.0) == ["a"]
    assert queue.due() is None
    assert queue.take(5.0) == []


def test_sizes_count_instead_of_items() -> None:
    queue: BatchQueue[int] = BatchQueue(10, 1.0, size_of=lambda size: size)
    for size in (6, 5, 30, 1):
        queue.add(size, 0.0)
    assert [queue.take(0.0), queue.take(0.0), queue.take(0.0), queue.take(0.0)] == [[6], [5], [30], []]
    assert queue.take(1.0) == [1]


def test_those_who_go_leave_no_hole() -> None:
    queue: BatchQueue[list[int]] = BatchQueue(2, 1.0)
    items: list[list[int]] = [[], [], []]
    for item in items:
        queue.add(item, 0.0)
    assert queue.remove(items[1])
    assert not queue.remove(items[1])
    assert queue.take(0.0) == [items[0], items[2]]


@given(
    max_size=st.integers(1, 8),
    wait=st.floats(0, 2),
    steps=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 12)), max_size=60),
)
def test_all_come_out_in_order_and_in_time(max_size: int, wait: float, steps: list[tuple[float, int]]) -> None:
    queue: BatchQueue[tuple[int, int]] = BatchQueue(max_size, wait, size_of=lambda item: item[1])
    now, out, arrived = 0.0, [], {}
    for number, (pause, size) in enumerate(steps):
        while (due := queue.due()) is not None and due <= now + pause:
            batch = queue.take(due)
            assert batch
            assert sum(size for _, size in batch) <= max_size or len(batch) == 1
            out += batch
        now += pause
        queue.add((number, size), now)
        arrived[number] = now
        while batch := queue.take(now):
            assert sum(size for _, size in batch) <= max_size or len(batch) == 1
            out += batch
    while (due := queue.due()) is not None:
        out += queue.take(max(due, now))
    assert [number for number, _ in out] == list(range(len(steps)))
