"""Decorators that say how stable a name is. They change nothing but the docstring; `Deprecated` can warn."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class ShoalDeprecationWarning(DeprecationWarning):
    """Something that will be removed was used."""


RayDeprecationWarning = ShoalDeprecationWarning


def PublicAPI(*args: Any, stability: str = "stable", api_group: str = "Others") -> Any:
    """Marks a public name. Usable with and without arguments."""
    return _mark(args, f"PublicAPI ({stability}).")


def DeveloperAPI(*args: Any) -> Any:
    """Marks a name for developers of libraries. Usable with and without arguments."""
    return _mark(args, "DeveloperAPI.")


def Deprecated(*args: Any, message: str = "", warning: bool = False) -> Any:
    """Marks a name that will be removed. Usable with and without arguments.

    Args:
        message: what to use instead.
        warning: whether calls warn.
    """
    text = f"Deprecated. {message}".strip()

    def decorate(target: T) -> T:
        marked: T = _with_note(target, text)
        if not warning or isinstance(target, type):
            return marked
        function: Callable[..., Any] = target  # type: ignore[assignment]

        @functools.wraps(function)
        def warn(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(f"{function.__qualname__}: {text}", ShoalDeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        return warn  # type: ignore[return-value]

    return decorate(args[0]) if args else decorate


def _mark(args: tuple[Any, ...], note: str) -> Any:
    if args:
        return _with_note(args[0], note)
    return lambda target: _with_note(target, note)


def _with_note(target: T, note: str) -> T:
    target.__doc__ = f"{target.__doc__ or ''}\n\n{note}".strip()
    return target
