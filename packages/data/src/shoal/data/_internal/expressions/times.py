"""Functions of columns of times and dates, Arrow's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.data._internal.expressions.accessors import Accessors
    from shoal.data._internal.expressions.nodes import Expr


class TimeMethods:
    """See https://arrow.apache.org/docs/cpp/compute.html, temporal functions. Null stays null."""

    def __init__(self, expr: Accessors) -> None:
        self._expr = expr

    def year(self) -> Expr:
        return self._expr._call("year")

    def quarter(self) -> Expr:
        return self._expr._call("quarter")

    def month(self) -> Expr:
        return self._expr._call("month")

    def week(self) -> Expr:
        """The number of ISO 8601."""
        return self._expr._call("iso_week")

    def day(self) -> Expr:
        return self._expr._call("day")

    def day_of_week(self) -> Expr:
        """0 for Monday."""
        return self._expr._call("day_of_week")

    def day_of_year(self) -> Expr:
        return self._expr._call("day_of_year")

    def hour(self) -> Expr:
        return self._expr._call("hour")

    def minute(self) -> Expr:
        return self._expr._call("minute")

    def second(self) -> Expr:
        return self._expr._call("second")

    def millisecond(self) -> Expr:
        return self._expr._call("millisecond")

    def microsecond(self) -> Expr:
        return self._expr._call("microsecond")

    def strftime(self, fmt: str = "%Y-%m-%dT%H:%M:%S", locale: str = "C") -> Expr:
        """As text."""
        return self._expr._call("strftime", format=fmt, locale=locale)

    def floor(self, unit: str, multiple: int = 1) -> Expr:
        """Down to whole units: 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year', …."""
        return self._expr._call("floor_temporal", unit=unit, multiple=multiple)

    def ceil(self, unit: str, multiple: int = 1) -> Expr:
        """Up to whole units."""
        return self._expr._call("ceil_temporal", unit=unit, multiple=multiple)

    def round(self, unit: str, multiple: int = 1) -> Expr:
        """To the nearest whole unit."""
        return self._expr._call("round_temporal", unit=unit, multiple=multiple)
