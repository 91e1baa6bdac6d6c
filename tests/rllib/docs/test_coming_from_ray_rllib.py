"""The tables in `docs/coming-from-ray-rllib.md` tell the truth, both ways."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from shoal.rllib._internal.config.without_effect import WITHOUT_EFFECT

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "coming-from-ray-rllib.md").read_text()
NAMES = re.findall(r"^\| `(ray\.[^`]+)` \| [AB] \| (.+) \|$", PAGE, re.MULTILINE)
IDLE_ROWS = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \| (.+) \|$", PAGE, re.MULTILINE)
IDLE = {name for names, _ in IDLE_ROWS for name in re.findall(r"`([a-z_]+)`", names)}


def find(path: str) -> Any:
    """Returns what a path leads to. Raises LookupError."""
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
                if not is_set_by_objects(found, name):
                    raise LookupError(path) from None
        return found
    raise LookupError(path)


def is_set_by_objects(cls: Any, name: str) -> bool:
    """Whether objects of a class have an attribute that the class itself has not: a field, or one that a method sets."""
    if not inspect.isclass(cls):
        return False
    if dataclasses.is_dataclass(cls) and name in {field.name for field in dataclasses.fields(cls)}:
        return True
    ours = [base for base in cls.__mro__ if base.__module__.startswith("shoal.")]
    set_somewhere = re.compile(rf"self\.{name}\b[^=\n]*= ")
    return any(name in inspect.get_annotations(base) or set_somewhere.search(source(base)) for base in ours)


@functools.cache
def source(cls: type[Any]) -> str:
    return inspect.getsource(cls)


def test_the_tables_are_read() -> None:
    assert len(NAMES) > 500
    assert len(IDLE) > 20


@pytest.mark.parametrize(("name", "state"), NAMES, ids=[name for name, _ in NAMES])
def test_each_name_is_where_the_page_says(name: str, state: str) -> None:
    try:
        find("shoal" + name.removeprefix("ray"))
    except LookupError:
        assert not state.startswith("there"), "the page says that it is there"
    else:
        assert state.startswith("there"), "it is there now: let the page say so"


def test_settings_without_effect_are_those_that_the_package_warns_of() -> None:
    # Those that begin with "_" are nobody's to set.
    assert {name for name in WITHOUT_EFFECT if not name.startswith("_")} == IDLE
