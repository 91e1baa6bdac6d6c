"""Errors of shoal.data."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from shoal.exceptions import ShoalError


class DataError(ShoalError):
    """Base of all errors of shoal.data."""


class InvalidArgumentError(DataError, ValueError):
    """An argument has a value that it cannot have. The text names the argument, the value and the fix."""


class ColumnNotFoundError(DataError, KeyError, ValueError):
    """A column is asked for that the dataset does not have.

    Args:
        column: the name asked for.
        available: names that there are; close ones are suggested.
        where: the operation, in words ('select_columns').
    """

    def __init__(self, column: str, available: Iterable[str], where: str = "") -> None:
        self.column = column
        self.available = list(available)
        self.where = where
        super().__init__(column, self.available, where)

    def __str__(self) -> str:
        close = difflib.get_close_matches(self.column, self.available, n=3)
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        prefix = f"{self.where}: " if self.where else ""
        shown = ", ".join(map(repr, self.available[:20])) + (", …" if len(self.available) > 20 else "")
        return f"{prefix}there is no column {self.column!r}.{hint} Columns: {shown or 'none'}."


class SchemaMismatchError(DataError, TypeError, ValueError):
    """Blocks or files that should be alike are not. The text names the field, and the file where there is one."""


class BatchTypeError(DataError, TypeError, ValueError):
    """A function returned something that is no batch or row. The text names the stage, what came and what is expected."""


class UserCodeException(DataError):
    """A function of the user's raised; `__cause__` is its exception. The text names stage, and file, row or batch index."""


RayDataUserCodeException = UserCodeException


class SystemException(DataError):
    """Something failed that is no fault of the user's code."""


class ExecutionTimeoutError(DataError, TimeoutError):
    """Something did not happen within a time that the user has set. The text names what was waited for, and the setting."""


class FileReadError(DataError, OSError):
    """A file cannot be read: it is missing, corrupt, or not of the format. The text names it."""
