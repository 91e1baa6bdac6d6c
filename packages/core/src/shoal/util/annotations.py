"""Decorators that say how stable a function or class is. They note it on the object and in its docstring."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

from shoal.exceptions import InvalidOptionError

T = TypeVar("T", bound=Callable[..., Any])

_STABILITIES = ("stable", "beta", "alpha")


class ShoalDeprecationWarning(DeprecationWarning):
    """Something that will be taken away is used."""


RayDeprecationWarning = ShoalDeprecationWarning


@overload
def PublicAPI(decorated: T, /) -> T: ...
@overload
def PublicAPI(*, stability: str = "stable", api_group: str = "Others") -> Callable[[T], T]: ...
def PublicAPI(decorated: T | None = None, /, *, stability: str = "stable", api_group: str = "Others") -> Any:
    """Marks what users may rely on.

    Args:
        decorated: the function or class, where the decorator is used without arguments.
        stability: 'stable', 'beta' or 'alpha' (may change in any release).
        api_group: heading under which documentation lists it.

    Raises:
        InvalidOptionError: (a ValueError) for another stability.
    """
    if stability not in _STABILITIES:
        raise InvalidOptionError("stability", stability, f"give one of {', '.join(_STABILITIES)}")
    return _apply(decorated, lambda found: _mark(found, "PublicAPI", api_group, f"PublicAPI ({stability})."))


@overload
def DeveloperAPI(decorated: T, /) -> T: ...
@overload
def DeveloperAPI(*, api_group: str = "Others") -> Callable[[T], T]: ...
def DeveloperAPI(decorated: T | None = None, /, *, api_group: str = "Others") -> Any:
    """Marks what libraries build on: it may change in minor releases. Arguments as for `PublicAPI`."""
    return _apply(decorated, lambda found: _mark(found, "DeveloperAPI", api_group, "DeveloperAPI."))


@overload
def Deprecated(decorated: T, /) -> T: ...
@overload
def Deprecated(*, message: str = ..., warning: bool = False) -> Callable[[T], T]: ...
def Deprecated(
    decorated: T | None = None,
    /,
    *,
    message: str = "It will be taken away in a later release.",
    warning: bool = False,
) -> Any:
    """Marks what will be taken away.

    Args:
        decorated: the function or class, where the decorator is used without arguments.
        message: what to use instead, and by when.
        warning: True to warn (ShoalDeprecationWarning) when it is called, or made an instance of.
    """

    def mark(found: T) -> T:
        marked = _mark(found, "Deprecated", "Others", f"Deprecated. {message}")
        return _warning_wrapper(marked, message) if warning else marked

    return _apply(decorated, mark)


def _apply(decorated: T | None, mark: Callable[[T], T]) -> Any:
    return mark if decorated is None else mark(decorated)


def _mark(found: T, kind: str, api_group: str, note: str) -> T:
    found._annotated = found.__name__  # type: ignore[attr-defined]
    found._annotated_type = kind  # type: ignore[attr-defined]
    found._annotated_api_group = api_group  # type: ignore[attr-defined]
    found.__doc__ = f"{inspect.cleandoc(found.__doc__ or '')}\n\n{note}".lstrip()
    return found


def _warning_wrapper(found: T, message: str) -> T:
    text = f"{found.__qualname__} is deprecated: {message}"
    target: Any = found.__init__ if isinstance(found, type) else found  # type: ignore[misc]

    @functools.wraps(target)
    def warn_and_call(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(text, ShoalDeprecationWarning, stacklevel=2)
        return target(*args, **kwargs)

    if not isinstance(found, type):
        wrapped: Any = warn_and_call
        return wrapped  # type: ignore[no-any-return]
    found.__init__ = warn_and_call  # type: ignore[misc]
    return found
