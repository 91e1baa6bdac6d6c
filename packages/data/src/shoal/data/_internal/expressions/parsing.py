"""Expressions written as text, in Python's syntax. Nothing of the text is ever run."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from shoal.data._internal.expressions.nodes import (
    BinaryExpr,
    ColumnExpr,
    Expr,
    LiteralExpr,
    Operation,
    UnaryExpr,
)
from shoal.data.exceptions import InvalidArgumentError

_BINARY: dict[type[ast.operator], Operation] = {
    ast.Add: Operation.ADD,
    ast.Sub: Operation.SUB,
    ast.Mult: Operation.MUL,
    ast.Div: Operation.DIV,
    ast.FloorDiv: Operation.FLOORDIV,
    ast.Mod: Operation.MOD,
    ast.Pow: Operation.POW,
    ast.BitAnd: Operation.AND,
    ast.BitOr: Operation.OR,
}
_COMPARE: dict[type[ast.cmpop], Operation] = {
    ast.Gt: Operation.GT,
    ast.Lt: Operation.LT,
    ast.GtE: Operation.GE,
    ast.LtE: Operation.LE,
    ast.Eq: Operation.EQ,
    ast.NotEq: Operation.NE,
}
_METHODS: dict[str, Callable[..., Expr]] = {
    "is_null": Expr.is_null,
    "is_not_null": Expr.is_not_null,
    "is_in": Expr.is_in,
    "not_in": Expr.not_in,
}


def parse(text: str) -> Expr:
    """Returns what a text such as `"x > 5 and name in ['a', 'b']"` says.

    Raises:
        InvalidArgumentError: (a ValueError) it is no expression; the text says where.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise InvalidArgumentError(
            f"the expression {text!r} is not understood at position {error.offset}: {error.msg}"
        ) from None
    return _Parser(text.strip()).expr(tree)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def expr(self, node: ast.expr) -> Expr:
        if isinstance(node, ast.Name):
            return ColumnExpr(node.id)
        if isinstance(node, ast.Constant | ast.List | ast.Tuple):
            return LiteralExpr(self._literal(node))
        if isinstance(node, ast.BoolOp):
            op = Operation.AND if isinstance(node.op, ast.And) else Operation.OR
            whole = self.expr(node.values[0])
            for value in node.values[1:]:
                whole = BinaryExpr(op, whole, self.expr(value))
            return whole
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return BinaryExpr(_BINARY[type(node.op)], self.expr(node.left), self.expr(node.right))
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise self._error(node, "it may have columns, values, comparisons, arithmetic, and, or, not, in, is None")

    def _unary(self, node: ast.UnaryOp) -> Expr:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return LiteralExpr(-node.operand.value)  # type: ignore[operator]
        if isinstance(node.op, ast.USub):
            return UnaryExpr(Operation.NEG, self.expr(node.operand))
        if isinstance(node.op, ast.Not | ast.Invert):
            return UnaryExpr(Operation.NOT, self.expr(node.operand))
        return self.expr(node.operand)

    def _compare(self, node: ast.Compare) -> Expr:
        parts: list[Expr] = []
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            parts.append(self._comparison(left, op, right))
            left = right
        whole = parts[0]
        for part in parts[1:]:
            whole = BinaryExpr(Operation.AND, whole, part)
        return whole

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Expr:
        if isinstance(op, ast.In | ast.NotIn):
            values = self._literal(right)
            if not isinstance(values, list | tuple):
                raise self._error(right, "after `in` comes a list of values")
            kind = Operation.IN if isinstance(op, ast.In) else Operation.NOT_IN
            return BinaryExpr(kind, self.expr(left), LiteralExpr(list(values)))
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise self._error(right, "`is` compares with None alone")
            return UnaryExpr(Operation.IS_NULL if isinstance(op, ast.Is) else Operation.IS_NOT_NULL, self.expr(left))
        return BinaryExpr(_COMPARE[type(op)], self.expr(left), self.expr(right))

    def _call(self, node: ast.Call) -> Expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "col" and len(node.args) == 1:
            return ColumnExpr(str(self._literal(node.args[0])))
        if name == "lit" and len(node.args) == 1:
            return LiteralExpr(self._literal(node.args[0]))
        if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            return _METHODS[node.func.attr](self.expr(node.func.value), *map(self._literal, node.args))
        if name in _METHODS and node.args:
            return _METHODS[name](self.expr(node.args[0]), *map(self._literal, node.args[1:]))
        raise self._error(node, "there is no such function")

    def _literal(self, node: ast.expr) -> Any:
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise self._error(node, "a plain value is expected") from None

    def _error(self, node: ast.expr, fix: str) -> InvalidArgumentError:
        piece = ast.get_source_segment(self._text, node)
        return InvalidArgumentError(
            f"the expression {self._text!r} is not understood at position {node.col_offset}, {piece!r}: {fix}"
        )
