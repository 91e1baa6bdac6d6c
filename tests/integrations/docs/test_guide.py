"""The guide's code runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "integrations.md"


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL))
def test_its_code_runs(block: str) -> None:
    exec(compile(block, str(GUIDE), "exec"), {"__name__": "guide"})
