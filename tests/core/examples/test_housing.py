"""examples/housing.py: both ways of training give the same models, on every source of data."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

pytestmark = pytest.mark.timeout(180)

COLUMNS = "longitude,latitude,total_bedrooms,median_income,median_house_value,ocean_proximity"


def run(repository: Path, environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, str(repository / "examples" / "housing.py"), "--quick", "--models", "5", *arguments]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "\x1b" not in finished.stdout + finished.stderr, "a progress bar was drawn, and this is no terminal"
    return finished.stdout


def mean_scores(output: str) -> list[str]:
    return re.findall(r"mean R² (-?[\d.]+)", output)


@pytest.fixture
def housing_csv(tmp_path: Path) -> Path:
    """A small table with the awkward parts of the well-known one: missing values and a column of words."""
    draw = random.Random(7)
    rows = [COLUMNS]
    for index in range(200):
        income = draw.uniform(1, 10)
        bedrooms = "" if index % 10 == 0 else f"{draw.uniform(100, 900):.1f}"
        place = draw.choice(["INLAND", "NEAR BAY", "ISLAND"])
        price = 40_000 * income + (50_000 if place == "NEAR BAY" else 0) + draw.gauss(0, 10_000)
        rows.append(
            f"{draw.uniform(-124, -114):.2f},{draw.uniform(32, 42):.2f},{bedrooms},{income:.4f},{price:.1f},{place}"
        )
    path = tmp_path / "housing.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_parallel_and_sequential_training_agree(repository: Path, offline: dict[str, str], housing_csv: Path) -> None:
    output = run(repository, offline, "--csv", str(housing_csv), "--workers", "2")

    linear, parallel_linear, forests, parallel_forests = mean_scores(output)
    assert linear == parallel_linear
    assert forests == parallel_forests
    assert float(linear) > 0.9, "the prices are linear but for the noise"
    assert "200 rows, 7 columns" in output, "four columns of numbers and one for each of the three words"


@pytest.mark.slow
def test_another_seed_draws_other_splits(repository: Path, offline: dict[str, str], housing_csv: Path) -> None:
    first = mean_scores(run(repository, offline, "--csv", str(housing_csv), "--seed", "1"))
    second = mean_scores(run(repository, offline, "--csv", str(housing_csv), "--seed", "2"))

    assert first[0] != second[0]
    assert second[0] == second[1]


def test_without_a_network_it_takes_bundled_data_and_says_so(repository: Path, offline: dict[str, str]) -> None:
    output = run(repository, offline)

    assert "could not be fetched" in output
    assert "442 rows" in output
    linear, parallel_linear, *_ = mean_scores(output)
    assert linear == parallel_linear
