"""Marks on methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def override(parent_cls: type[Any]) -> Callable[[F], F]:
    """Marks a method that takes the place of one of a class above.

    Args:
        parent_cls: the class that has the method.

    Returns:
        A decorator that gives back the method as it is.

    Raises:
        NameError: `parent_cls` has no such method, which nobody would call.
    """

    def marked(method: F) -> F:
        function = method.fget if isinstance(method, property) else method
        if not hasattr(parent_cls, function.__name__):
            raise NameError(
                f"{parent_cls.__module__}.{parent_cls.__qualname__} has no method {function.__name__!r}, so nothing would call this one; "
                "look at its name, or leave out @override"
            )
        return method

    return marked
