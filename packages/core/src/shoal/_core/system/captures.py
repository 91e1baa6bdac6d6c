"""What functions and classes drag along when they are pickled by value."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple


class Capture(NamedTuple):
    """A variable that a function uses and does not make.

    Attributes:
        name: the variable.
        origin: where it comes from, in words.
        value: what it holds now.
    """

    name: str
    origin: str
    value: Any


def captures_of(definition: Callable[..., Any] | type) -> Iterator[Capture]:
    """Yields what a function, or the methods and attributes of a class, refer to. Each is named once a function."""
    definition = _unwrapped(definition)
    if isinstance(definition, type):
        for name, member in vars(definition).items():
            if isinstance(_unwrapped(member), FunctionType):
                yield from captures_of(member)
            elif not name.startswith("__"):
                yield Capture(name, f"an attribute of class {definition.__qualname__}", member)
    elif isinstance(definition, FunctionType):
        yield from _captures_of_function(definition)


def is_sent_by_value(definition: Any) -> bool:
    """Returns whether other processes cannot import a function or class by its name."""
    module = sys.modules.get(getattr(definition, "__module__", None) or "")
    if module is None or module.__name__ == "__main__":
        return True
    found: Any = module
    for step in definition.__qualname__.split("."):
        found = getattr(found, step, None)
    return found is not definition


def _unwrapped(definition: Any) -> Any:
    if isinstance(definition, (staticmethod, classmethod, MethodType)):
        return definition.__func__
    if isinstance(definition, property):
        return definition.fget
    return definition


def _captures_of_function(function: FunctionType) -> Iterator[Capture]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:
            # The enclosing function has not set it yet.
            continue
        yield Capture(name, "a variable of the enclosing function", value)
    for name in sorted(_global_names(function.__code__)):
        if name in function.__globals__:
            yield Capture(name, "a global variable", function.__globals__[name])
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    defaults = function.__defaults__ or ()
    for name, value in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        yield Capture(name, "the default of a parameter", value)
    for name, value in (function.__kwdefaults__ or {}).items():
        yield Capture(name, "the default of a parameter", value)


def _global_names(code: CodeType) -> set[str]:
    import dis

    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _global_names(constant)
    return names
