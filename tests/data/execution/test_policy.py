"""The scheduling policy, alone and in a simulated pipeline."""

from __future__ import annotations

import random
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.data._internal.execution.policy import OperatorView, next_to_start


def view(
    waiting: int = 1,
    running: int = 0,
    most: int | None = None,
    cpus: float = 1.0,
    size: float = 10.0,
    output: int = 0,
    slots: int | None = None,
) -> OperatorView:
    return OperatorView(waiting, running, most, cpus, size, output, slots)


def test_the_one_nearest_to_the_consumer_starts() -> None:
    assert next_to_start([view(), view(), view()], 2, 1000) == 2
    assert next_to_start([view(), view(), view(waiting=0)], 2, 1000) == 1


def test_nothing_starts_without_a_free_processor() -> None:
    assert next_to_start([view(), view()], 0.5, 1000) is None
    assert next_to_start([view(), view(cpus=0)], 0.0, 1000) == 1


def test_a_limit_of_tasks_is_kept() -> None:
    assert next_to_start([view(), view(running=2, most=2)], 5, 1000) == 0


def test_actors_need_a_free_slot_and_no_processor() -> None:
    assert next_to_start([view(slots=0)], 5, 1000) is None
    assert next_to_start([view(slots=1)], 0, 1000) == 0


def test_what_does_not_fit_waits_while_something_runs() -> None:
    assert next_to_start([view(size=600), view(waiting=0, running=1, size=500)], 5, 1000) is None


def test_with_nothing_running_one_block_is_always_worked_on() -> None:
    assert next_to_start([view(size=5000)], 5, 1000) == 0
    assert next_to_start([view(waiting=1, output=995), view(size=5000)], 5, 1000) == 1


def test_blocks_that_the_consumer_has_not_taken_hold_the_pipeline() -> None:
    assert next_to_start([view(), view(waiting=0, output=2000)], 5, 1000) is None


class Pipeline:
    """Operators in a row; each makes one block of each block. Time passes when nothing may start."""

    def __init__(self, sizes: list[list[int]], blocks: int, cpus: int, memory: float, seed: int) -> None:
        self.random = random.Random(seed)
        self.sizes = sizes
        self.queues: list[deque[int]] = [deque() for _ in sizes]
        self.queues[0].extend([0] * blocks)
        self.running: list[tuple[float, int, int]] = []
        self.free = float(cpus)
        self.memory = memory
        self.delivered: deque[int] = deque()
        self.taken = 0
        self.now = 0.0
        self.most_used = 0

    def views(self) -> list[OperatorView]:
        views = []
        for position, queue in enumerate(self.queues):
            after = self.queues[position + 1] if position + 1 < len(self.queues) else self.delivered
            running = sum(1 for _, operator, _ in self.running if operator == position)
            size = max(self.sizes[position])
            views.append(OperatorView(len(queue), running, None, 1.0, size, sum(after)))
        return views

    def run(self, steps: int) -> None:
        for _ in range(steps):
            while (position := next_to_start(self.views(), self.free, self.memory)) is not None:
                self.queues[position].popleft()
                size = self.random.choice(self.sizes[position])
                self.running.append((self.now + self.random.random(), position, size))
                self.free -= 1
            used = sum(map(sum, self.queues[1:])) + sum(self.delivered) + sum(size for _, _, size in self.running)
            self.most_used = max(self.most_used, used)
            if self.running and self.random.random() < 0.7:
                self.running.sort()
                self.now, position, size = self.running.pop(0)
                self.free += 1
                (self.queues[position + 1] if position + 1 < len(self.queues) else self.delivered).append(size)
            elif self.delivered:
                self.delivered.popleft()
                self.taken += 1


@given(
    st.lists(st.lists(st.integers(1, 100), min_size=1, max_size=3), min_size=1, max_size=5),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(50, 500),
    st.integers(0, 1000),
)
@settings(max_examples=200, deadline=None)
def test_every_block_arrives_and_memory_stays_within_the_budget(
    sizes: list[list[int]], blocks: int, cpus: int, memory: int, seed: int
) -> None:
    pipeline = Pipeline(sizes, blocks, cpus, memory, seed)
    pipeline.run(steps=blocks * len(sizes) * 20 + 200)
    assert pipeline.taken == blocks
    assert pipeline.most_used <= memory + max(map(max, sizes)), "one block may be worked on beyond the budget"
