"""Writes a package's reference page from its docstrings: every public name, its signature, and what it says of itself.

python .ci/reference.py shoal.data docs/reference-data.md [shoal.data.preprocessors …]
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

INTRODUCTION = "Written from the docstrings by `.ci/reference.py`; the guides tell how things fit together."


def page(modules: list[str]) -> str:
    """Returns the Markdown of the page."""
    lines = [f"# Reference of {modules[0]}", "", INTRODUCTION, ""]
    for name in modules:
        module = importlib.import_module(name)
        if len(modules) > 1:
            lines += [f"## `{name}`", ""]
        for public in public_names(module):
            lines += entry(f"{name}.{public}", getattr(module, public), "###")
    return "\n".join(lines).rstrip() + "\n"


def public_names(module: types.ModuleType) -> list[str]:
    """Returns what the module says that it has, else its own functions and classes; a package's may come from its modules."""
    named: list[str] = getattr(module, "__all__", None) or [
        name
        for name in dir(module)
        if not name.startswith("_") and (hasattr(module, "__path__") or is_of(module, getattr(module, name)))
    ]
    package = module.__name__.rpartition(".")[0] if "." in module.__name__ else module.__name__
    return sorted(
        name
        for name in named
        if str(getattr(getattr(module, name), "__module__", "")).startswith(package)
        and not isinstance(getattr(module, name), types.ModuleType)
    )


def is_of(module: types.ModuleType, value: Any) -> bool:
    return bool(getattr(value, "__module__", "") == module.__name__)


def entry(name: str, value: Any, heading: str) -> list[str]:
    """Returns the lines of one name, and of a class's methods."""
    lines = [f"{heading} `{name}{signature(value)}`", "", *text(value)]
    if inspect.isclass(value) and not issubclass(value, BaseException):
        for method, function in sorted(methods(value).items()):
            owner = name.rpartition(".")[2]
            lines += [f"#### `{owner}.{method}{signature(function)}`", "", *text(function)]
    return lines


def methods(owner: type) -> dict[str, Any]:
    found = {}
    for name, value in inspect.getmembers_static(owner):
        if name.startswith("_"):
            continue
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        home = value.fget if isinstance(value, property) else value
        if str(getattr(home, "__module__", "")).startswith("pydantic."):
            continue
        # What has no docstring defines an inherited method again, which its base documents.
        if (inspect.isfunction(value) or isinstance(value, property)) and value.__doc__:
            found[name] = value
    return found


def signature(value: Any) -> str:
    if isinstance(value, property) or not callable(value):
        return ""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(…)"
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in found.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    plain = found.replace(parameters=parameters, return_annotation=found.empty)
    return re.sub(r"<([\w.]+)[^<>]* at 0x[0-9a-f]+>", r"<\1>", str(plain)).replace("|", "\\|")


def text(value: Any) -> list[str]:
    """Returns the docstring, but for its example."""
    if isinstance(value, property):
        value = value.fget
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return []
    found = inspect.cleandoc(value.__doc__ or "").partition("\nExample:")[0].rstrip()
    lines = []
    for line in found.splitlines():
        section = re.fullmatch(r"(Args|Returns|Raises|Yields):", line)
        argument = re.fullmatch(r"    (\S[^:]*): (.*)", line)
        if section:
            lines += ["", f"*{section[1]}*", ""]
        elif argument:
            lines += [f"- `{argument[1]}`: {argument[2]}"]
        else:
            lines += [line if not line.startswith("     ") else "  " + line.strip()]
    return [line for number, line in enumerate(lines) if line or (number and lines[number - 1])] + [""]


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page([sys.argv[1], *sys.argv[3:]]))
