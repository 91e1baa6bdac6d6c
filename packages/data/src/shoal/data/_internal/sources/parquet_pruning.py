"""What statistics of row groups can tell about a predicate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.expressions.nodes import (
    AliasExpr,
    BinaryExpr,
    ColumnExpr,
    LiteralExpr,
    Operation,
    UnaryExpr,
)
from shoal.data.expressions import Expr

_COMPARISONS = frozenset({Operation.GT, Operation.LT, Operation.GE, Operation.LE, Operation.EQ})


def statistics_condition(predicates: Sequence[Expr], file: pa.Schema, dataset: pa.Schema) -> pc.Expression | None:
    """Returns a condition by which row groups may be left out; None where there is none.

    Statistics leave NaN out, so that Arrow would leave out row groups with rows of NaN for which `x != 5` and the like are true: such
    predicates are no part of the condition. Nor are those over columns that have another type in the file.

    Args:
        predicates: all of which are true for the rows that are wanted.
        file: types of columns in the file.
        dataset: types of columns in the predicates.
    """
    condition: Any = None
    for predicate in predicates:
        if not _is_decided_by_ranges(predicate, file) or not predicate.columns():
            continue
        if any(
            name not in file.names or file.field(name).type != dataset.field(name).type for name in predicate.columns()
        ):
            continue
        part = predicate.to_pyarrow()
        if part is not None:
            condition = part if condition is None else condition & part
    return condition


def _is_decided_by_ranges(predicate: Expr, schema: pa.Schema) -> bool:
    """Whether it is false for NaN as soon as it is false for all that lies between the least and the greatest value."""
    if isinstance(predicate, AliasExpr):
        return _is_decided_by_ranges(predicate.expr, schema)
    if isinstance(predicate, ColumnExpr):
        return predicate.name in schema.names and pa.types.is_boolean(schema.field(predicate.name).type)
    if isinstance(predicate, UnaryExpr):
        if predicate.op in {Operation.IS_NULL, Operation.IS_NOT_NULL}:
            return isinstance(predicate.operand, ColumnExpr)
        return predicate.op is Operation.NOT and _is_decided_without_nan(predicate.operand, schema)
    if not isinstance(predicate, BinaryExpr):
        return False
    if predicate.op in {Operation.AND, Operation.OR}:
        return _is_decided_by_ranges(predicate.left, schema) and _is_decided_by_ranges(predicate.right, schema)
    if predicate.op in _COMPARISONS:
        return _is_operand(predicate.left) and _is_operand(predicate.right)
    if predicate.op is Operation.NE:
        return _is_operand(predicate.left) and _is_operand(predicate.right) and not _has_floats(predicate, schema)
    if predicate.op is Operation.IN and isinstance(predicate.right, LiteralExpr):
        # Null and NaN are in a list that has them, and in no range.
        return _is_operand(predicate.left) and all(
            value is not None and value == value for value in predicate.right.value
        )
    return False


def _is_decided_without_nan(predicate: Expr, schema: pa.Schema) -> bool:
    return _is_decided_by_ranges(predicate, schema) and not _has_floats(predicate, schema) and not _has_lists(predicate)


def _is_operand(expr: Expr) -> bool:
    return isinstance(expr, ColumnExpr | LiteralExpr)


def _has_floats(expr: Expr, schema: pa.Schema) -> bool:
    return any(name in schema.names and pa.types.is_floating(schema.field(name).type) for name in expr.columns())


def _has_lists(expr: Expr) -> bool:
    # A null is in no list, so that it is not known to be null any more: `~x.is_in([1])` is true for it.
    if isinstance(expr, BinaryExpr) and expr.op is Operation.IN:
        return True
    return any(map(_has_lists, expr.children()))
