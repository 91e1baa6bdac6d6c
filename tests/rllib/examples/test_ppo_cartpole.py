"""examples/ppo_cartpole.py trains, saves, evaluates and replays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "ppo_cartpole.py"


@pytest.mark.timeout(120)
def test_a_little_of_it(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--quick", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "mean return" in done.stdout
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert (tmp_path / "checkpoint" / "metadata.json").is_file()
    assert list((tmp_path / "video").glob("*.mp4"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_learns_to_balance(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--no-video", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
