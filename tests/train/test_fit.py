"""Training loops in real workers."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import (
    Checkpoint,
    CheckpointConfig,
    FailureConfig,
    ReportMismatchError,
    Result,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    WorkerGroupError,
)
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.exceptions import InvalidArgumentError


def fit(loop: Any, folder: Path, workers: int = 2, config: dict[str, Any] | None = None, **run: Any) -> Result:
    return DataParallelTrainer(
        loop,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder, **run),
    ).fit()


def saved(**files: str) -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    for name, text in files.items():
        (folder / name).write_text(text)
    return Checkpoint.from_directory(folder)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_reports_and_the_returned_value(workers: int, tmp_path: Path) -> None:
    def loop(config: dict[str, Any]) -> str:
        context = train.get_context()
        for step in range(config["steps"]):
            train.report({"step": step, "rank": context.get_world_rank(), "size": context.get_world_size()})
        return "done"

    result = fit(loop, tmp_path, workers, {"steps": 4})
    assert result.metrics == {"step": 3, "rank": 0, "size": max(1, workers)}
    assert [metrics["step"] for metrics in result.history] == [0, 1, 2, 3]
    assert list(result.metrics_dataframe["step"]) == [0, 1, 2, 3]
    assert result.return_value == "done"
    assert result.checkpoint is None


@pytest.mark.parametrize("workers", [0, 2])
def test_checkpoints_hold_the_files_of_all_ranks(workers: int, tmp_path: Path) -> None:
    def loop() -> None:
        rank = train.get_context().get_world_rank()
        for step in range(3):
            train.report({"score": -step}, checkpoint=saved(**{f"rank{rank}": str(step)}))

    keep = CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="score")
    result = fit(loop, tmp_path, workers, checkpoint_config=keep)
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        assert {file.name: file.read_text() for file in Path(folder).iterdir()} == {
            f"rank{rank}": "2" for rank in range(max(1, workers))
        }
    assert [metrics["score"] for _, metrics in result.best_checkpoints] == [0, -2]
    folders = [path for path in Path(result.path).iterdir() if path.is_dir()]
    assert len(folders) == 2


def test_a_killed_rank_starts_the_group_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """From the last checkpoint that the run had heard of when the rank died: reports on their way die with it."""
    killed = tmp_path / "killed"

    def loop() -> None:
        found = train.get_checkpoint()
        start = 0
        if found is not None:
            with found.as_directory() as folder:
                start = int((Path(folder) / "step").read_text()) + 1
        for step in range(start, 4):
            is_first = train.get_context().get_world_rank() == 0
            train.report({"step": step, "start": start}, checkpoint=saved(step=str(step)) if is_first else None)
            if step == 2 and not is_first and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    result = fit(loop, tmp_path, failure_config=FailureConfig(max_failures=1))
    assert result.metrics is not None
    assert result.metrics["step"] == 3
    assert killed.exists()
    starts = [metrics["start"] for metrics in result.history]
    assert starts == sorted(starts)
    assert [metrics["step"] for metrics in result.history if metrics["start"] == starts[-1]][-1] == 3
    assert "internal error" not in capfd.readouterr().err


def test_an_error_of_the_loop_is_the_cause(tmp_path: Path) -> None:
    def loop() -> None:
        if train.get_context().get_world_rank() == 1:
            raise ValueError("no data")

    with pytest.raises(WorkerGroupError, match="rank 1: ValueError: no data") as caught:
        fit(loop, tmp_path)
    assert isinstance(caught.value.__cause__, ValueError)
    assert isinstance(caught.value.worker_failures[1], ValueError)


def test_a_dead_rank_is_explained(tmp_path: Path) -> None:
    def loop() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(WorkerGroupError, match="SIGKILL"):
        fit(loop, tmp_path, 1)


def test_a_checkpoint_that_a_rank_never_reports_is_an_error(tmp_path: Path) -> None:
    def loop() -> None:
        if train.get_context().get_world_rank() == 0:
            train.report({}, checkpoint=saved(x=""))

    with pytest.raises(ReportMismatchError, match="rank 1 ended without making it"):
        fit(loop, tmp_path)


def test_a_run_of_the_same_name_goes_on(tmp_path: Path) -> None:
    def loop() -> int:
        found = train.get_checkpoint()
        count = 0
        if found is not None:
            with found.as_directory() as folder:
                count = int((Path(folder) / "count").read_text())
        train.report({"count": count + 1}, checkpoint=saved(count=str(count + 1)))
        return count

    assert [fit(loop, tmp_path, 1, name="again").return_value for _ in range(3)] == [0, 1, 2]


def test_workers_that_cannot_be_placed(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailedError, match="100 workers need CPU: 100 in all, and the session has 4"):
        fit(lambda: None, tmp_path, 100)


def test_outside_of_a_loop() -> None:
    for call in (train.get_context, train.get_checkpoint, train.get_dataset_shard, lambda: train.report({})):
        with pytest.raises(RuntimeError, match="works inside of a training loop only"):
            call()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ScalingConfig(num_workers=-1), "num_workers is -1; give a whole number >= 0"),
        (lambda: ScalingConfig(placement_strategy="PACKED"), "give one of PACK, SPREAD"),
        (lambda: ScalingConfig(resources_per_worker={"CPU": -1}), r"resources_per_worker\['CPU'\] is -1"),
        (lambda: FailureConfig(max_failures=-2), "max_failures is -2"),
        (lambda: CheckpointConfig(num_to_keep=0), "num_to_keep is 0"),
        (lambda: CheckpointConfig(checkpoint_score_order="up"), "give 'max' or 'min'"),
        (lambda: RunConfig(name="a/b"), "name is 'a/b'"),
        (lambda: DataParallelTrainer(3), "train_loop_per_worker is 3"),  # type: ignore[arg-type]
        (lambda: DataParallelTrainer(lambda a, b: None), "takes 2 arguments"),  # type: ignore[arg-type,misc]
        (lambda: DataParallelTrainer(lambda: None, train_loop_config={"x": 1}), "takes no argument"),
    ],
)
def test_wrong_arguments(make: Any, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        make()


def test_trainers_without_datasets_do_not_import_data(tmp_path: Path) -> None:
    def loop() -> bool:
        import sys

        return "shoal.data" in sys.modules

    assert fit(loop, tmp_path, 1).return_value is False


def test_workers_whose_labels_no_node_has(tmp_path: Path) -> None:
    scaling = ScalingConfig(num_workers=1, label_selector={"zone": "nowhere"})
    trainer = DataParallelTrainer(lambda: None, scaling_config=scaling, run_config=RunConfig(storage_path=tmp_path))
    with pytest.raises(TrainingFailedError, match=r"can be placed nowhere: .*zone is 'nowhere'"):
        trainer.fit()
