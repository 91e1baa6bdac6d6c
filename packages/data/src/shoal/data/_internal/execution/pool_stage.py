"""A stage that runs on a pool of actors: each keeps the user's object, and works on blocks that are sent ahead to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

import shoal
from shoal.data._internal.blocks.combine import slice_rows
from shoal.data._internal.execution import remote_work
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.remote_calls import AHEAD, Calls
from shoal.data._internal.execution.stage import Work
from shoal.data._internal.execution.task_stages import TransformStage
from shoal.data._internal.execution.transforms import Step
from shoal.data._internal.plan.compute import Compute

SENT_AHEAD = 2
"""Calls for each that an actor works on at a time: so that it never waits for the next block."""


ASYNC_CALLS = 4
"""That an actor works on at a time, where a step's function gives coroutines."""
_STREAM = {"num_returns": "streaming", "_generator_backpressure_num_objects": AHEAD}


class BlockWorker:
    """The actor: makes the user's objects once, then does the steps over blocks."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def run(
        self, most: int | None, number: int, slices: Sequence[remote_work.Slice], *tables: pa.Table
    ) -> Iterator[Any]:
        """Yields blocks and infos."""
        rows = [slice_rows(tables[which], start, count) for which, start, count in slices]
        yield from remote_work.transform(self._steps, most, number, *rows)

    def open(self) -> None:
        """Makes the user's objects. Raises what their constructors raise; after a restart, the next call makes them."""
        for step in self._steps:
            step.open()


class Slot:
    """One actor of the pool; it gets work once it has opened."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.opening = actor.open.remote()
        self.is_open = False
        self.in_flight = 0


class PoolStage(TransformStage):
    """Steps over blocks, on actors.

    Where a step has a batch size, a call gets whole batches, as many as are worth a call, of one block or several: all actors work on a
    large block, and results stream. The cuts depend on the blocks alone, so that they are the same in every run.
    """

    def __init__(
        self, name: str, steps: Sequence[Step], compute: Compute, calls: Calls, rows_together: int | None
    ) -> None:
        super().__init__(name, steps, compute, calls, rows_together)
        at_a_time = compute.concurrent_calls
        if at_a_time == 1 and any(step.is_async for step in steps):
            at_a_time = ASYNC_CALLS
        self._at_a_time = at_a_time
        self._per_actor = compute.tasks_in_flight or calls.tasks_in_flight or SENT_AHEAD * at_a_time
        self._slots: list[Slot] = []
        self.first_actors = compute.min_size
        self.most_actors = compute.max_size
        self._offset = 0
        """Rows of the first block in the queue that have been sent."""

    def waiting(self) -> int:
        if not self._rows_together:
            return super().waiting()
        if not self._queue:
            return 0
        rows = sum(bundle.rows for bundle in self._queue) - self._offset
        a_call = self._rows_a_call()
        return max(1, -(-rows // a_call)) if self.inputs_ended else rows // a_call

    def _rows_a_call(self) -> int:
        """Of whole batches that are worth a call, by the size of the next rows."""
        bundle = next((bundle for bundle in self._queue if bundle.rows), self._queue[0])
        a_batch = bundle.size * self._rows_together // max(1, bundle.rows)
        return self._rows_together * max(1, self._calls.least_bytes // max(1, a_batch))

    def _next_call(self) -> tuple[list[Bundle], int, list[remote_work.Slice]]:
        """Returns blocks, the first one's number in the dataset, and which of their rows are worked on."""
        if not self._rows_together:
            bundles, number = self._next_bundles()
            return bundles, number, [(which, 0, bundle.rows) for which, bundle in enumerate(bundles)]
        bundles, slices = [], []
        number, left = self._blocks_seen, self._rows_a_call()
        while self._queue and left > 0:
            bundle = self._queue[0]
            rows = min(left, bundle.rows - self._offset)
            slices.append((len(bundles), self._offset, rows))
            bundles.append(bundle)
            left -= rows
            self._offset += rows
            if self._offset >= bundle.rows:
                self._pop()
                self._blocks_seen += 1
                self._offset = 0
        return bundles, number, slices

    @property
    def pool_cpus(self) -> float:
        """Processors that its actors keep busy."""
        return len(self._slots) * self.cpus

    @property
    def size(self) -> int:
        return len(self._slots)

    async def open(self) -> None:
        for _ in range(self.first_actors):
            self._add_actor()

    async def close(self) -> None:
        for slot in self._slots:
            shoal.kill(slot.actor)
        self._slots.clear()

    def _add_actor(self) -> None:
        options: dict[str, Any] = {"max_restarts": -1, "max_task_retries": -1, "max_concurrency": self._at_a_time}
        options |= self._calls.options(self._compute)
        self._slots.append(Slot(shoal.remote(**options)(BlockWorker).remote(self._steps)))

    def opening(self) -> list[Slot]:
        """Actors that have not opened."""
        return [slot for slot in self._slots if not slot.is_open]

    @property
    def most_running(self) -> int | None:
        return None

    def free_slots(self) -> int | None:
        return sum(self._per_actor - slot.in_flight for slot in self._slots if slot.is_open)

    def grow(self, free_cpus: float) -> bool:
        """Starts one more actor where there is work for it. Returns whether it did."""
        has_room = (self.most_actors is None or len(self._slots) < self.most_actors) and self.cpus <= free_cpus
        if has_room and self.waiting() > 0 and not self.free_slots() and not self.opening() and not self.stopped:
            self._add_actor()
            return True
        return False

    def shrink(self) -> bool:
        """Ends one actor that has nothing to do, beyond those that the pool began with. Returns whether it did."""
        idle = next((slot for slot in self._slots if slot.is_open and not slot.in_flight), None)
        if idle is None or len(self._slots) <= self.first_actors or self.waiting() > 0:
            return False
        self._slots.remove(idle)
        shoal.kill(idle.actor)
        return True

    def start(self) -> Work:
        bundles, number, slices = self._next_call()
        slot = min((slot for slot in self._slots if slot.is_open), key=lambda slot: slot.in_flight)
        slot.in_flight += 1
        blocks = [bundle.block for bundle in bundles]
        most = self._calls.most_bytes
        return Work(
            lambda: slot.actor.run.options(**_STREAM).remote(most, number, slices, *blocks),
            self._next_sequence(),
            actor=slot,
            inputs=tuple(bundles),
        )

    def work_ended(self, work: Work, result: list[Any]) -> None:
        work.actor.in_flight -= 1
        super().work_ended(work, result)
