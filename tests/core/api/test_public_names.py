"""What the package offers, and what importing it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import shoal
from shoal._core.api import keywords, option_tables, public_names, util_names


def names_for_type_checkers(package: Path) -> dict[str, str]:
    """Returns the names that a package's `__init__` imports under TYPE_CHECKING, and from where."""
    tree = ast.parse((package / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname
    }


def test_type_checkers_see_the_same_names() -> None:
    seen = names_for_type_checkers(Path(shoal.__file__).parent)
    modules = {name for name, home in seen.items() if home == "shoal"}
    assert {name: home for name, home in seen.items() if name not in modules} == public_names.NAMES
    assert modules == {*public_names.SUBMODULES, *public_names.LIBRARIES}


def test_every_name_is_there() -> None:
    for name in public_names.NAMES:
        assert getattr(shoal, name) is not None
    assert set(public_names.NAMES) <= set(dir(shoal))
    assert set(util_names.NAMES) <= set(dir(shoal.util))


@pytest.mark.parametrize(
    ("table", "typed"),
    [
        (option_tables.TASK_OPTIONS - {"num_returns"}, keywords.TaskKeywords),
        (option_tables.ACTOR_OPTIONS, keywords.ActorKeywords),
        (option_tables.METHOD_OPTIONS - {"num_returns"}, keywords.MethodKeywords),
    ],
)
def test_options_are_typed(table: frozenset[str], typed: type) -> None:
    assert table == set(typing.get_type_hints(typed))


def test_importing_everything() -> None:
    names: dict[str, object] = {}
    exec("from shoal import *", names)
    assert set(public_names.NAMES) <= set(names)
    assert "sys" not in names


def test_names_that_are_not_there() -> None:
    with pytest.raises(AttributeError, match="Did you mean put"):
        shoal.putt  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        shoal.util.nothing  # type: ignore[attr-defined]  # noqa: B018
    assert not hasattr(shoal, "_private_thing")


def test_libraries_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(public_names.LIBRARIES, "library_for_tests", "shoal-tests")
    with pytest.raises(ModuleNotFoundError, match="pip install shoal-tests"):
        shoal.library_for_tests  # type: ignore[attr-defined]  # noqa: B018


def test_other_languages_are_not_supported() -> None:
    for use in (
        lambda: shoal.java_function("a", "b"),
        lambda: shoal.java_actor_class("a"),
        lambda: shoal.cpp_function("a"),
    ):
        with pytest.raises(NotImplementedError):
            use()


def loaded_by(program: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys\nsys.path[:] = {sys.path!r}\n{program}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return set(run.stdout.split())


def test_importing_loads_next_to_nothing() -> None:
    new = loaded_by("import shoal") - loaded_by("import os, importlib")  # what every interpreter has
    assert {name for name in new if not name.startswith("shoal")} <= {"__future__"}
    assert len(new) < 10


def test_defining_tasks_loads_no_large_libraries() -> None:
    program = """
import shoal

@shoal.remote(num_cpus=2)
def f(x):
    return x

@shoal.remote
class A:
    @shoal.method(num_returns=2)
    def m(self):
        return 1, 2
"""
    large = {"numpy", "pandas", "pyarrow", "torch", "grpc", "asyncio", "cloudpickle", "subprocess", "logging"}
    assert not loaded_by(program) & large
