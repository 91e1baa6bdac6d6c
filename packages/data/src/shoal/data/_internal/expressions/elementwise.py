"""Mathematics of single values, Arrow's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.data._internal.expressions.accessors import Accessors

if TYPE_CHECKING:
    from shoal.data._internal.expressions.nodes import Expr


class Elementwise(Accessors):
    """What expressions have for numbers. Null stays null."""

    def abs(self) -> Expr:
        return self._call("abs")

    def ceil(self) -> Expr:
        return self._call("ceil")

    def floor(self) -> Expr:
        return self._call("floor")

    def round(self, decimals: int = 0) -> Expr:
        """Halves go to the even neighbour."""
        return self._call("round", ndigits=decimals)

    def trunc(self) -> Expr:
        return self._call("trunc")

    def sign(self) -> Expr:
        return self._call("sign")

    def negate(self) -> Expr:
        return self._call("negate")

    def power(self, exponent: Any) -> Expr:
        from shoal.data._internal.expressions.nodes import CallExpr, as_expr

        return CallExpr("power", (as_expr(self), as_expr(exponent)))

    def exp(self) -> Expr:
        return self._call("exp")

    def ln(self) -> Expr:
        return self._call("ln")

    def log2(self) -> Expr:
        return self._call("log2")

    def log10(self) -> Expr:
        return self._call("log10")

    def sin(self) -> Expr:
        return self._call("sin")

    def cos(self) -> Expr:
        return self._call("cos")

    def tan(self) -> Expr:
        return self._call("tan")

    def asin(self) -> Expr:
        return self._call("asin")

    def acos(self) -> Expr:
        return self._call("acos")

    def atan(self) -> Expr:
        return self._call("atan")
