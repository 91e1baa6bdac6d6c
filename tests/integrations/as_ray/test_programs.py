"""Programs of libraries that import ray, run on shoal.

Modin and Hamilton need an interpreter of their own, since Modin does not take today's pandas: see docs/integrations.md.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROGRAMS = Path(__file__).with_name("programs")
VARIABLE = "SHOAL_TEST_LIBRARIES_PYTHON"


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is started: programs have their own."""


def interpreter_with(module: str) -> str:
    """Returns an interpreter that has a module. Skips the test where none is known."""
    if importlib.util.find_spec(module) is not None:
        return sys.executable
    python = os.environ.get(VARIABLE)
    if python is None:
        pytest.skip(f"{module} is not installed here, and {VARIABLE} names no interpreter that has it")
    subprocess.run([python, "-c", f"import {module}, shoal.as_ray"], check=True)
    return python


@pytest.mark.parametrize(
    ("module", "program", "says"),
    [
        ("joblib", "joblib_on_ray.py", ["both ways agree, by shoal"]),
        ("modin", "modin_sales.py", ["errors come back", "10 steps agree, in partitions of shoal"]),
        ("hamilton", "hamilton_on_ray.py", ["both ways agree, by shoal"]),
    ],
)
def test_a_program_that_imports_ray_inside_runs(tmp_path: Path, module: str, program: str, says: list[str]) -> None:
    command = [interpreter_with(module), "-m", "shoal.as_ray", str(PROGRAMS / program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.splitlines()[-len(says) :] == says
