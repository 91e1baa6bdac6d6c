"""The main job of Serve, as users run it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "serve_model.py"


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A table with words and missing values, as the well-known one."""
    lines = ["longitude,latitude,median_income,median_house_value,ocean_proximity"]
    for number in range(2000):
        x, income = number % 50, number % 37
        missing = "" if number % 100 == 0 else str(income)
        lines.append(f"{x},{number % 9},{missing},{1000 * income + 10 * x},{('INLAND', 'NEAR BAY')[number % 2]}")
    (tmp_path / "houses.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "houses.csv"


@pytest.mark.timeout(100)
def test_online_answers_are_those_of_the_offline_run(houses: Path) -> None:
    command = [sys.executable, str(EXAMPLE), "--quick", "--csv", str(houses)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    text = found.stdout
    assert "offline: 400 rows predicted" in text
    assert float(text.partition("R²: ")[2].split()[0]) > 0.9
    assert "422 body.longitude: Field required" in text
    assert "200 requests by 8 users, 0 failed; 200 answers are those of the offline run" in text
    assert re.search(r"throughput +[\d,]+ +requests a second", text)


@pytest.mark.timeout(100)
@pytest.mark.slow
def test_it_goes_on_serving_until_it_is_interrupted(houses: Path) -> None:
    command = [sys.executable, "-u", str(EXAMPLE), "--quick", "--keep", "--csv", str(houses)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None and program.stderr is not None
        line = next(line for line in program.stdout if line.startswith("serving until Ctrl-C"))
        schema = httpx.get(line.split()[-1].replace("/docs", "/openapi.json")).json()
        assert "INLAND" in str(schema)
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(60) == 0
        assert program.stderr.read() == ""
