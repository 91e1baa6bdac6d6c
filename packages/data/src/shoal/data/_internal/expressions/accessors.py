"""Ways to the functions of one kind of column: `col("name").str.upper()`, `col("at").dt.year()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from shoal.data._internal.expressions.lists import FixedListMethods, ListMethods
    from shoal.data._internal.expressions.nodes import Expr
    from shoal.data._internal.expressions.structures import MapMethods, StructMethods
    from shoal.data._internal.expressions.text import TextMethods
    from shoal.data._internal.expressions.times import TimeMethods


class Accessors:
    """What expressions have for columns of text, lists, arrays, structs, maps and times."""

    def _call(self, function: Any, **options: Any) -> Expr:
        """Returns a function of pyarrow.compute over this expression; None among the options means: not given."""
        from shoal.data._internal.expressions.nodes import CallExpr

        given = {name: value for name, value in options.items() if value is not None}
        return CallExpr(function, (cast("Expr", self),), given)

    @property
    def str(self) -> TextMethods:
        """Functions of text."""
        from shoal.data._internal.expressions.text import TextMethods

        return TextMethods(self)

    @property
    def list(self) -> ListMethods:
        """Functions of lists."""
        from shoal.data._internal.expressions.lists import ListMethods

        return ListMethods(self)

    @property
    def arr(self) -> FixedListMethods:
        """Functions of lists of one length."""
        from shoal.data._internal.expressions.lists import FixedListMethods

        return FixedListMethods(self)

    @property
    def struct(self) -> StructMethods:
        """Functions of structs."""
        from shoal.data._internal.expressions.structures import StructMethods

        return StructMethods(self)

    @property
    def map(self) -> MapMethods:
        """Functions of maps."""
        from shoal.data._internal.expressions.structures import MapMethods

        return MapMethods(self)

    @property
    def dt(self) -> TimeMethods:
        """Functions of times and dates."""
        from shoal.data._internal.expressions.times import TimeMethods

        return TimeMethods(self)
