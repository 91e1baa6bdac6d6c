"""Stages whose blocks are worked on one by one: reading, steps, samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.combine import unify_schemas
from shoal.data._internal.execution import remote_work
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.remote_calls import Calls
from shoal.data._internal.execution.stage import QueueStage, Stage, Work
from shoal.data._internal.execution.transforms import Step, TableStep
from shoal.data._internal.plan.compute import Compute
from shoal.data._internal.sources.source import ReadTask
from shoal.data.exceptions import SchemaMismatchError


class ReadStage(QueueStage):
    """Reads, and does the steps that follow in the same tasks."""

    def __init__(
        self, name: str, tasks: Sequence[ReadTask], steps: Sequence[Step], compute: Compute, calls: Calls
    ) -> None:
        super().__init__(name, sides=0)
        self._tasks = deque(tasks)
        self._count = len(tasks)
        self._steps = list(steps)
        self._compute = compute
        self._calls = calls
        self._files: dict[int, list[str]] = {}
        self._schema: pa.Schema | None = None
        # What functions of the user's make of rows may differ; what is read may not.
        self._is_one_table = all(isinstance(step, TableStep) for step in steps)

    def waiting(self) -> int:
        return len(self._tasks)

    def made(self, work: Work, bundle: Bundle) -> None:
        if self._is_one_table and bundle.rows and bundle.schema is not None:
            self._check_fits(bundle.schema, self._files.get(work.sequence, []))
        super().made(work, bundle)

    def _check_fits(self, schema: pa.Schema, files: list[str]) -> None:
        if self._schema is None or self._schema.equals(schema):
            self._schema = schema
            return
        try:
            self._schema = unify_schemas([self._schema, schema])
        except SchemaMismatchError as error:
            named = f"{', '.join(files[:3])}{', …' if len(files) > 3 else ''}" if files else self.name
            raise SchemaMismatchError(f"{named} does not fit to what has been read beside it: {error}") from error

    def work_ended(self, work: Work, result: list[Any]) -> None:
        self._files.pop(work.sequence, None)
        super().work_ended(work, result)

    @property
    def cpus(self) -> float:
        return self._calls.cpus(self._compute)

    @property
    def most_running(self) -> int | None:
        return self._compute.max_size

    def start(self) -> Work:
        task = self._tasks.popleft()
        sequence = self._next_sequence()
        self._files[sequence] = list(task.metadata.input_files or [])
        return Work(
            lambda: self._calls.stream(
                remote_work.read, self._compute, task, self._steps, self._calls.most_bytes, self._calls.retries.reading
            ),
            sequence,
            progress=(sequence + 1) / self._count,
        )

    def advance(self) -> None:
        if (not self._tasks or self.stopped) and self.running == 0:
            self.end()


class BlocksStage(Stage):
    """Blocks that exist already."""

    def __init__(self, name: str, bundles: Sequence[Bundle]) -> None:
        super().__init__(name, sides=0)
        self._bundles = deque(bundles)

    def take(self, bundle: Bundle, side: int) -> None:
        raise AssertionError("it has no input")

    def advance(self) -> None:
        count, emitted = len(self._bundles), 0
        while self._bundles and not self.stopped:
            emitted += 1
            self.emit(replace(self._bundles.popleft(), progress=emitted / count))
        self.end()


class TransformStage(QueueStage):
    """Steps over blocks, in tasks. Small blocks are worked on together.

    Args:
        rows_together: rows that a step wants at a time (its batch size); blocks are bundled to reach it.
    """

    def __init__(
        self, name: str, steps: Sequence[Step], compute: Compute, calls: Calls, rows_together: int | None
    ) -> None:
        super().__init__(name)
        self._steps = list(steps)
        self._compute = compute
        self._calls = calls
        self._rows_together = rows_together or 0
        self._blocks_seen = 0

    def waiting(self) -> int:
        if not self._queue:
            return 0
        if self.inputs_ended or self._is_enough(sum(bundle.rows for bundle in self._queue), self._queued_bytes):
            return 1 + self._queued_bytes // self._calls.least_bytes
        return 0

    def _is_enough(self, rows: int, size: int) -> bool:
        return rows >= self._rows_together and size >= self._calls.least_bytes

    @property
    def cpus(self) -> float:
        return self._calls.cpus(self._compute)

    @property
    def most_running(self) -> int | None:
        return self._compute.max_size

    def start(self) -> Work:
        bundles, number = self._next_bundles()
        steps, calls = self._steps, self._calls
        blocks = [bundle.block for bundle in bundles]
        return Work(
            lambda: calls.stream(remote_work.transform, self._compute, steps, calls.most_bytes, number, *blocks),
            self._next_sequence(),
            inputs=tuple(bundles),
        )

    def _next_bundles(self) -> tuple[list[Bundle], int]:
        bundles = [self._pop()]
        rows, size = bundles[0].rows, bundles[0].size
        while self._queue and not self._is_enough(rows, size):
            bundle = self._pop()
            bundles.append(bundle)
            rows += bundle.rows
            size += bundle.size
        number = self._blocks_seen
        self._blocks_seen += len(bundles)
        return bundles, number


class WriteStage(TransformStage):
    """Hands blocks to a sink, in tasks; numbered in the order of the blocks, so that names of files are the same each time."""

    def __init__(self, name: str, sink: Any, write_id: str, compute: Compute, calls: Calls) -> None:
        super().__init__(name, [], compute, calls, getattr(sink, "min_rows_per_write", None))
        self._sink = sink
        self._write_id = write_id

    def start(self) -> Work:
        bundles, _ = self._next_bundles()
        sequence = self._next_sequence()
        blocks = [bundle.block for bundle in bundles]
        return Work(
            lambda: self._calls.stream(
                remote_work.write,
                self._compute,
                self._sink,
                self._write_id,
                sequence,
                self._calls.retries.writing,
                *blocks,
            ),
            sequence,
            inputs=tuple(bundles),
        )


class SampleStage(QueueStage):
    """Random samples of blocks, by seed and position."""

    def __init__(self, fraction: float, seed: int, calls: Calls) -> None:
        super().__init__("RandomSample")
        self._fraction = fraction
        self._seed = seed
        self._calls = calls
        self._first_row = 0

    def waiting(self) -> int:
        return len(self._queue)

    def start(self) -> Work:
        bundle = self._pop()
        first = self._first_row
        self._first_row += bundle.rows
        arguments: tuple[Any, ...] = (self._fraction, self._seed, first, bundle.block)
        return Work(
            lambda: self._calls.stream(remote_work.sample, None, *arguments), self._next_sequence(), inputs=(bundle,)
        )
