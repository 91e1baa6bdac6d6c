"""The root of shoal's errors."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ShoalError(Exception):
    """Base of all errors of shoal."""

    __module__ = "shoal.exceptions"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args), self.__dict__ or None


def _rebuild(error_class: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    """Makes the error without its `__init__`: its attributes come from the pickled state."""
    error = error_class.__new__(error_class, *args)
    error.args = args
    return error
