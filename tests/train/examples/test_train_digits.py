"""The main job of Train, as users run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[3] / "examples" / "train_digits.py"


def run(*arguments: object) -> str:
    command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.timeout(150)
def test_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    text = run("--chaos", "--epochs", 5, "--storage", tmp_path)
    undisturbed, disturbed = [part.split()[0].rstrip(";") for part in text.rpartition("accuracy")[2].split(": ")[1:]]
    assert undisturbed == disturbed
    assert float(undisturbed) > 0.9
    assert "The same." in text
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.timeout(150)
def test_prices_of_houses(tmp_path: Path) -> None:
    lines = ["longitude,latitude,median_income,median_house_value,ocean_proximity"]
    for number in range(2000):
        x, income = number % 50, number % 37
        missing = "" if number % 100 == 0 else str(income)
        lines.append(f"{x},{number % 9},{missing},{10000 + 1000 * income + 10 * x},INLAND")
    (tmp_path / "houses.csv").write_text("\n".join(lines) + "\n")
    text = run("--csv", tmp_path / "houses.csv", "--workers", 1, "--epochs", 4)
    epoch, _, score = text.strip().splitlines()[-1].split()[:3]
    assert epoch == "3"
    assert float(score) > 0.8
