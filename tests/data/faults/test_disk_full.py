"""The disk fills up while blocks are spilled: a clear error, and what was written before is whole."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import shoal
from shoal.data import DataContext

DISK = 8 << 20
STORE = 24 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def tasks(no_session_of_other_modules: None) -> Iterator[None]:
    context = DataContext.get_current()
    before = context.small_data_size, context.columnar_data_size
    context.small_data_size = context.columnar_data_size = -1
    yield
    shoal.shutdown()
    context.small_data_size, context.columnar_data_size = before


def test_a_full_disk_is_named_and_nothing_that_was_written_is_lost(
    small_disk: Path, tasks: None, tmp_path: Path
) -> None:
    shoal.init(num_cpus=2, object_store_memory=STORE, object_spilling_directory=str(small_disk), log_to_driver=False)
    written = tmp_path / "written"
    shoal.data.range(100_000, override_num_blocks=4).write_parquet(str(written))
    with pytest.raises(shoal.exceptions.OutOfDiskError, match="No space left on device"):
        shoal.data.range(12_000_000, override_num_blocks=32).random_shuffle(seed=1).materialize()
    assert os.statvfs(small_disk).f_blocks * 4096 <= DISK
    assert pq.read_table(written)["id"].to_pylist() == list(range(100_000))
    assert shoal.data.range(1000).sum("id") == 499_500


def test_writing_to_a_full_disk_leaves_no_part_of_a_file(small_disk: Path, tasks: None) -> None:
    shoal.init(num_cpus=2, log_to_driver=False)
    target = small_disk / "rows"
    with pytest.raises(OSError, match="No space left on device"):
        shoal.data.range(4_000_000, override_num_blocks=8).map_batches(
            lambda batch: {"x": batch["id"] * 7919 % 104729 * 31}
        ).write_parquet(str(target), compression="none")
    for file in target.rglob("*"):
        if file.is_file():
            assert file.suffix == ".parquet"
            pq.read_table(file)
