"""Runs a loop in the driver, without any worker: breakpoints and print statements are the driver's."""

from __future__ import annotations

import uuid
from typing import Any

from shoal.train._internal.process.run_storage import CheckpointList
from shoal.train._internal.process.training_run import Plan
from shoal.train._internal.process.worker_session import SESSION, Rank, Report, WorkerSession


def run_in_driver(plan: Plan, checkpoints: CheckpointList) -> tuple[list[dict[str, Any]], Any]:
    """Returns the reports, and what the loop returned. The loop's own exceptions are raised."""
    attempt = uuid.uuid4().hex[:8]
    shards = {} if not plan.shards(1) else plan.shards(1)[0]
    session = WorkerSession(Rank(0, 1, 0, 1, 0), plan.experiment, plan.storage, attempt, checkpoints.latest, shards)
    history: list[dict[str, Any]] = []
    SESSION.session = session
    try:
        value = plan.loop()
    finally:
        SESSION.session = None
        number = 0
        while not session.outgoing.empty():
            report = session.outgoing.get()
            assert isinstance(report, Report)
            if report.has_checkpoint:
                folder = plan.storage.folder_of(attempt, number)
                checkpoints.add(checkpoints.next_number, folder, report.metrics)
            history.append(report.metrics)
            number += 1
    return history, value
