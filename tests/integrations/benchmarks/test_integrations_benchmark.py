"""benchmarks/integrations.py measures each of its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "integrations.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_row_has_a_figure(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARK), "--quick", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    assert not found["failures"]
    assert len(found["figures"]) == 9
    assert all(set(figures) == {"shoal", "own"} for figures in found["figures"].values())
