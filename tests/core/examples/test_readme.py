"""What README.md and its neighbours show works, and their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md", "packages/*/*.md") for path in ROOT.glob(pattern)
)
PROGRAMS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}:{number}")
    for path in PAGES
    if path.parent.name != "docs"  # the guides are programs as a whole: tests/core/docs
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL))
]


@pytest.mark.parametrize("code", PROGRAMS)
def test_program_runs(code: str, tmp_path: Path) -> None:
    """Each block runs by itself; where a `print` has a comment behind it, that is what it prints."""
    program = tmp_path / "program.py"
    program.write_text(code)

    finished = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=50, check=False)

    assert finished.returncode == 0, finished.stderr
    promised = re.findall(r"^\s*print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert finished.stdout.splitlines()[: len(promised)] == promised


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []
