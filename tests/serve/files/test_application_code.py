"""Import paths: bound deployments, and functions that build them."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.serve._internal.ops.application_code import CodeError, code_below, imported_application
from shoal.serve.exceptions import InvalidArgumentError

CODE = """
from pydantic import BaseModel
from shoal import serve

@serve.deployment
class Model:
    def __init__(self, size=0):
        pass

class Arguments(BaseModel):
    size: int

app = Model.bind()
number = 7

def untyped(args):
    return Model.bind(args)

def typed(args: Arguments):
    return Model.bind(args.size)

def two(a, b):
    pass

def wrong(args):
    return 5

def raises(args):
    raise KeyError("no such thing")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served_code.py").write_text(CODE)
    (tmp_path / "served_broken.py").write_text("import served_code\n1 / 0\n")
    (tmp_path / "served_needy.py").write_text("import not_installed_at_all\n")
    before = list(sys.path)
    yield str(tmp_path)
    sys.path[:] = before
    for name in ("served_code", "served_broken", "served_needy"):
        sys.modules.pop(name, None)


def test_bound_deployments_and_functions(folder: str) -> None:
    assert imported_application("served_code:app", {}, [folder]).deployment.name == "Model"
    assert imported_application("served_code.app", {}, [folder]).deployment.name == "Model"
    assert imported_application("served_code:untyped", {"size": "3"}, [folder]).args == ({"size": "3"},)
    assert imported_application("served_code:typed", {"size": "3"}, [folder]).args == (3,)


@pytest.mark.parametrize(
    ("import_path", "args", "expected"),
    [
        ("served_nothing:app", {}, "there is no module 'served_nothing'"),
        ("served_code:ap", {}, "served_code has no 'ap'; bound deployments in it: app"),
        ("served_code:app", {"a": "1"}, "takes no arguments; there are: a"),
        ("served_code:Model", {}, "which is not bound; add 'app = Model.bind"),
        ("served_code:number", {}, "served_code:number is 7; name a bound deployment"),
        ("served_code:two", {}, r"takes 2 arguments \(a, b\); it gets one"),
        ("served_code:wrong", {}, "returned 5; return a bound deployment"),
        ("served_code:typed", {"size": "big"}, "args.size is 'big': should be a valid integer"),
        ("served_code:typed", {}, "args.size is missing"),
    ],
)
def test_what_is_no_application_is_refused(folder: str, import_path: str, args: dict[str, str], expected: str) -> None:
    with pytest.raises(InvalidArgumentError, match=expected):
        imported_application(import_path, args, [folder])


@pytest.mark.parametrize(
    ("import_path", "expected"),
    [
        ("served_code:raises", "KeyError: 'no such thing'"),
        ("served_broken:app", "ZeroDivisionError: division by zero"),
        ("served_needy:app", "No module named 'not_installed_at_all'"),
    ],
)
def test_errors_of_the_code_come_with_its_traceback_alone(folder: str, import_path: str, expected: str) -> None:
    with pytest.raises(CodeError) as caught:
        imported_application(import_path, {}, [folder])
    assert expected in str(caught.value)
    assert "importlib" not in str(caught.value)
    assert folder in str(caught.value)


def test_changed_code_is_told_apart(folder: str) -> None:
    imported_application("served_code:app", {}, [folder])
    before = code_below([folder])
    assert code_below([folder]) == before
    (Path(folder) / "served_code.py").write_text(f"{CODE}\n")
    assert code_below([folder]) != before


def test_modules_that_name_a_file_which_there_is_not_are_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = types.ModuleType("made_up")  # as torch.classes
    made.__file__ = "_made_up.py"
    monkeypatch.setitem(sys.modules, "made_up", made)
    monkeypatch.chdir(tmp_path)
    assert code_below([str(tmp_path)]) == ""
