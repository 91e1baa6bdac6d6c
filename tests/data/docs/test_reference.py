"""The reference page says what the docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = ("shoal.data.preprocessors", "shoal.data.expressions", "shoal.data.aggregate", "shoal.data.llm")


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    command = [sys.executable, ".ci/reference.py", "shoal.data", str(made), *MODULES, "shoal.data.exceptions"]
    subprocess.run(command, cwd=ROOT, check=True)
    page = ROOT / "docs" / "reference-data.md"
    assert page.read_text() == made.read_text(), f"write it anew: {' '.join(command).replace(str(made), str(page))}"
