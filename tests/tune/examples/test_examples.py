"""examples/tune_housing.py and examples/pipeline.py, as users run them."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
COLUMNS = "longitude,latitude,total_bedrooms,median_income,median_house_value,ocean_proximity"


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A small table with the awkward parts of the well-known one: missing values and a column of words."""
    draw = random.Random(7)
    rows = [COLUMNS]
    for number in range(600):
        income, place = draw.uniform(1, 10), draw.choice(["INLAND", "NEAR BAY"])
        bedrooms = "" if number % 50 == 0 else f"{draw.uniform(100, 900):.1f}"
        price = 40_000 * income + (50_000 if place == "NEAR BAY" else 0) + draw.gauss(0, 10_000)
        rows.append(
            f"{draw.uniform(-124, -114):.2f},{draw.uniform(32, 42):.2f},{bedrooms},{income:.4f},{price:.1f},{place}"
        )
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def run(example: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / example), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=140, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr, "a live table was drawn, and this is no terminal"
    return done.stdout


@pytest.mark.timeout(150)
def test_both_models_are_tuned_and_drawn(houses: Path, tmp_path: Path) -> None:
    text = run("tune_housing.py", "--quick", "--csv", houses, "--folder", tmp_path / "out", "--workers", 2)
    scores = [float(score) for score in re.findall(r"R² (-?[\d.]+) after", text)]
    assert len(scores) == 2
    assert f"The best of all: {'boosted-trees' if scores[0] >= scores[1] else 'network'}, R² {max(scores):.4f}" in text
    assert max(scores) > 0.3
    for name in ("boosted-trees", "network"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 10_000
        assert len(list((tmp_path / "out" / name).glob("*/result.json"))) == 6


@pytest.mark.timeout(150)
def test_data_is_prepared_learned_and_searched(houses: Path) -> None:
    text = run("pipeline.py", "--quick", "--csv", houses, "--cpus", 2)
    assert "data: 441 rows to learn from, 147 to be judged by" in text
    assert "the best of 4 trials has valid-rmse" in text
    assert float(text.rpartition("R² ")[2].split()[0]) > 0.5
    assert "147 rows" in text
    assert "serve: 20 of 20 answers over HTTP are the same" in text
