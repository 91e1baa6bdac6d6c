"""Carries out what the controller decides: one thread follows the workers' reports, the caller waits for its end."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import shoal
from shoal.train._internal.logic.controller import (
    Commit,
    Controller,
    Effect,
    End,
    MeasureCapacity,
    StartGroup,
    StopGroup,
)
from shoal.train._internal.process.environment import seconds
from shoal.train._internal.process.failures import explained, is_death, original
from shoal.train._internal.process.plan import Plan
from shoal.train._internal.process.preloading import preload_once
from shoal.train._internal.process.run_datasets import write_positions
from shoal.train._internal.process.run_observer import RunObserver
from shoal.train._internal.process.run_storage import CheckpointList
from shoal.train._internal.process.silence import SilenceLimits, SilenceWatcher
from shoal.train._internal.process.train_worker import Duty, Reported
from shoal.train._internal.process.validations import Validations
from shoal.train._internal.process.worker_group import (
    NoRoomError,
    RankedWorkers,
    Reservation,
    capacity,
    check_that_fit,
)
from shoal.train._internal.process.worker_session import Finished, Report
from shoal.train.backend import Backend
from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import ControllerError, ReportMismatchError, TrainingFailedError

FAILURE_SECONDS = 0.5
"""After a rank raised: for what the others failed with, since the first is often not the cause."""
RESIZE_SECONDS = 5.0
"""For more workers than the fewest to be placed, before fewer are tried."""

Forward = Callable[[dict[str, Any], Checkpoint | None], None]
"""Is given rank 0's reports, in the caller's thread."""


@dataclass
class _Attempt:
    """What belongs to one group of workers."""

    number: int
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    workers: RankedWorkers | None = None
    watcher: SilenceWatcher | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    failures: dict[int, BaseException] = field(default_factory=dict)
    stored: dict[int, Report] = field(default_factory=dict)
    """By its number: the first one of those that say where the files of a checkpoint are."""
    committed: int = -1
    """Number of the last report whose checkpoint is whole."""
    backend: Backend | None = None


class TrainingRun:
    """One call of `fit`.

    Args:
        plan: what is run.
        checkpoints: of the run's folder.
        observers: are told what happens.
        forward: is given rank 0's reports in the caller's thread; what it raises ends the run.
    """

    def __init__(
        self,
        plan: Plan,
        checkpoints: CheckpointList,
        observers: Sequence[RunObserver] = (),
        forward: Forward | None = None,
    ) -> None:
        self._plan = plan
        self._checkpoints = checkpoints
        self._observers = list(observers)
        self._forward = forward
        scaling = plan.scaling
        self.controller = Controller(
            scaling.min_workers, scaling.max_workers, plan.failure.max_failures, checkpoints.next_number
        )
        self.error: TrainingFailedError | None = None
        self._start_seconds = seconds("WORKER_GROUP_START_TIMEOUT_S", 60.0) or 60.0
        self._limits = SilenceLimits.of_environment()
        self._words = itertools.count()
        self._validations = Validations(plan.validation, checkpoints, self._tell_committed)
        self._is_cancelled = False
        self._reservation: Reservation | None = None
        self._attempt = _Attempt(-1)
        self._over: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crash: BaseException | None = None
        self._observers_error: BaseException | None = None
        self._outbox: queue.SimpleQueue[tuple[dict[str, Any], Checkpoint | None] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Returns when the run is over; `error` tells how it failed. Ctrl-C ends the workers."""
        thread = threading.Thread(target=self._thread, name="shoal-train-controller", daemon=True)
        thread.start()
        try:
            while (item := self._outbox.get()) is not None:
                if self._forward is not None:
                    self._forward(*item)
            thread.join()
        except BaseException:
            self._cancel()
            thread.join()
            raise
        crash = self._crash
        if crash is None:
            return
        if (
            crash is self._observers_error
            or isinstance(crash, shoal.exceptions.ShoalError)
            or not isinstance(crash, Exception)
        ):
            raise crash
        raise ControllerError(
            f"what drives the run failed, and not its workers: {type(crash).__name__}: {crash}. Checkpoints that are whole are kept; a "
            "trainer with the run's name goes on from the last one.",
            crash,
        ) from crash

    def _cancel(self) -> None:
        loop, over = self._loop, self._over
        if loop is not None and over is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._cancel_now)

    def _cancel_now(self) -> None:
        assert self._over is not None
        self._is_cancelled = True
        self._validations.cancel()
        self._over.set()

    def _thread(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._crash = error
        finally:
            self._outbox.put(None)

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            self._begin()
            await self._over.wait()
            self._stop(keep_place=False)
            if self._crash is None and not self._is_cancelled:
                await self._validations.finish()
        finally:
            self._validations.cancel()
            self._stop(keep_place=False)
            self._plan.datasets.stop()

    def _begin(self) -> None:
        try:
            check_that_fit(self._plan.scaling)
        except TrainingFailedError as error:
            self._end(End(cause=error))
            return
        self._carry_out(self.controller.begin())

    # --- effects ------------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, MeasureCapacity):
                fit = capacity(
                    self._plan.scaling.resources, shoal.available_resources(), self._plan.scaling.max_workers
                )
                self._carry_out(self.controller.capacity(fit))
            elif isinstance(effect, StartGroup):
                self._start(effect)
            elif isinstance(effect, StopGroup):
                self._stop(effect.keep_place)
            elif isinstance(effect, Commit):
                self._commit(effect)
            else:
                self._end(effect)

    def _start(self, start: StartGroup) -> None:
        attempt = self._attempt = _Attempt(start.attempt)
        self._spawn(self._starting(attempt, start.workers))

    def _spawn(self, work: Any) -> None:
        """Runs something that belongs to the attempt, and ends with it."""
        tasks = self._attempt.tasks
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            # What an observer raises, or a defect of ours, is the run's failure.
            self._crash = error
            assert self._over is not None
            self._over.set()

    async def _starting(self, attempt: _Attempt, workers: int) -> None:
        try:
            await self._started(attempt, workers)
        except NoRoomError as error:
            self._carry_out(
                self.controller.no_room(attempt.number) or self.controller.cannot_start(attempt.number, error)
            )
        except TrainingFailedError as error:
            self._carry_out(self.controller.cannot_start(attempt.number, error))
        except shoal.exceptions.ShoalError as error:
            self._carry_out(self._failed(attempt, {0: original(error)}))

    async def _started(self, attempt: _Attempt, count: int) -> None:
        plan, scaling = self._plan, self._plan.scaling
        if self._reservation is None:
            self._reservation = Reservation(scaling, count)
        limit = self._start_seconds if count == scaling.min_workers else min(RESIZE_SECONDS, self._start_seconds)
        workers = attempt.workers = await RankedWorkers.start(
            scaling, self._reservation, plan.runtime_env, limit, self._start_seconds
        )
        meeting = await workers.meet()
        backend = attempt.backend = plan.backend.make()
        await self._call_backend(attempt, "on_start")
        await self._call_backend(attempt, "on_training_start")
        latest = self._checkpoints.latest or plan.start_from
        # Data's own set-up waits for its actors.
        shards = await asyncio.to_thread(plan.datasets.shards, count, latest)
        environment = workers.environment(backend.share_cuda_visible_devices)
        committed = self._checkpoints.reported()
        loop = shoal.put(plan.loop)
        attempt.watcher = SilenceWatcher(
            workers.actors, self._limits, lambda failures: self._carry_out(self._failed(attempt, failures))
        )
        for rank, actor in zip(workers.ranks, workers.actors, strict=True):
            duty = Duty(
                rank,
                meeting,
                backend,
                plan.backend.train_func_context,
                plan.experiment,
                plan.storage,
                attempt.name,
                latest,
                shards[rank.world_rank],
                committed,
                environment[rank.world_rank],
            )
            stream = actor.run.options(num_returns="streaming").remote(loop, duty)
            self._spawn(self._follow(attempt, rank.world_rank, stream))
        # Beside the workers' own imports, so that it is done when the next group starts.
        preload_once(plan.backend.preload)
        self._carry_out(self.controller.group_started(attempt.number))
        self._tell(lambda observer: observer.started(attempt.number, count))
        self._spawn(attempt.watcher.run(self._spawn))
        if scaling.is_elastic and count < scaling.max_workers:
            self._spawn(self._growing(attempt, count))

    async def _call_backend(self, attempt: _Attempt, method: str) -> None:
        """Calls a method of Ray's kind, where the backend has it: it may block, so it has a thread."""
        backend, workers = attempt.backend, attempt.workers
        if backend is None or workers is None or getattr(type(backend), method) is getattr(Backend, method):
            return
        await asyncio.to_thread(getattr(backend, method), workers.for_backend(), self._plan.backend)

    def _stop(self, keep_place: bool) -> None:
        attempt = self._attempt
        current = asyncio.current_task()
        for task in list(attempt.tasks):
            if task is not current:
                task.cancel()
        if attempt.workers is not None:
            attempt.workers.stop()
            attempt.workers = None
            self._checkpoints.forget_attempt(attempt.name)
        if self._reservation is not None and not keep_place:
            self._reservation.release()
            self._reservation = None

    def _commit(self, commit: Commit) -> None:
        attempt = self._attempt
        report = attempt.stored.pop(commit.report)
        assert report.checkpoint is not None
        write_positions(report.checkpoint, commit.positions)
        checkpoint = self._checkpoints.add(commit.number, report.checkpoint, commit.metrics[0])
        attempt.committed = commit.report
        self._validations.begin(commit.number, checkpoint, report.validation)
        self._tell_committed()
        self._tell(lambda observer: observer.committed(commit.number, checkpoint, commit.metrics))
        self._hand_over(commit.metrics[0], checkpoint)

    def _tell(self, what: Callable[[RunObserver], None]) -> None:
        try:
            for observer in self._observers:
                what(observer)
        except Exception as error:
            self._observers_error = error
            raise

    def _tell_committed(self) -> None:
        """Tells the ranks which whole checkpoints there are."""
        attempt = self._attempt
        committed = self._checkpoints.reported()
        word = next(self._words)
        for actor in attempt.workers.actors if attempt.workers is not None else ():
            actor.checkpoints_are.remote(word, committed, attempt.committed)

    def _hand_over(self, metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        if self._forward is not None:
            self._outbox.put((metrics, checkpoint))

    def _end(self, end: End) -> None:
        assert self._over is not None
        if end.mismatch:
            self.error = ReportMismatchError(end.mismatch)
        elif end.failures:
            self.error = explained(end.failures, self.controller.restarts)
        elif isinstance(end.cause, TrainingFailedError):
            self.error = end.cause
        self._over.set()

    # --- what the ranks say -------------------------------------------------------------------------------------------

    async def _follow(self, attempt: _Attempt, rank: int, stream: Any) -> None:
        refs = aiter(stream)
        while True:
            # What the rank raises is its failure; what is raised while it is told is the run's.
            try:
                item = await (await anext(refs))
            except StopAsyncIteration:
                return
            except Exception as error:
                await self._fail(attempt, rank, original(error))
                return
            if attempt is not self._attempt:
                # It was on its way when the group was ended: nobody is told.
                return
            if isinstance(item, Reported):
                self._report(attempt, rank, item)
            else:
                assert isinstance(item, Finished)
                await self._finish(attempt, rank, item.value)

    def _report(self, attempt: _Attempt, rank: int, item: Reported) -> None:
        report = item.report
        if attempt.watcher is not None:
            attempt.watcher.heard(rank)
        if report.checkpoint is not None:
            attempt.stored.setdefault(report.number, report)
        self._tell(lambda observer: observer.reported(rank, report.metrics, report.has_checkpoint))
        if rank == 0 and not report.has_checkpoint:
            self._hand_over(report.metrics, None)
        effects = self.controller.reported(attempt.number, rank, report.metrics, report.has_checkpoint, item.positions)
        self._carry_out(effects)

    async def _finish(self, attempt: _Attempt, rank: int, value: Any) -> None:
        if attempt.watcher is not None:
            attempt.watcher.ended(rank)
        if len(self.controller.finished) == self.controller.workers - 1:
            await self._call_backend(attempt, "on_shutdown")
        self._carry_out(self.controller.rank_finished(attempt.number, rank, value))

    async def _fail(self, attempt: _Attempt, rank: int, error: BaseException) -> None:
        """A rank failed. The first to fail waits for what the others say of it, but not for long."""
        is_first = not attempt.failures
        attempt.failures[rank] = error
        if attempt.watcher is not None:
            attempt.watcher.ended(rank)
        ended = len(attempt.failures) + len(self.controller.finished)
        if not is_death(error) and ended < self.controller.workers:
            if not is_first:
                return
            await asyncio.sleep(FAILURE_SECONDS)
        self._carry_out(self._failed(attempt, attempt.failures))

    def _failed(self, attempt: _Attempt, failures: Mapping[int, BaseException]) -> list[Effect]:
        effects = self.controller.failed(attempt.number, failures)
        if effects:
            is_over = self.controller.is_over
            self._tell(lambda observer: observer.failed(attempt.number, dict(failures), not is_over))
        return effects

    # --- room -------------------------------------------------------------------------------------------------------

    async def _growing(self, attempt: _Attempt, count: int) -> None:
        """Waits for room for one worker more, once this number has been kept for a while."""
        scaling = self._plan.scaling
        await asyncio.sleep(scaling.elastic_resize_monitor_interval_s)
        spare = Reservation(scaling, 1)
        try:
            await spare.ready()
            more = capacity(scaling.resources, shoal.available_resources(), scaling.max_workers)
        finally:
            # The workers that follow reserve for themselves.
            spare.release()
        self._carry_out(self.controller.room(attempt.number, count + 1 + more))
