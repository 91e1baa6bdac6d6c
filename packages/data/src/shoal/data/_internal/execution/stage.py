"""Stages: the operators of a running plan. A stage takes blocks in order, has tasks to start, and emits blocks in order.

Stages decide nothing about when: the executor starts their tasks by the policy, tells them what the tasks made, and runs on one thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.policy import OperatorView
from shoal.data._internal.execution.stage_stats import StageStats

UNKNOWN_BYTES = 1 << 20
"""What a task's output is thought to take before any has ended."""


@dataclass(eq=False)
class Work:
    """One task of a stage.

    Args:
        submit: starts it; returns a generator of references (block, info, block, info, …), or a list of references.
        sequence: its place in the stage's order.
        actor: the pool's slot that it runs on.
        inputs: blocks that must live until it has ended.
    """

    submit: Callable[[], Any]
    sequence: int
    actor: Any = None
    inputs: tuple[Bundle, ...] = ()
    purpose: str = "blocks"
    progress: float | None = None
    """Of the blocks that it makes: see `Bundle`. Where it has inputs, theirs."""

    def __post_init__(self) -> None:
        if self.progress is None and self.inputs:
            known = [bundle.progress for bundle in self.inputs if bundle.progress is not None]
            self.progress = max(known) if len(known) == len(self.inputs) else None


class OrderedOutput:
    """Blocks leave in the order of the tasks that make them, as soon as all earlier tasks have ended."""

    def __init__(self) -> None:
        self._next = 0
        self._waiting: dict[int, list[Bundle]] = {}
        self._ended: set[int] = set()
        self.held_bytes = 0

    def made(self, sequence: int, bundle: Bundle) -> list[Bundle]:
        """Returns what may leave now."""
        if sequence == self._next:
            return [bundle]
        self._waiting.setdefault(sequence, []).append(bundle)
        self.held_bytes += bundle.size
        return []

    def ended(self, sequence: int) -> list[Bundle]:
        """Returns what may leave now."""
        self._ended.add(sequence)
        leaving: list[Bundle] = []
        while self._next in self._ended:
            self._ended.discard(self._next)
            self._next += 1
            held = self._waiting.pop(self._next, [])
            self.held_bytes -= sum(bundle.size for bundle in held)
            leaving.extend(held)
        return leaving


class Stage(ABC):
    """One operator of a running plan.

    Args:
        name: for progress, statistics and errors.
        sides: how many inputs it has.
    """

    def __init__(self, name: str, sides: int = 1) -> None:
        self.name = name
        self.stats = StageStats(name)
        self.stopped = False
        """Nobody needs more of it."""
        self.ended = False
        """It has emitted all that it ever will."""
        self._emit: Callable[[Bundle], None] = _ignore
        self._emit_end: Callable[[], None] = _ignore_end
        self._open_sides = sides
        self.running = 0
        self.blocked_on: str | None = None
        """What it waits for, as it was when that was last looked at."""
        self.blocked_since = 0.0
        self._bytes_made = 0
        self._tasks_ended = 0

    def connect(self, emit: Callable[[Bundle], None], emit_end: Callable[[], None]) -> None:
        """Names what takes the blocks, and what is told when no more will come."""
        self._emit = emit
        self._emit_end = emit_end

    # --- what comes in --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def take(self, bundle: Bundle, side: int) -> None:
        """One more block of an input."""

    def side_ended(self, side: int) -> None:
        """An input has no more blocks."""
        self._open_sides -= 1
        self.advance()

    @property
    def inputs_ended(self) -> bool:
        return self._open_sides <= 0

    @abstractmethod
    def advance(self) -> None:
        """Does what can be done without a task; ends where all is done."""

    # --- tasks ----------------------------------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """How many tasks could start now."""
        return 0

    def start(self) -> Work:
        """Returns the next task's work."""
        raise AssertionError(f"{self.name} has no tasks")

    def made(self, work: Work, bundle: Bundle) -> None:
        """A task made a block."""
        raise AssertionError(f"{self.name} has no tasks")

    def work_ended(self, work: Work, result: list[Any]) -> None:
        """A task ended. `result`: what it returned, where it is no generator."""
        raise AssertionError(f"{self.name} has no tasks")

    # --- looking at it --------------------------------------------------------------------------------------------------------

    @property
    def queued_bytes(self) -> int:
        """Of blocks that have come in and are not worked on."""
        return 0

    @property
    def cpus(self) -> float:
        return 1.0

    @property
    def most_running(self) -> int | None:
        return None

    @property
    def held_bytes(self) -> int:
        """Of blocks that it made and cannot emit yet."""
        return 0

    def view(self, taken_by_next: int) -> OperatorView:
        """How it stands; `taken_by_next`: bytes of its blocks that wait at whoever consumes them."""
        a_task = self._bytes_made / self._tasks_ended if self._tasks_ended else UNKNOWN_BYTES
        return OperatorView(
            waiting=0 if self.stopped else self.waiting(),
            running=self.running,
            most_running=self.most_running,
            cpus=self.cpus,
            bytes_a_task=a_task,
            output_bytes=taken_by_next + self.held_bytes,
            free_slots=self.free_slots(),
        )

    def free_slots(self) -> int | None:
        """Of its actors; None where it runs in tasks."""
        return None

    def count_task(self) -> None:
        self._tasks_ended += 1

    def emit(self, bundle: Bundle) -> None:
        """Sends a block on."""
        self._bytes_made += bundle.size
        self.stats.blocks += 1
        self.stats.rows += bundle.rows
        self.stats.bytes += bundle.size
        self._emit(bundle)

    def end(self) -> None:
        """No more blocks will be emitted."""
        if not self.ended:
            self.ended = True
            self._emit_end()

    async def open(self) -> None:
        """Starts what it needs beside tasks (actors)."""
        return

    async def close(self) -> None:
        """Ends what `open` started."""
        return


class QueueStage(Stage):
    """A stage that works on blocks as they come."""

    def __init__(self, name: str, sides: int = 1) -> None:
        super().__init__(name, sides)
        self._queue: deque[Bundle] = deque()
        self._queued_bytes = 0
        self._started = 0
        self._output = OrderedOutput()

    def take(self, bundle: Bundle, side: int) -> None:
        self._queue.append(bundle)
        self._queued_bytes += bundle.size
        self.advance()

    def _pop(self) -> Bundle:
        bundle = self._queue.popleft()
        self._queued_bytes -= bundle.size
        return bundle

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    @property
    def held_bytes(self) -> int:
        return self._output.held_bytes

    def made(self, work: Work, bundle: Bundle) -> None:
        for ready in self._output.made(work.sequence, bundle):
            self.emit(ready)

    def work_ended(self, work: Work, result: list[Any]) -> None:
        for ready in self._output.ended(work.sequence):
            self.emit(ready)
        self.advance()

    def advance(self) -> None:
        if self.inputs_ended and not self._queue and self.running == 0:
            self.end()

    def _next_sequence(self) -> int:
        self._started += 1
        return self._started - 1


def _ignore(_: Bundle) -> None:
    return


def _ignore_end() -> None:
    return
