"""The reference page says what the docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = ("config", "schema", "status", "metrics", "request_router", "grpc_util", "exceptions")


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    made = tmp_path / "page.md"
    modules = [f"shoal.serve.{name}" for name in MODULES]
    command = [sys.executable, ".ci/reference.py", "shoal.serve", str(made), *modules]
    subprocess.run(command, cwd=ROOT, check=True)
    page = ROOT / "docs" / "reference-serve.md"
    assert page.read_text() == made.read_text(), f"write it anew: {' '.join(command).replace(str(made), str(page))}"
