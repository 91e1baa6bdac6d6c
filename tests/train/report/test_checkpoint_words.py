"""The run tells its ranks which checkpoints it has; its calls run in threads there, in any order."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from shoal import train
from shoal.train import Checkpoint, ReportedCheckpointStatus
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train._internal.process.train_worker import Duty, TrainWorker
from shoal.train._internal.process.worker_session import Finished, Rank
from shoal.train.backend import Backend, Meeting
from shoal.train.reporting import ReportedCheckpoint

PENDING, VALIDATED = ReportedCheckpointStatus.PENDING_VALIDATION, ReportedCheckpointStatus.VALIDATED


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_last_word_holds_whatever_comes_last(
    order: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK"):
        monkeypatch.setenv(name, "")
    storage = RunStorage.of(tmp_path, None, "run")
    checkpoint = Checkpoint(str(tmp_path))
    words = [
        (0, [ReportedCheckpoint(checkpoint, {"x": 1}, PENDING)], -1),
        (1, [ReportedCheckpoint(checkpoint, {"x": 2}, VALIDATED)], -1),
    ]
    worker = TrainWorker()
    duty = Duty(
        Rank(0, 1, 0, 1, 0), Meeting("127.0.0.1", 0), Backend(), nullcontext, "run", storage, "a", None, {}, words[0][1]
    )
    begun = threading.Event()

    def loop() -> list[ReportedCheckpoint]:
        begun.set()
        return train.get_all_reported_checkpoints(timeout_s=20)

    with ThreadPoolExecutor() as pool:
        for event in order:
            if event < 2:
                worker.checkpoints_are(*words[event])
            else:
                run = pool.submit(lambda: list(worker.run(loop, duty)))
                begun.wait()
        [last] = run.result()
    assert isinstance(last, Finished)
    assert [(one.status, one.metrics) for one in last.value] == [(VALIDATED, {"x": 2})]
