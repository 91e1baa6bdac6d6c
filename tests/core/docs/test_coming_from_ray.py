"""The table of names in `docs/coming-from-ray.md` tells the truth."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "coming-from-ray.md"
ROW = re.compile(r"^\| `(ray(?:\.\w+)+)` \| [AB] \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text())
THERE = sorted({name for name, state in ROWS if state.startswith("there")})


def resolve(path: str) -> Any:
    """Returns what a dotted path means: the longest part of it that is a module, and attributes from there."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise AssertionError(f"{path} is nowhere")


def test_the_table_is_read() -> None:
    assert len(THERE) > 50


@pytest.mark.parametrize("name", THERE)
def test_what_is_said_to_be_there_is_there(name: str) -> None:
    resolve("shoal" + name.removeprefix("ray"))
