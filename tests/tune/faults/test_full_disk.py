"""A disk that is really full while a checkpoint is stored."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import tune
from shoal.tune.exceptions import CheckpointStorageError

MEGABYTE = 2**20


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=1, log_to_driver=False)
    yield
    shoal.shutdown()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Eight megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: a full disk needs the right to mount a tmpfs ({mounted.stderr.strip()})")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def saves(config: dict[str, Any]) -> None:
    for step in range(3):
        with tempfile.TemporaryDirectory() as folder:
            size = config["megabytes"] if step == 2 else 1
            Path(folder, "weights").write_bytes(bytes([step]) * size * MEGABYTE)
            tune.report({"step": step}, checkpoint=tune.Checkpoint.from_directory(folder))


@pytest.mark.timeout(60)
def test_the_trial_fails_with_the_fix_and_the_search_goes_on(small_disk: Path) -> None:
    results = tune.Tuner(
        saves,
        param_space={"megabytes": tune.grid_search([20, 1])},
        run_config=tune.RunConfig(storage_path=small_disk, name="search", verbose=0),
    ).fit()
    full, fits = results
    error = getattr(full.error, "cause", full.error)
    assert isinstance(error, CheckpointStorageError)
    assert "Checkpoint 2" in str(error)
    assert "No space left on device" in str(error)
    assert "Make room there" in str(error)
    assert isinstance(error.__cause__, OSError)
    assert os.strerror(errno.ENOSPC) in str(error.__cause__)
    # What was stored before is as it was, and nothing half stays.
    kept = sorted(path.name for path in Path(full.path).glob("checkpoint_*"))
    assert kept == ["checkpoint_000000", "checkpoint_000001"]
    for step, name in enumerate(kept):
        assert Path(full.path, name, "weights").read_bytes() == bytes([step]) * MEGABYTE
    assert full.checkpoint is not None
    assert full.checkpoint.path.endswith("checkpoint_000001")
    assert fits.error is None
    assert fits.metrics is not None
    assert fits.metrics["step"] == 2
