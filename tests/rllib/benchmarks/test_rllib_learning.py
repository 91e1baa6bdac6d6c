"""benchmarks/rllib_learning.py has algorithms learn and writes a page."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[3] / "benchmarks" / "rllib_learning.py"


@pytest.fixture(scope="module")
def program() -> Any:
    sys.path.insert(0, str(PROGRAM.parent))
    try:
        spec = importlib.util.spec_from_file_location("rllib_learning", PROGRAM)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(PROGRAM.parent))
    return module


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], 3.0),
        ([1.0, 2.0], 1.5),
        ([1.0, 2.0, 3.0, 100.0], 2.5),
        ([0.0, 1.0, 2.0, 3.0, 400.0], (0.75 + 2 + 2.25) / 2.5),
    ],
)
def test_the_interquartile_mean_leaves_the_outer_quarters_out(
    program: Any, values: list[float], expected: float
) -> None:
    assert program.interquartile_mean(list(reversed(values))) == pytest.approx(expected)


def test_every_task_has_a_configuration_that_can_be(program: Any) -> None:
    for name, task in program.TASKS.items():
        assert task.name == name
        task.config().validate()


@pytest.mark.slow
def test_a_run_is_made_once_and_drawn(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "--only", "dqn-cartpole", "--seeds", "1", "--share", "0.03"]
    command += ["--results", str(tmp_path / "runs"), "--markdown", str(tmp_path / "page.md")]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr
    assert "begins" not in done.stderr  # the second time
    result = json.loads((tmp_path / "runs" / "dqn-cartpole-0.json").read_text())
    assert result["curve"] and result["return"] > 0
    assert "| DQN, CartPole-v1 | 50,000 |" in (tmp_path / "page.md").read_text()
    assert (tmp_path / "images" / "learning-dqn-cartpole.svg").exists()
