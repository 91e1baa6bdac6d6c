"""A run whose folder is on S3."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from shoal import train
from shoal.train import Checkpoint, CheckpointConfig, CheckpointUploadMode, Result, RunConfig, ScalingConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer


@pytest.mark.parametrize("mode", [CheckpointUploadMode.SYNC, CheckpointUploadMode.ASYNC])
def test_a_run_on_s3_goes_on_by_its_name(s3: fs.S3FileSystem, mode: CheckpointUploadMode) -> None:
    def loop(config: dict[str, Any]) -> int:
        rank, found, start = train.get_context().get_world_rank(), train.get_checkpoint(), 0
        if found is not None:
            with found.as_directory() as path:
                start = 1 + int((Path(path) / f"rank{rank}").read_text())
        for step in range(start, config["steps"]):
            folder = Path(tempfile.mkdtemp())
            (folder / f"rank{rank}").write_text(str(step))
            checkpoint = Checkpoint.from_directory(folder)
            train.report({"step": step}, checkpoint=checkpoint, checkpoint_upload_mode=mode)
        return start

    def fit(steps: int) -> Result:
        return DataParallelTrainer(
            loop,
            train_loop_config={"steps": steps},
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(
                mode.value,
                "bucket/runs",
                s3,
                verbose=0,
                checkpoint_config=CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="step"),
            ),
        ).fit()

    assert fit(2).return_value == 0
    result = fit(4)
    assert result.return_value == 2
    found = Result.from_path(result.path, s3)
    assert [metrics["step"] for metrics in found.history] == [0, 1, 2, 3]
    assert found.checkpoint is not None
    with found.checkpoint.as_directory() as path:
        assert {file.name: file.read_text() for file in Path(path).iterdir()} == {"rank0": "3", "rank1": "3"}
    names = [info.base_name for info in s3.get_file_info(fs.FileSelector(result.path))]
    assert len([name for name in names if name.startswith("checkpoint_") and not name.endswith(".json")]) == 1
