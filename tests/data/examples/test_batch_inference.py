"""The main job of Data, as users run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "batch_inference.py"


def run(*arguments: object) -> str:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    return found.stdout


@pytest.mark.timeout(150)
def test_images_are_classified_and_written(tmp_path: Path) -> None:
    text = run("--repeat", 1, "--output", tmp_path / "predictions")
    assert "1797 predictions written" in text
    assert float(text.partition("accuracy: ")[2].split()[0]) > 0.95
    assert list((tmp_path / "predictions").glob("*.parquet"))


@pytest.mark.timeout(150)
def test_houses_are_predicted(tmp_path: Path) -> None:
    lines = ["longitude,latitude,median_income,median_house_value,ocean_proximity"]
    for number in range(2000):
        x, income = number % 50, number % 37
        missing = "" if number % 100 == 0 else str(income)
        lines.append(f"{x},{number % 9},{missing},{1000 * income + 10 * x},INLAND")
    (tmp_path / "houses.csv").write_text("\n".join(lines) + "\n")
    text = run("--csv", tmp_path / "houses.csv")
    assert "1980 predictions written" in text
    assert float(text.partition("R²: ")[2].split()[0]) > 0.9
