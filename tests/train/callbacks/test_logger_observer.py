"""A training run is told to loggers as a search of one trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest

from shoal.air.callback import LoggerCallback
from shoal.train import Checkpoint, Result
from shoal.train._internal.process.logger_observer import LoggerObserver
from shoal.train._internal.process.run_storage import RunStorage


class Story(LoggerCallback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def setup(self, *args: Any, **info: Any) -> None:
        self.told.append(("setup", info["name"]))

    def log_trial_start(self, trial: Any) -> None:
        self.told.append(("start", trial.trial_name, trial.config, trial.status))
        Path(trial.local_path, "written").write_text("by the logger")

    def log_trial_restore(self, trial: Any) -> None:
        self.told.append("restore")

    def log_trial_save(self, trial: Any) -> None:
        self.told.append(("save", trial.checkpoint.path))

    def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
        names = ("loss", "training_iteration", "time_this_iter_s", "time_total_s")
        self.told.append(("result", iteration, *(result[name] for name in names)))

    def log_trial_end(self, trial: Any, failed: bool = False) -> None:
        self.told.append(("end", failed, trial.status))

    def on_trial_recover(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
        self.told.append("recover")

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        self.told.append(("over", len(trials)))


@pytest.mark.parametrize("error", [None, ValueError("x")])
def test_the_story_of_a_run(error: BaseException | None, tmp_path: Path) -> None:
    storage = RunStorage.of(tmp_path, None, "run")
    storage.make()
    times = iter([10.0, 11.0, 13.0])
    story = Story()
    observer = LoggerObserver([story], "run", {"lr": 0.1}, storage, lambda: next(times))
    observer.started(0, 2)
    observer.reported(0, {"loss": 0.5}, False)
    observer.reported(1, {"loss": 9.0}, False)
    observer.committed(0, Checkpoint("/c"), [{}, {}])
    observer.failed(0, {1: ValueError("x")}, True)
    observer.started(1, 2)
    observer.reported(0, {"loss": 0.4}, False)
    observer.ended(Result(None, None, error, storage.path))
    failed = error is not None
    assert story.told == [
        ("setup", "run"),
        ("start", "run", {"lr": 0.1}, "RUNNING"),
        ("result", 1, 0.5, 1, 1.0, 1.0),
        ("save", "/c"),
        "recover",
        "restore",
        ("start", "run", {"lr": 0.1}, "RUNNING"),
        ("result", 2, 0.4, 2, 2.0, 3.0),
        ("end", failed, "RUNNING"),
        ("over", 1),
    ]


def test_what_loggers_write_comes_into_the_runs_folder(tmp_path: Path) -> None:
    storage = RunStorage.of(f"memory:///{tmp_path.name}", None, "run")
    storage.make()
    observer = LoggerObserver([Story()], "run", {}, storage)
    observer.started(0, 1)
    observer.ended(Result(None, None, None, storage.path))
    assert fsspec.filesystem("memory").cat(f"/{tmp_path.name}/run/written") == b"by the logger"


def test_a_run_that_never_began(tmp_path: Path) -> None:
    storage = RunStorage.of(tmp_path, None, "run")
    story = Story()
    observer = LoggerObserver([story], "run", {}, storage)
    observer.ended(Result(None, None, ValueError("x"), storage.path))
    assert story.told == [("setup", "run"), ("over", 1)]
