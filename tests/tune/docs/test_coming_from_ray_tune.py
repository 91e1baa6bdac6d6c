"""The table of names in `docs/coming-from-ray-tune.md` tells the truth, both ways."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "coming-from-ray-tune.md"
ROW = re.compile(r"^\| `([^`]+)` \| [AB] \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text())
NAMES = [row for row in ROWS if "." in row[0]]
VARIABLES = [row for row in ROWS if "." not in row[0]]


def is_there(path: str) -> bool:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            try:
                found = getattr(found, name)
            except (AttributeError, ModuleNotFoundError):
                return False
        return True
    return False


def test_the_table_is_read() -> None:
    assert len(NAMES) > 110
    assert len(VARIABLES) == 12


@pytest.mark.parametrize(("name", "state"), NAMES, ids=[name for name, _ in NAMES])
def test_each_name_is_where_the_page_says(name: str, state: str) -> None:
    assert is_there("shoal" + name.removeprefix("ray")) == state.startswith("there")


@pytest.mark.parametrize(("name", "state"), VARIABLES, ids=[name for name, _ in VARIABLES])
def test_environment_variables_are_read_as_the_page_says(name: str, state: str) -> None:
    sources = (path.read_text() for path in (ROOT / "packages" / "tune" / "src").rglob("*.py"))
    assert any(name in source for source in sources) == state.startswith("read")
