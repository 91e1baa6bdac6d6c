"""examples/rllib_offline.py trains, records, and learns from the records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "rllib_offline.py"


@pytest.mark.timeout(120)
def test_a_little_of_it(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("recorded policy", "BC", "MARWIL", "IQL"))
    assert list((tmp_path / "records").rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_learned_is_better_than_what_was_recorded(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
