"""Functions and classes in other languages: not supported, and said so."""

from __future__ import annotations

from enum import IntEnum
from typing import NoReturn

from shoal.exceptions import UnsupportedError

_ALTERNATIVE = (
    "Workers are Python processes: call the other language from Python (ctypes, JPype, a subprocess, or HTTP)."
)


class Language(IntEnum):
    """Languages that Ray has workers for; shoal has PYTHON."""

    PYTHON = 0
    JAVA = 1
    CPP = 2


def java_function(class_name: str, function_name: str) -> NoReturn:
    """Raises UnsupportedError: there are no Java workers."""
    raise UnsupportedError(f"java_function({class_name!r}, {function_name!r})", _ALTERNATIVE)


def java_actor_class(class_name: str) -> NoReturn:
    """Raises UnsupportedError: there are no Java workers."""
    raise UnsupportedError(f"java_actor_class({class_name!r})", _ALTERNATIVE)


def cpp_function(function_name: str) -> NoReturn:
    """Raises UnsupportedError: there are no C++ workers."""
    raise UnsupportedError(f"cpp_function({function_name!r})", _ALTERNATIVE)
