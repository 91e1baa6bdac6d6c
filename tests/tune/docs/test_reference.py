"""The reference page says what the docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = ("schedulers", "search", "search.optuna", "search.hyperopt", "stopper", "logger", "utils", "exceptions")


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    modules = [f"shoal.tune.{name}" for name in MODULES]
    command = [sys.executable, ".ci/reference.py", "shoal.tune", str(made), *modules]
    subprocess.run(command, cwd=ROOT, check=True)
    page = ROOT / "docs" / "reference-tune.md"
    assert page.read_text() == made.read_text(), f"write it anew: {' '.join(command).replace(str(made), str(page))}"
