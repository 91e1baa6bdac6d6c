"""Taking predicates apart, putting them together, and replacing columns in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shoal.data._internal.expressions.nodes import BinaryExpr, ColumnExpr, Expr, Operation


def split_conjuncts(expr: Expr) -> list[Expr]:
    """Returns the predicates that are joined by &."""
    if isinstance(expr, BinaryExpr) and expr.op is Operation.AND:
        return split_conjuncts(expr.left) + split_conjuncts(expr.right)
    return [expr]


def join_conjuncts(parts: Sequence[Expr]) -> Expr:
    """Returns the predicates (at least one) joined by &."""
    whole = parts[0]
    for part in parts[1:]:
        whole = BinaryExpr(Operation.AND, whole, part)
    return whole


def substitute(expr: Expr, mapping: Mapping[str, Expr]) -> Expr:
    """Returns an expression in which columns are replaced by others."""
    if isinstance(expr, ColumnExpr):
        return mapping.get(expr.name, expr)
    children = expr.children()
    return expr.over(tuple(substitute(child, mapping) for child in children)) if children else expr
