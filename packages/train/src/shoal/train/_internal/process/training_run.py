"""Carries out what the controller decides: one thread follows the workers' reports, the caller waits for its end."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shoal
from shoal.train._internal.logic.controller import Commit, Controller, Effect, End, StartGroup, StopGroup
from shoal.train._internal.process.run_storage import CheckpointList, RunStorage
from shoal.train._internal.process.worker_group import WorkerGroup
from shoal.train._internal.process.worker_session import Failed, Finished, Report
from shoal.train.backend import Backend
from shoal.train.configuration import FailureConfig, ScalingConfig
from shoal.train.exceptions import ReportMismatchError, TrainingFailedError, WorkerGroupError

START_SECONDS = float(os.environ.get("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "60"))


@dataclass(frozen=True)
class Plan:
    """What is run.

    Args:
        loop: of each worker; takes nothing.
        scaling: how many workers.
        failure: how often they are started again.
        backend: makes what is set up in each.
        experiment: the run's name.
        storage: its folder.
        shards: from the number of workers to each rank's part of each dataset.
    """

    loop: Callable[[], Any]
    scaling: ScalingConfig
    failure: FailureConfig
    backend: Callable[[], Backend]
    experiment: str
    storage: RunStorage
    shards: Callable[[int], Sequence[Mapping[str, Any]]]


class TrainingRun:
    """One call of `fit`.

    Args:
        plan: what is run.
        checkpoints: of the run's folder.
    """

    def __init__(self, plan: Plan, checkpoints: CheckpointList) -> None:
        self._plan = plan
        self._checkpoints = checkpoints
        self.controller = Controller(plan.scaling.num_workers, plan.failure.max_failures, checkpoints.next_number)
        self.error: TrainingFailedError | None = None
        self._group: WorkerGroup | None = None
        self._attempt = ""
        self._following: list[asyncio.Task[None]] = []
        self._over: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crash: BaseException | None = None

    def run(self) -> None:
        """Returns when the run is over; `error` tells how it failed. Ctrl-C ends the workers."""
        thread = threading.Thread(target=self._thread, name="shoal-train-controller", daemon=True)
        thread.start()
        try:
            thread.join()
        except BaseException:
            self._cancel()
            thread.join()
            raise
        if self._crash is not None:
            raise self._crash

    def _cancel(self) -> None:
        loop, over = self._loop, self._over
        if loop is not None and over is not None:
            loop.call_soon_threadsafe(over.set)

    def _thread(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._crash = error

    async def _main(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            self._carry_out(self.controller.begin())
            await self._over.wait()
        finally:
            self._stop()

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, StartGroup):
                self._start(effect)
            elif isinstance(effect, StopGroup):
                self._stop()
            elif isinstance(effect, Commit):
                folder = self._plan.storage.folder_of(self._attempt, effect.report)
                self._checkpoints.add(effect.number, folder, effect.metrics)
            else:
                self._end(effect)

    def _start(self, start: StartGroup) -> None:
        plan = self._plan
        self._attempt = uuid.uuid4().hex[:8]
        try:
            self._group = WorkerGroup(plan.scaling, START_SECONDS)
        except TrainingFailedError as error:
            self.error = error
            assert self._over is not None
            self._over.set()
            return
        except shoal.exceptions.ShoalError as error:
            self._carry_out(self.controller.failed({0: error}))
            return
        group, backend, latest = self._group, plan.backend(), self._checkpoints.latest
        shards = plan.shards(len(group.workers))
        loop = shoal.put(plan.loop)
        for rank, worker, parts in zip(group.ranks, group.workers, shards, strict=True):
            stream = worker.run.options(num_returns="streaming").remote(
                loop, rank, group.meeting, backend, plan.experiment, plan.storage, self._attempt, latest, parts
            )
            self._following.append(asyncio.get_running_loop().create_task(self._follow(rank.world_rank, stream)))
        self._carry_out(self.controller.group_started())

    async def _follow(self, rank: int, stream: Any) -> None:
        try:
            async for ref in stream:
                item = await ref
                if isinstance(item, Report):
                    self._carry_out(self.controller.reported(rank, item.metrics, item.has_checkpoint))
                elif isinstance(item, Finished):
                    self._carry_out(self.controller.rank_finished(rank, item.value))
                else:
                    assert isinstance(item, Failed)
                    self._carry_out(self.controller.failed({rank: item.error}))
                    return
        except shoal.exceptions.ShoalError as error:
            self._carry_out(self.controller.failed({rank: error}))
        except Exception as error:
            self._crash = error
            assert self._over is not None
            self._over.set()

    def _stop(self) -> None:
        current = asyncio.current_task()
        for task in self._following:
            if task is not current:
                task.cancel()
        self._following.clear()
        if self._group is not None:
            self._group.stop()
            self._group = None

    def _end(self, end: End) -> None:
        assert self._over is not None
        if end.mismatch:
            self.error = ReportMismatchError(end.mismatch)
        elif end.failures:
            self.error = _explained(end.failures, self.controller.attempt)
        self._over.set()


def _explained(failures: Mapping[int, BaseException], restarts: int) -> WorkerGroupError:
    ranks = ", ".join(f"rank {rank}: {type(error).__name__}: {error}" for rank, error in failures.items())
    again = f" after {restarts} restarts" if restarts else ""
    error = WorkerGroupError(
        f"Training failed{again}. {ranks}. FailureConfig(max_failures=n) starts the workers again from the last checkpoint.",
        failures,
    )
    error.__cause__ = next(iter(failures.values()))
    return error
