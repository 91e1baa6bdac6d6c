"""The Python in the guides runs, each guide as one program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
GUIDES = sorted(path for path in DOCS.glob("*.md") if BLOCK.search(path.read_text()))


def test_there_are_guides() -> None:
    assert {"getting-started.md", "tasks.md", "actors.md", "objects.md", "resources.md", "failures.md"} <= {
        path.name for path in GUIDES
    }


def guide_of(path: Path) -> object:
    """The pages of single algorithms take long, and say little that their tests do not."""
    marks = [pytest.mark.slow] if path.name.startswith("rllib-") else []
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("guide", [guide_of(path) for path in GUIDES])
def test_the_code_of_a_guide_runs(guide: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{guide.stem.replace('-', '_')}.py"
    program.write_text("\n".join(BLOCK.findall(guide.read_text())))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
