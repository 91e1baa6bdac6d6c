"""Which modules' functions and classes travel by value."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest

from shoal._core.system.by_value import by_value_modules, send_by_value_if_needed


@pytest.fixture
def spread_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that adds a second folder to its path when it is imported, with a module in that folder."""
    first, second = tmp_path / "first" / "spread_pkg", tmp_path / "second" / "spread_pkg"
    first.mkdir(parents=True)
    second.mkdir(parents=True)
    (first / "__init__.py").write_text(f"__path__.append({str(second)!r})\n")
    (second / "part.py").write_text("def f():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    yield "spread_pkg.part"
    for name in ("spread_pkg.part", "spread_pkg"):
        sys.modules.pop(name, None)


def test_a_module_that_others_find_by_its_packages_path_travels_by_name(spread_package: str) -> None:
    importlib.import_module(spread_package)
    send_by_value_if_needed(spread_package)
    assert spread_package not in by_value_modules()


def test_a_module_that_nobody_else_finds_travels_by_value() -> None:
    module = types.ModuleType("made_at_run_time")
    sys.modules["made_at_run_time"] = module
    try:
        send_by_value_if_needed("made_at_run_time")
        assert "made_at_run_time" in by_value_modules()
        cloudpickle.unregister_pickle_by_value(module)
    finally:
        del sys.modules["made_at_run_time"]
