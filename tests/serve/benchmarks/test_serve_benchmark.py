"""benchmarks/serve.py measures each of its rows, and holds them against their goals."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))  # its programs import each other by their file names

from serve_rows import ROWS, Row

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SHARE = Row("noop", "no-op", "/s", "noop", shares={"uvicorn": 0.7})
TIME = Row("p50", "no-op", "ms", "noop", 0.8, lower_is_better=True)
HAS_WRK = shutil.which("wrk") is not None


def test_goals() -> None:
    assert SHARE.goal({}) is None
    assert SHARE.goal({"uvicorn": [900, 1000, 1100]}) == 700
    assert SHARE.is_met({"uvicorn": [1000], "shoal": [700]}) is True
    assert SHARE.is_met({"uvicorn": [1000], "shoal": [699]}) is False
    assert TIME.is_met({"shoal": [0.7, 0.8, 0.9]}) is True
    assert TIME.is_met({"shoal": [0.9]}) is False
    assert TIME.is_met({}) is None


def quick(only: str, folder: Path) -> dict[str, dict[str, list[float]]]:
    command = [sys.executable, str(BENCHMARKS / "serve.py"), "--quick", "--only", only]
    command += ["--json", str(folder / "figures.json"), "--markdown", str(folder / "page.md")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((folder / "figures.json").read_text())
    assert not found["failures"]
    figures: dict[str, dict[str, list[float]]] = found["figures"]
    return figures


@pytest.mark.skipif(not HAS_WRK, reason="NOT TESTED: the program wrk is not installed; apt-get install wrk")
def test_deploying_is_measured(tmp_path: Path) -> None:
    assert quick("deploy", tmp_path)["deploy"]["shoal"][0] > 0
    assert "| serve.run of a no-op | s |" in (tmp_path / "page.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not HAS_WRK, reason="NOT TESTED: the program wrk is not installed; apt-get install wrk")
def test_every_row_has_a_figure(tmp_path: Path) -> None:
    figures = quick("*", tmp_path)
    assert {row.name for row in ROWS} == set(figures) & {row.name for row in ROWS}
    differences = {row.name for row in ROWS if row.is_difference}
    assert all(found["shoal"][0] > 0 for name, found in figures.items() if name not in differences)
    assert set(figures["noop"]) == {"shoal", "uvicorn"}
