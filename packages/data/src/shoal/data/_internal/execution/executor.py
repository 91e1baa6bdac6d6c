"""Carries a plan out on tasks and actors: one thread with an event loop, which starts what the policy says, and follows what runs.

Every change (a block was made, a task ended, the consumer took a block) wakes the loop once; nothing is looked at by the clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import shoal
from shoal.data._internal.execution.bundle import BlockInfo, Bundle
from shoal.data._internal.execution.driver_stages import LimitStage
from shoal.data._internal.execution.exchange_stages import PREPARE, SPLIT, ExchangeStage
from shoal.data._internal.execution.physical import Node, demand_of
from shoal.data._internal.execution.policy import OperatorView, blocked_on, next_to_start
from shoal.data._internal.execution.pool_stage import PoolStage, Slot
from shoal.data._internal.execution.progress import Progress
from shoal.data._internal.execution.remote_calls import Calls, IORetries
from shoal.data._internal.execution.reservations import reserve
from shoal.data._internal.execution.stage import Stage, Work
from shoal.data._internal.execution.stage_stats import StageStats
from shoal.data._internal.execution.transforms import annotate
from shoal.data.exceptions import ExecutionTimeoutError, InvalidArgumentError

_LONGEST_GOODBYE = 2.0
"""Seconds that tasks which are cancelled have to end."""
_EARLY_SHARE = 0.5
"""Of the memory for blocks: an exchange holds its input and what it makes of it, so no more can stay in memory as a whole."""


@dataclass(frozen=True)
class Limits:
    """What an execution may use.

    Args:
        cpus: processors.
        memory: bytes for blocks on their way.
        most_bytes: of a block.
        split_bytes: of blocks that one task of an exchange splits.
        least_bytes: blocks below are worked on together.
        there: all resources of the session.
        free_cpus: processors that nobody else holds.
        most_errors: blocks that may fail and are left out; -1 for any number.
        tasks_in_flight: calls sent ahead to an actor, where its pool says nothing; None to choose.
        wait_for_actors: seconds in which the actors that pools begin with must have opened, before any work begins; below 0 not to wait.
        retries: after which errors reading and writing begin again.
    """

    cpus: float
    memory: float
    most_bytes: int
    split_bytes: int
    least_bytes: int
    there: Mapping[str, float]
    free_cpus: float
    most_errors: int = 0
    tasks_in_flight: int | None = None
    wait_for_actors: float = -1
    retries: IORetries = field(default_factory=IORetries)


class Outbox:
    """Blocks that wait for the consumer, and how it all ended. Used by two threads."""

    def __init__(self) -> None:
        self._blocks: deque[Bundle] = deque()
        self._condition = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self.bytes = 0

    def put(self, bundle: Bundle) -> None:
        with self._condition:
            self._blocks.append(bundle)
            self.bytes += bundle.size
            self._condition.notify_all()

    def end(self, error: BaseException | None) -> None:
        """No more blocks will come."""
        with self._condition:
            if not self._ended:
                self._ended = True
                self._error = error
                self._condition.notify_all()

    def take(self) -> Bundle | None:
        """Waits for the next block; None at the end. Raises what the execution raised, once the blocks before are taken."""
        with self._condition:
            while not self._blocks and not self._ended:
                self._condition.wait()
            if self._blocks:
                bundle = self._blocks.popleft()
                self.bytes -= bundle.size
                return bundle
            if self._error is not None:
                raise self._error
            return None


class Execution:
    """One run of a plan. Iterate over it for the blocks, in order; `close` ends it early.

    Args:
        plan: the last stage to be.
        limits: what it may use.
        show_progress: whether a line tells how far it is, where somebody can see it.
    """

    def __init__(self, plan: Node, limits: Limits, show_progress: bool = False) -> None:
        self._limits = limits
        self._progress = Progress(show_progress)
        self._stages: list[Stage] = []
        self._next: dict[Stage, Stage] = {}
        self._outbox = Outbox()
        self._plan = plan
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Event | None = None
        self._closing = False
        self._following: set[asyncio.Task[None]] = set()
        self._generators: set[Any] = set()
        self._opening: set[Slot] = set()
        self._failed_blocks = 0
        self._thread = threading.Thread(target=self._run, name="shoal-data-executor", daemon=True)
        self.wall_seconds = 0.0
        self.peak_bytes = 0

    # --- the consumer's side ----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Bundle]:
        self._thread.start()
        try:
            while True:
                bundle = self._outbox.take()
                if bundle is None:
                    return
                self._wake()
                yield bundle
        finally:
            self.close()

    def close(self) -> None:
        """Ends what still runs, and waits for that."""
        self._closing = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join()

    def stats(self) -> list[StageStats]:
        """Returns what each stage did, from the sources on."""
        return [stage.stats for stage in self._stages]

    def _wake(self) -> None:
        loop, changed = self._loop, self._changed
        if loop is not None and changed is not None:
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:
                return  # the loop has ended

    # --- the executor's thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: BaseException | None = None
        started = time.perf_counter()
        try:
            asyncio.run(self._main())
        except BaseException as failure:
            error = failure
        self.wall_seconds = time.perf_counter() - started
        self._outbox.end(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None
        nodes = _in_order(self._plan)
        reserved = reserve([demand_of(node, self._limits.cpus) for node in nodes], *self._what_is_there())
        calls = Calls(
            self._limits.most_bytes,
            int(self._limits.memory * _EARLY_SHARE),
            self._limits.split_bytes,
            self._limits.least_bytes,
            self._limits.cpus,
            reserved.reserves_cpus,
            self._limits.tasks_in_flight,
            self._limits.retries,
        )
        last = self._build(self._plan, calls)
        for stage, first, most in zip(self._stages, reserved.first_actors, reserved.most_actors, strict=True):
            if isinstance(stage, PoolStage):
                stage.first_actors, stage.most_actors = first, most
        last.connect(self._outbox.put, self._nothing_more)
        line = asyncio.create_task(self._progress.run(self._stages))
        try:
            for stage in self._stages:
                await stage.open()
            self._follow_new_actors()
            await self._first_actors()
            for stage in self._stages:
                stage.advance()
            while not last.ended and not self._closing:
                self._start_what_may()
                if self._failure is not None:
                    raise self._failure
                if last.ended:
                    break
                self._room.set()
                self._room.clear()
                await self._changed.wait()
                self._changed.clear()
                if self._failure is not None:
                    raise self._failure
        finally:
            line.cancel()
            await asyncio.gather(line, return_exceptions=True)
            await self._stop_everything()

    def _what_is_there(self) -> tuple[Mapping[str, float], float, float]:
        return self._limits.there, self._limits.cpus, self._limits.free_cpus

    async def _first_actors(self) -> None:
        """Waits until they have opened, where the user wants that. Raises ExecutionTimeoutError."""
        seconds = self._limits.wait_for_actors
        if seconds < 0 or not self._following:
            return
        _, late = await asyncio.wait(self._following, timeout=seconds)
        if self._failure is not None:
            raise self._failure
        if late:
            names = " and ".join(s.name for s in self._stages if isinstance(s, PoolStage) and s.opening())
            raise ExecutionTimeoutError(
                f"the actors of {names} have not begun within DataContext.wait_for_min_actors_s={seconds:g} s"
            )

    def _follow_new_actors(self) -> None:
        for stage in self._stages:
            if isinstance(stage, PoolStage):
                for slot in stage.opening():
                    if slot not in self._opening:
                        self._opening.add(slot)
                        self._follow_task(self._follow_opening(stage, slot))

    async def _follow_opening(self, stage: PoolStage, slot: Slot) -> None:
        assert self._changed is not None
        try:
            await slot.opening
            slot.is_open = True
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            annotate(error, f"in the constructor of a function of {stage.name}")
            self._fails_with(stage, error)
        self._opening.discard(slot)
        self._changed.set()

    def _build(self, node: Node, calls: Calls) -> Stage:
        inputs = [self._build(child, calls) for child in node.inputs]
        stage = node.make(calls)
        for side, below in enumerate(inputs):
            self._next[below] = stage
            below.connect(_taker(stage, side), _ender(stage, side))
        if isinstance(stage, LimitStage):
            stage.stop_inputs = lambda: self._stop_below(inputs)
        self._stages.append(stage)
        return stage

    def _nothing_more(self) -> None:
        assert self._changed is not None
        self._changed.set()

    def _stop_below(self, stages: list[Stage]) -> None:
        """A limit has all it needs: what only feeds it starts nothing any more."""
        for stage in stages:
            stage.stopped = True
            self._stop_below([below for below, above in self._next.items() if above is stage])

    def _start_what_may(self) -> None:
        while True:
            self._grow_pools()
            views = [stage.view(self._bytes_after(stage)) for stage in self._stages]
            busy = sum(stage.running * stage.cpus for stage in self._stages if stage.free_slots() is None)
            held = sum(stage.pool_cpus for stage in self._stages if isinstance(stage, PoolStage))
            # Whatever the pools hold, the largest task can run by itself.
            largest = max((stage.cpus for stage in self._stages if stage.free_slots() is None), default=1.0)
            free = max(1.0, largest, self._limits.cpus - held) - busy
            position = next_to_start(views, free, self._limits.memory)
            if position is None:
                self._account(views, free)
                return
            self._start(self._stages[position])

    def _account(self, views: list[OperatorView], free_cpus: float) -> None:
        """Notes how things stand until the next change."""
        now = time.perf_counter()
        self.peak_bytes = max(self.peak_bytes, sum(view.output_bytes for view in views))
        for stage, view in zip(self._stages, views, strict=True):
            if stage.blocked_on is not None:
                waited = stage.stats.blocked.get(stage.blocked_on, 0.0) + now - stage.blocked_since
                stage.stats.blocked[stage.blocked_on] = waited
            stage.blocked_on = None if stage.ended else blocked_on(view, free_cpus)
            stage.blocked_since = now

    def _grow_pools(self) -> None:
        busy = sum(stage.running * stage.cpus for stage in self._stages if stage.free_slots() is None)
        for stage in self._stages:
            if isinstance(stage, PoolStage):
                held = sum(pool.pool_cpus for pool in self._stages if isinstance(pool, PoolStage))
                free = self._limits.cpus - held - busy
                if stage.grow(free):
                    self._follow_new_actors()
                # A task that has been started where nothing is free waits for its processor as well.
                elif free < 0 or self._somebody_waits_beside(stage):
                    stage.shrink()

    def _somebody_waits_beside(self, pool: PoolStage) -> bool:
        return any(stage is not pool and stage.waiting() > 0 and not stage.running for stage in self._stages)

    def _bytes_after(self, stage: Stage) -> int:
        above = self._next.get(stage)
        return above.queued_bytes if above is not None else self._outbox.bytes

    def _start(self, stage: Stage) -> None:
        work = stage.start()
        stage.running += 1
        stage.stats.tasks += 1
        if not stage.stats.first_start:
            stage.stats.first_start = time.perf_counter()
        self._follow_task(self._follow(stage, work))

    def _follow_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, stage: Stage, work: Work) -> None:
        assert self._changed is not None
        started = time.perf_counter()
        try:
            result = work.submit()
            if work.purpose == SPLIT:
                result[-1] = await result[-1]
            else:
                self._generators.add(result)
                await self._follow_blocks(stage, work, result)
                self._generators.discard(result)
                result = []
            self._work_ended(stage, work, result, time.perf_counter() - started)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failed(stage, work, error)
        self._changed.set()

    async def _follow_blocks(self, stage: Stage, work: Work, generator: Any) -> None:
        assert self._changed is not None
        while True:
            while self._is_far_ahead(stage):
                await self._room.wait()
            block = await anext(generator, None)
            if block is None:
                return
            info_ref = await anext(generator, None)
            if info_ref is None:
                await block  # the task failed: what comes instead of a block raises
                return
            info: BlockInfo = await info_ref
            stage.stats.busy_seconds += info.seconds
            stage.stats.skipped_files += info.skipped_files
            stage.stats.process_peak = max(stage.stats.process_peak, info.process_peak)
            bundle = Bundle(block, info.rows, info.size, info.schema, work.progress)
            if work.purpose == PREPARE:
                sample = await anext(generator, None)
                assert isinstance(stage, ExchangeStage)
                if sample is not None:
                    stage.sampled(work, sample)
            stage.made(work, bundle)
            # It may be taken before the next look at all of them.
            self.peak_bytes = max(self.peak_bytes, bundle.size)
            self._changed.set()

    def _is_far_ahead(self, stage: Stage) -> bool:
        """Whether a stage's tasks pause: its share of the memory waits for somebody who is at work, or for the consumer to make room."""
        above = self._next.get(stage)
        will_be_taken = self._outbox.bytes > 0 or (above is not None and above.running > 0)
        share = self._limits.memory / (len(self._stages) + 1)
        return will_be_taken and self._bytes_after(stage) > share

    def _work_ended(self, stage: Stage, work: Work, result: list[Any], seconds: float) -> None:
        stage.running -= 1
        stage.count_task()
        stage.stats.longest_task = max(stage.stats.longest_task, seconds)
        stage.stats.wall_seconds = time.perf_counter() - stage.stats.first_start
        stage.work_ended(work, result)

    def _failed(self, stage: Stage, work: Work, error: BaseException) -> None:
        tolerated = self._limits.most_errors == -1 or self._failed_blocks < self._limits.most_errors
        if tolerated and isinstance(error, shoal.exceptions.TaskError) and work.purpose == "blocks":
            self._failed_blocks += 1
            stage.stats.failed_blocks += 1
            self._work_ended(stage, work, [], 0.0)
            return
        self._fails_with(stage, error)

    def _fails_with(self, stage: Stage, error: BaseException) -> None:
        if isinstance(error, shoal.exceptions.InfeasibleResourcesError):
            error = InvalidArgumentError(f"{stage.name} can never run: {error}")
        if self._failure is None:
            self._failure = error

    async def _stop_everything(self) -> None:
        for task in list(self._following):
            task.cancel()
        if self._following:
            await asyncio.gather(*self._following, return_exceptions=True)
        for generator in self._generators:
            shoal.cancel(generator)
        if self._generators:
            # Who cleans up after this run must not do it while a task still writes.
            ends = [asyncio.ensure_future(_ended(generator)) for generator in self._generators]
            await asyncio.wait(ends, timeout=_LONGEST_GOODBYE)
            for end in ends:
                end.cancel()
        self._generators.clear()
        for stage in self._stages:
            await stage.close()


async def _ended(generator: Any) -> None:
    """Returns when a task has ended, however it did."""
    with contextlib.suppress(Exception):
        await generator.completed()


def _in_order(node: Node) -> list[Node]:
    """The nodes of a plan in the order in which their stages are built."""
    return [*(below for child in node.inputs for below in _in_order(child)), node]


def _taker(stage: Stage, side: int) -> Any:
    def take(bundle: Bundle) -> None:
        stage.take(bundle, side)

    return take


def _ender(stage: Stage, side: int) -> Any:
    def end() -> None:
        stage.side_ended(side)

    return end
