"""Runs a loop in the driver, without any worker: breakpoints and print statements are the driver's."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from shoal.train._internal.process.outbox import Outbox
from shoal.train._internal.process.plan import Plan
from shoal.train._internal.process.run_datasets import write_positions
from shoal.train._internal.process.run_observer import RunObserver
from shoal.train._internal.process.run_storage import CheckpointList
from shoal.train._internal.process.tracked_session import TrackedSession
from shoal.train._internal.process.training_run import Forward
from shoal.train._internal.process.worker_session import SESSION, Rank, Report

ALONE = Rank(0, 1, 0, 1, 0)


def run_in_driver(
    plan: Plan, checkpoints: CheckpointList, observers: Sequence[RunObserver] = (), forward: Forward | None = None
) -> tuple[list[dict[str, Any]], Any]:
    """Returns the reports, and what the loop returned. The loop's own exceptions are raised."""
    attempt = uuid.uuid4().hex[:8]
    latest = checkpoints.latest or plan.start_from
    shards = plan.datasets.shards(1, latest)[0]
    session = _DriverSession(
        TrackedSession(ALONE, plan.experiment, plan.storage, attempt, latest, shards, checkpoints.reported()),
        checkpoints,
        observers,
        forward,
    )
    for observer in observers:
        observer.started(0, 1)
    outer, SESSION.session = SESSION.session, session.tracked
    try:
        with plan.backend.train_func_context():
            value = plan.loop()
        session.tracked.close()
    except Exception as error:
        for observer in observers:
            observer.failed(0, {0: error}, False)
        raise
    finally:
        SESSION.session = outer
        plan.datasets.stop()
        checkpoints.forget_attempt(attempt)
    return session.history, value


class _DriverSession:
    """Takes each report as it is made."""

    def __init__(
        self,
        tracked: TrackedSession,
        checkpoints: CheckpointList,
        observers: Sequence[RunObserver],
        forward: Forward | None,
    ) -> None:
        self.tracked = tracked
        self.history: list[dict[str, Any]] = []
        self._checkpoints = checkpoints
        self._observers = observers
        self._forward = forward
        tracked._outbox = Outbox(self._take)

    def _take(self, report: Report) -> None:
        self.history.append(report.metrics)
        for observer in self._observers:
            observer.reported(0, report.metrics, report.has_checkpoint)
        positions = self.tracked.positions.pop(report.number, {})
        checkpoint = report.checkpoint
        if checkpoint is not None:
            write_positions(checkpoint, [positions])
            number = self._checkpoints.next_number
            checkpoint = self._checkpoints.add(number, checkpoint, report.metrics)
            self.tracked.checkpoints_are(self._checkpoints.reported(), report.number)
            for observer in self._observers:
                observer.committed(number, checkpoint, [report.metrics])
        if self._forward is not None:
            self._forward(report.metrics, checkpoint)
