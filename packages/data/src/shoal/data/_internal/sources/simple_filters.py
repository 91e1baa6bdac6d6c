"""Which expressions other libraries understand exactly as shoal does.

They differ in what they make of NaN, of nulls below `~` and in lists, and of numbers of other types than the column's. So only what is
beyond doubt is handed to them: comparisons of a column of whole numbers, strings, booleans or dates with a value of its own type, tests for
null, and these joined by `&` and `|`.
"""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa

from shoal.data._internal.expressions.nodes import BinaryExpr, ColumnExpr, Expr, LiteralExpr, Operation, UnaryExpr

COMPARISONS = frozenset({Operation.EQ, Operation.NE, Operation.LT, Operation.LE, Operation.GT, Operation.GE})
JUNCTIONS = frozenset({Operation.AND, Operation.OR})
NULL_TESTS = frozenset({Operation.IS_NULL, Operation.IS_NOT_NULL})


def is_simple(expr: Expr, schema: pa.Schema) -> bool:
    """Whether an expression is one of those.

    Args:
        expr: a condition.
        schema: of the columns that it looks at.
    """
    if isinstance(expr, UnaryExpr):
        return expr.op in NULL_TESTS and _type_of(expr.operand, schema) is not None
    if not isinstance(expr, BinaryExpr):
        return False
    if expr.op in JUNCTIONS:
        return is_simple(expr.left, schema) and is_simple(expr.right, schema)
    kind = _type_of(expr.left, schema)
    if kind is None or not isinstance(expr.right, LiteralExpr):
        return False
    if expr.op is Operation.IN:
        return bool(expr.right.value) and all(_is_of(value, kind) for value in expr.right.value)
    return expr.op in COMPARISONS and _is_of(expr.right.value, kind)


def _type_of(expr: Expr, schema: pa.Schema) -> pa.DataType | None:
    if not isinstance(expr, ColumnExpr) or schema.get_field_index(expr.name) < 0:
        return None
    return schema.field(expr.name).type


def _is_of(value: Any, kind: pa.DataType) -> bool:
    if pa.types.is_boolean(kind):
        return isinstance(value, bool)
    if kind in (pa.int32(), pa.int64()):
        bound = 1 << (kind.bit_width - 1)
        return isinstance(value, int) and not isinstance(value, bool) and -bound <= value < bound
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return isinstance(value, str)
    return kind == pa.date32() and type(value) is datetime.date
