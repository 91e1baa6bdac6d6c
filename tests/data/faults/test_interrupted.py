"""Ctrl-C while a dataset runs: it stops at once, and leaves no file of its own behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import shoal
from shoal.data import DataContext

context = DataContext.get_current()
context.small_data_size = context.columnar_data_size = -1
context.enable_progress_bars = False
shoal.init(num_cpus=2, log_to_driver=False, object_store_memory=32 << 20, object_spilling_directory=sys.argv[3])

@shoal.remote(num_cpus=0)
class Meeting:
    def __init__(self):
        import asyncio
        self.arrived, self.over = asyncio.Event(), asyncio.Event()
    async def wait(self):
        self.arrived.set()
        await self.over.wait()
    async def begun(self):
        await self.arrived.wait()

meeting = Meeting.remote()

def slow(batch):
    if batch["id"][0] >= 1_500_000:
        shoal.get(meeting.wait.remote())
    return batch

import threading
def tell():
    shoal.get(meeting.begun.remote())
    print("running", flush=True)
threading.Thread(target=tell, daemon=True).start()

dataset = shoal.data.range(3_000_000, override_num_blocks=12)
if sys.argv[1] == "write":
    dataset.map_batches(slow, batch_size=None).write_parquet(sys.argv[2])
else:
    dataset.random_shuffle(seed=1).map_batches(slow, batch_size=None).materialize()
"""


@pytest.mark.parametrize("kind", ["write", "shuffle"])
def test_ctrl_c(kind: str, tmp_path: Path) -> None:
    target, spilled, temporary = tmp_path / "target", tmp_path / "spilled", tmp_path / "tmp"
    spilled.mkdir()
    temporary.mkdir()
    driver = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(target), str(spilled)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "running\n"
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=20)
    assert "KeyboardInterrupt" in errors
    assert driver.returncode in (1, 130, -signal.SIGINT)
    files = [path for path in target.rglob("*") if path.is_file()] if target.exists() else []
    assert [path for path in files if path.suffix != ".parquet"] == []
    assert [path for path in spilled.rglob("*") if path.is_file()] == []
