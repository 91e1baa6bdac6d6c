"""The table of names in `docs/coming-from-ray-data.md` tells the truth, both ways."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import shoal

PAGE = Path(__file__).parents[3] / "docs" / "coming-from-ray-data.md"
SECTION = re.compile(r"^### (.+)$|^\| `([^`]+)` \| [AB] \| (.+) \|$", re.MULTILINE)
CLASSES = ("Dataset", "GroupedData", "MaterializedDataset", "DataIterator", "Schema", "DataContext")
MODULES = {
    "Expressions": ["expressions"],
    "Preprocessors": ["preprocessors"],
    "Custom sources": ["datasource", "block", "extensions", "collate_fn"],
}


def rows() -> list[tuple[str, str, str]]:
    """Section, name and state."""
    found, section = [], ""
    for heading, name, state in SECTION.findall(PAGE.read_text()):
        section = heading or section
        if name:
            found.append((section, name, state))
    return found


def homes(section: str, name: str) -> list[str]:
    """Where the name may be."""
    if name.startswith("ray."):
        return ["shoal" + name.removeprefix("ray")]
    if name.split(".")[0] in CLASSES:
        return [f"shoal.data.{name}"]
    known = [
        f"shoal.data.{module}.{name}"
        for key, modules in MODULES.items()
        if section.startswith(key)
        for module in modules
    ]
    return known or [f"shoal.data.{name}", f"shoal.data.aggregate.{name}", f"shoal.data.llm.{name}"]


def is_there(section: str, name: str) -> bool:
    if section.startswith("Execution") and hasattr(shoal.data.DataContext(), name):
        return True
    return any(resolves(path) for path in homes(section, name))


def resolves(path: str) -> bool:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_the_table_is_read() -> None:
    assert len(rows()) > 150


@pytest.mark.parametrize(("section", "name", "state"), rows(), ids=[name for _, name, _ in rows()])
def test_each_name_is_where_the_page_says(section: str, name: str, state: str) -> None:
    assert is_there(section, name) == state.startswith("there")
