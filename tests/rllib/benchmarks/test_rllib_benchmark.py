"""benchmarks/rllib.py measures each of its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "rllib.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_row_has_a_figure(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--quick", "--json", str(tmp_path / "figures.json")]
    command += ["--markdown", str(tmp_path / "page.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    assert not found["failures"]
    assert len(found["figures"]) == 8
    # A difference of measurements may be below zero.
    assert all(figures["shoal"][0] > 0 for row, figures in found["figures"].items() if row != "elsewhere")
    assert -100 < found["figures"]["elsewhere"]["shoal"][0] < 100
    assert set(found["figures"]["steps"]) == {"shoal", "single", "products"}
    assert "| PPO, CartPole, RLlib's settings | steps/s |" in (tmp_path / "page.md").read_text()
