"""What a run leaves behind: every report, whole checkpoints, its error."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import (
    Checkpoint,
    CheckpointConfig,
    CheckpointConsistencyMode,
    CheckpointError,
    CheckpointUploadMode,
    FailureConfig,
    ReportedCheckpointStatus,
    Result,
    RunConfig,
    ScalingConfig,
    TrainingFailedError,
    ValidationConfig,
    ValidationTaskConfig,
)
from shoal.train.data_parallel_trainer import DataParallelTrainer


def fit(loop: Any, folder: Path, workers: int = 2, validation: ValidationConfig | None = None, **run: Any) -> Result:
    return DataParallelTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig("run", storage_path=folder, verbose=0, **run),
        validation_config=validation,
    ).fit()


def saved(**files: str) -> Checkpoint:
    folder = Path(tempfile.mkdtemp())
    for name, text in files.items():
        (folder / name).write_text(text)
    return Checkpoint.from_directory(folder)


def stored(checkpoint: Checkpoint) -> dict[str, str]:
    with checkpoint.as_directory() as path:
        return {file.name: file.read_text() for file in Path(path).iterdir()}


@pytest.mark.parametrize("workers", [0, 2])
def test_every_report_is_kept(workers: int, tmp_path: Path) -> None:
    def loop() -> None:
        for step in range(4):
            train.report({"step": step, "deep": {"a": [step]}}, checkpoint=saved(x=str(step)) if step == 2 else None)

    result = fit(loop, tmp_path, workers)
    found = Result.from_path(result.path)
    for one in (result, found):
        assert list(one.metrics_dataframe["step"]) == [0, 1, 2, 3]
        assert one.metrics == {"step": 3, "deep": {"a": [3]}}
        assert one.checkpoint is not None
        assert stored(one.checkpoint) == {"x": "2"}
        assert [metrics["step"] for _, metrics in one.best_checkpoints] == [2]
        assert one.get_best_checkpoint("step", "max") == one.checkpoint
        assert one.get_best_checkpoint("other", "max") is None
        assert one.error is None


def test_the_error_of_a_run_is_kept_until_it_has_gone_well(tmp_path: Path) -> None:
    def loop() -> None:
        train.report({"step": 0})
        if not (tmp_path / "fixed").exists():
            raise ValueError("not yet")

    with pytest.raises(TrainingFailedError, match="not yet"):
        fit(loop, tmp_path, 1)
    failed = Result.from_path(tmp_path / "run")
    assert isinstance(failed.error, TrainingFailedError)
    assert "not yet" in (tmp_path / "run" / "error.txt").read_text()
    (tmp_path / "fixed").touch()
    fit(loop, tmp_path, 1)
    assert Result.from_path(tmp_path / "run").error is None
    assert len(Result.from_path(tmp_path / "run").history) == 2


def test_no_run_in_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no run"):
        Result.from_path(tmp_path)


def test_checkpoints_stored_behind_the_loop(tmp_path: Path) -> None:
    """All are whole at the end, in order, with the files of both ranks; the loop's last report too."""

    def loop() -> None:
        rank = train.get_context().get_world_rank()
        for step in range(6):
            train.report(
                {"step": step},
                checkpoint=saved(**{f"rank{rank}": str(step)}) if step % 2 else None,
                checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
            )

    result = fit(loop, tmp_path, checkpoint_config=CheckpointConfig(num_to_keep=2))
    assert [metrics["step"] for metrics in result.history] == list(range(6))
    assert [metrics["step"] for _, metrics in result.best_checkpoints] == [3, 5]
    assert result.checkpoint is not None
    assert stored(result.checkpoint) == {"rank0": "5", "rank1": "5"}


def test_what_was_reported_before_an_error_counts(tmp_path: Path) -> None:
    def loop() -> None:
        found = train.get_checkpoint()
        if found is not None:
            train.report({"found": stored(found)["x"]})
            return
        train.report({}, checkpoint=saved(x="1"), checkpoint_upload_mode=CheckpointUploadMode.ASYNC)
        raise ValueError("once")

    result = fit(loop, tmp_path, 1, failure_config=FailureConfig(max_failures=1))
    assert result.metrics == {"found": "1"}


def test_an_upload_that_fails_at_the_end_is_not_lost(tmp_path: Path) -> None:
    def loop() -> None:
        def upload(checkpoint: Checkpoint, name: str | None) -> Checkpoint:
            raise CheckpointError("the disk is full")

        train.report(
            {}, checkpoint=saved(x="1"), checkpoint_upload_mode=CheckpointUploadMode.ASYNC, checkpoint_upload_fn=upload
        )

    with pytest.raises(TrainingFailedError, match="CheckpointError: the disk is full"):
        fit(loop, tmp_path, 1)
    assert [path.name for path in (tmp_path / "run").iterdir() if path.is_dir()] == []


def test_checkpoints_are_validated_beside_the_training(tmp_path: Path) -> None:
    def validate(checkpoint: Checkpoint, factor: int = 1) -> dict[str, float]:
        if stored(checkpoint)["x"] == "2":
            raise ValueError("a bad one")
        return {"accuracy": factor * float(stored(checkpoint)["x"])}

    def loop() -> list[tuple[str, Any]]:
        for step, how in enumerate([True, ValidationTaskConfig({"factor": 10}), True, False]):
            train.report({"step": step}, checkpoint=saved(x=str(step)), validation=how)
        committed = train.get_all_reported_checkpoints(CheckpointConsistencyMode.COMMITTED)
        assert [one.metrics["step"] for one in committed] == [0, 1, 2, 3]
        return [(one.status.value, one.metrics.get("accuracy")) for one in train.get_all_reported_checkpoints()]

    result = fit(loop, tmp_path, 2, ValidationConfig(validate))
    done, failed = ReportedCheckpointStatus.VALIDATED.value, ReportedCheckpointStatus.VALIDATION_FAILED.value
    assert result.return_value == [(done, 0.0), (done, 10.0), (failed, None), ("COMMITTED", None)]
    assert [metrics.get("accuracy") for _, metrics in result.best_checkpoints] == [0.0, 10.0, None, None]
    assert result.get_best_checkpoint("accuracy", "max") == result.best_checkpoints[1][0]


def test_a_validation_that_is_asked_for_and_not_defined(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the trainer has no validation_config"):
        fit(lambda: train.report({}, checkpoint=saved(x=""), validation=True), tmp_path, 1)


def test_a_long_name_is_refused_early() -> None:
    with pytest.raises(ValueError, match="name has 121 characters; give 120 at most"):
        RunConfig("n" * 121)
