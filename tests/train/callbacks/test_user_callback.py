"""What callbacks of users are told."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import (
    Checkpoint,
    FailureConfig,
    Result,
    RunConfig,
    RunContext,
    ScalingConfig,
    UserCallback,
    WorkerGroupError,
)
from shoal.train.data_parallel_trainer import DataParallelTrainer


def saved() -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    (folder / "x").write_text("1")
    return Checkpoint.from_directory(folder)


class Notes(UserCallback):
    def __init__(self) -> None:
        self.reports: list[tuple[list[Any], bool]] = []
        self.failures: list[dict[int, str]] = []
        self.contexts: list[RunContext] = []

    def after_report(
        self, run_context: RunContext, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        self.contexts.append(run_context)
        self.reports.append(([each["at"] for each in metrics], checkpoint is not None))

    def after_exception(self, run_context: RunContext, worker_exceptions: dict[int, BaseException]) -> None:
        self.failures.append({rank: str(error) for rank, error in worker_exceptions.items()})


def fit(loop: Any, folder: Path, callbacks: list[Any], workers: int = 2, **run: Any) -> Result:
    return DataParallelTrainer(
        loop,
        train_loop_config={"steps": 3},
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig("run", storage_path=folder, verbose=0, callbacks=callbacks, **run),
    ).fit()


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_reports_in_order(workers: int, tmp_path: Path) -> None:
    def loop(config: dict[str, Any]) -> None:
        rank = train.get_context().get_world_rank()
        for step in range(config["steps"]):
            train.report({"at": (step, rank)}, checkpoint=saved() if step == 1 else None)

    notes, others = Notes(), Notes()
    fit(loop, tmp_path, [notes, others], workers)
    ranks = range(max(1, workers))
    assert notes.reports == [([(step, rank) for rank in ranks], step == 1) for step in range(3)]
    assert others.reports == notes.reports
    context = notes.contexts[0]
    assert (context.name, context.path) == ("run", str(tmp_path / "run"))
    assert dict(context.train_loop_config) == {"steps": 3}
    assert context.get_run_config().name == "run"


def test_failures(tmp_path: Path) -> None:
    def loop(config: dict[str, Any]) -> None:
        train.report({"at": 0})
        raise ValueError("no")

    notes = Notes()
    with pytest.raises(WorkerGroupError):
        fit(loop, tmp_path, [notes], 1, failure_config=FailureConfig(max_failures=1))
    assert notes.failures == [{0: "no"}] * 2


def test_what_a_callback_raises_ends_the_run(tmp_path: Path) -> None:
    class Stop(UserCallback):
        def after_report(self, *args: Any) -> None:
            raise KeyError("enough")

    def loop(config: dict[str, Any]) -> None:
        for step in range(1000):
            train.report({"at": step})

    with pytest.raises(KeyError, match="enough"):
        fit(loop, tmp_path, [Stop()], failure_config=FailureConfig(max_failures=-1))


def test_callbacks_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_callbacks.py").write_text(
        "from pathlib import Path\n"
        "from shoal.train import UserCallback\n"
        "class Touch(UserCallback):\n"
        "    def after_report(self, context, metrics, checkpoint):\n"
        "        Path(context.path, 'touched').touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RAY_TRAIN_CALLBACKS", "my_callbacks.Touch")
    fit(lambda config: train.report({}), tmp_path, [], 0)
    assert (tmp_path / "run" / "touched").exists()
    monkeypatch.setenv("RAY_TRAIN_CALLBACKS", "my_callbacks.Missing")
    with pytest.raises(ValueError, match=r"RAY_TRAIN_CALLBACKS names 'my_callbacks\.Missing', which is not there"):
        fit(lambda config: None, tmp_path, [], 0)


def test_something_else_than_a_callback(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="callbacks has 3; give objects of classes that derive from"):
        fit(lambda config: None, tmp_path, [3], 0)
