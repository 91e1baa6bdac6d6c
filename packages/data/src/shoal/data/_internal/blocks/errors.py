"""The error of values that no column can hold."""

from __future__ import annotations

from shoal.data.exceptions import DataError


class ArrowConversionError(DataError, TypeError, ValueError):
    """Values cannot become a column: Arrow has no type for them, and they cannot be pickled either.

    Args:
        values: the values in words ('values of the types int and Lock').
        reason: what went wrong, and what to do about it.
        column: the name of the column, where it is known.
    """

    def __init__(self, values: str, reason: str, column: str | None = None) -> None:
        self.values = values
        self.reason = reason
        self.column = column
        super().__init__(values, reason, column)

    def __str__(self) -> str:
        where = f"column {self.column!r}: " if self.column is not None else ""
        return f"{where}{self.values} cannot be put into a column: {self.reason}"

    def of_column(self, column: str) -> ArrowConversionError:
        """The same error, naming the column."""
        return ArrowConversionError(self.values, self.reason, column)
