"""The nodes of expressions. Frozen in use: operators and methods return other nodes. Null logic is SQL's (Kleene)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.expressions.elementwise import Elementwise
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError

Column: TypeAlias = Any
"""A pyarrow.Array or ChunkedArray."""


class Operation(Enum):
    """What a node with operands does."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    FLOORDIV = "//"
    MOD = "%"
    POW = "**"
    GT = ">"
    LT = "<"
    GE = ">="
    LE = "<="
    EQ = "=="
    NE = "!="
    AND = "&"
    OR = "|"
    IN = "in"
    NOT_IN = "not in"
    NOT = "~"
    NEG = "neg"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"


class Expr(Elementwise):
    """An expression over columns. Made with `col` and `lit`, and with operators and methods of those."""

    name: str = ""
    """Of the column that it makes, where it has one."""

    def evaluate(self, table: pa.Table) -> Column:
        """Returns a value for each row.

        Raises:
            ColumnNotFoundError: a column is not there.
        """
        value = self._value(table)
        if isinstance(value, pa.Scalar):
            return pa.array([value.as_py()] * table.num_rows, value.type)
        return value

    def _value(self, table: pa.Table) -> Any:
        raise NotImplementedError

    def columns(self) -> frozenset[str]:
        """Returns the names of the columns that it looks at."""
        found: frozenset[str] = frozenset()
        for child in self.children():
            found |= child.columns()
        return found

    def children(self) -> tuple[Expr, ...]:
        """Returns the nodes below."""
        return ()

    def over(self, children: tuple[Expr, ...]) -> Expr:
        """Returns the same node over others."""
        return self

    def get_type(self, schema: pa.Schema) -> pa.DataType | None:
        """Returns the type of its values over such columns; None where that is not known before it is evaluated."""
        try:
            return self.evaluate(schema.empty_table()).type
        except ColumnNotFoundError:
            raise
        except Exception:  # a function of the user's may not take empty input
            return None

    def to_pyarrow(self) -> Any:
        """Returns it as a filter of Arrow's datasets; None where that cannot say it."""
        return None

    def structurally_equals(self, other: Any) -> bool:
        """Whether another one is written the same way."""
        return bool(type(self) is type(other) and repr(self) == repr(other))

    def alias(self, name: str) -> Expr:
        """Returns the same values under a name."""
        return AliasExpr(self, name)

    def is_null(self) -> Expr:
        return UnaryExpr(Operation.IS_NULL, self)

    def is_not_null(self) -> Expr:
        return UnaryExpr(Operation.IS_NOT_NULL, self)

    def is_in(self, values: Iterable[Any]) -> Expr:
        return BinaryExpr(Operation.IN, self, LiteralExpr(list(values)))

    def not_in(self, values: Iterable[Any]) -> Expr:
        return BinaryExpr(Operation.NOT_IN, self, LiteralExpr(list(values)))

    def cast(self, target_type: Any, *, safe: bool = True) -> Expr:
        """Returns the values as another type.

        Args:
            target_type: an Arrow type, its name, or a `DataType`.
            safe: an error for values that the type cannot hold exactly.
        """
        kind = target_type.to_arrow_dtype() if hasattr(target_type, "to_arrow_dtype") else target_type
        kind = pa.type_for_alias(kind) if isinstance(kind, str) else kind
        return CallExpr("cast", (self,), {"target_type": kind, "safe": safe})

    def __add__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.ADD, self, as_expr(other))

    def __radd__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.ADD, as_expr(other), self)

    def __sub__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.SUB, self, as_expr(other))

    def __rsub__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.SUB, as_expr(other), self)

    def __mul__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.MUL, self, as_expr(other))

    def __rmul__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.MUL, as_expr(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.DIV, self, as_expr(other))

    def __rtruediv__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.DIV, as_expr(other), self)

    def __floordiv__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.FLOORDIV, self, as_expr(other))

    def __rfloordiv__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.FLOORDIV, as_expr(other), self)

    def __mod__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.MOD, self, as_expr(other))

    def __rmod__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.MOD, as_expr(other), self)

    def __pow__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.POW, self, as_expr(other))

    def __rpow__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.POW, as_expr(other), self)

    def __and__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.AND, self, as_expr(other))

    def __or__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.OR, self, as_expr(other))

    def __gt__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.GT, self, as_expr(other))

    def __lt__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.LT, self, as_expr(other))

    def __ge__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.GE, self, as_expr(other))

    def __le__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.LE, self, as_expr(other))

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return BinaryExpr(Operation.EQ, self, as_expr(other))

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return BinaryExpr(Operation.NE, self, as_expr(other))

    def __invert__(self) -> Expr:
        return UnaryExpr(Operation.NOT, self)

    def __neg__(self) -> Expr:
        return UnaryExpr(Operation.NEG, self)

    def __bool__(self) -> bool:
        raise TypeError(
            "an expression has no truth of its own: use & for and, | for or, ~ for not, with parentheses around comparisons"
        )

    __hash__ = object.__hash__


class ColumnExpr(Expr):
    """A column."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _value(self, table: pa.Table) -> Any:
        position = table.schema.get_field_index(self.name)
        if position < 0:
            raise ColumnNotFoundError(self.name, table.column_names, "expression")
        return table.column(position)

    def columns(self) -> frozenset[str]:
        return frozenset((self.name,))

    def to_pyarrow(self) -> Any:
        return pc.field(self.name)

    def __repr__(self) -> str:
        return f"col({self.name!r})"


class LiteralExpr(Expr):
    """A value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def _value(self, table: pa.Table) -> Any:
        return self._scalar()

    def to_pyarrow(self) -> Any:
        return pc.scalar(self._scalar())

    def _scalar(self) -> pa.Scalar:
        needs_all_bits = isinstance(self.value, int) and self.value >= 1 << 63
        return pa.scalar(self.value, pa.uint64()) if needs_all_bits else pa.scalar(self.value)

    def __repr__(self) -> str:
        return f"lit({self.value!r})"


class AliasExpr(Expr):
    """An expression under another name."""

    def __init__(self, expr: Expr, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"alias: name is {name!r}; give a string")
        self.expr = expr
        self.name = name

    def _value(self, table: pa.Table) -> Any:
        return self.expr._value(table)

    def children(self) -> tuple[Expr, ...]:
        return (self.expr,)

    def over(self, children: tuple[Expr, ...]) -> Expr:
        return AliasExpr(children[0], self.name)

    def to_pyarrow(self) -> Any:
        return self.expr.to_pyarrow()

    def __repr__(self) -> str:
        return f"{self.expr!r}.alias({self.name!r})"


def _floor_divide(left: Any, right: Any) -> Any:
    return _floored(left, right)[0]


def _modulo(left: Any, right: Any) -> Any:
    return _floored(left, right)[1]


def _floored(left: Any, right: Any) -> tuple[Any, Any]:
    """Python's division: rounded down, the rest with the divisor's sign. By zero it gives null for whole numbers."""
    if pa.types.is_floating(left.type) or pa.types.is_floating(right.type):
        quotient = pc.floor(pc.divide(pc.cast(left, pa.float64()), pc.cast(right, pa.float64())))
        return quotient, pc.subtract(left, pc.multiply(quotient, right))
    divisor = pc.if_else(pc.equal(right, 0), pa.scalar(None, right.type), right)
    quotient = pc.divide(left, divisor)
    rest = pc.subtract(left, pc.multiply(quotient, divisor))
    wrong = pc.and_(pc.not_equal(rest, 0), pc.xor(pc.less(rest, 0), pc.less(divisor, 0)))
    one = pc.cast(wrong, pa.int64())
    return pc.subtract(quotient, one), pc.add(rest, pc.multiply(divisor, one))


def _true_divide(left: Any, right: Any) -> Any:
    return pc.divide(pc.cast(left, pa.float64()), pc.cast(right, pa.float64()))


def _add(left: Any, right: Any) -> Any:
    if _is_text(left.type) and _is_text(right.type):
        return pc.binary_join_element_wise(left, right, "")
    return pc.add(left, right)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


_BINARY: dict[Operation, Callable[[Any, Any], Any]] = {
    Operation.ADD: _add,
    Operation.SUB: pc.subtract,
    Operation.MUL: pc.multiply,
    Operation.DIV: _true_divide,
    Operation.FLOORDIV: _floor_divide,
    Operation.MOD: _modulo,
    Operation.POW: pc.power,
    Operation.GT: pc.greater,
    Operation.LT: pc.less,
    Operation.GE: pc.greater_equal,
    Operation.LE: pc.less_equal,
    Operation.EQ: pc.equal,
    Operation.NE: pc.not_equal,
    Operation.AND: pc.and_kleene,
    Operation.OR: pc.or_kleene,
}
_IN_FILTERS = {
    Operation.GT: lambda a, b: a > b,
    Operation.LT: lambda a, b: a < b,
    Operation.GE: lambda a, b: a >= b,
    Operation.LE: lambda a, b: a <= b,
    Operation.EQ: lambda a, b: a == b,
    Operation.NE: lambda a, b: a != b,
    Operation.AND: lambda a, b: a & b,
    Operation.OR: lambda a, b: a | b,
}


_COMPARISONS = frozenset({Operation.GT, Operation.LT, Operation.GE, Operation.LE, Operation.EQ, Operation.NE})


def _without_sign(value: Any, other: pa.DataType) -> Any:
    """A number to compare with unsigned ones: Arrow would give those a sign, for which some are too large."""
    is_number = isinstance(value, pa.Int64Scalar) and value.is_valid
    return value.cast(pa.uint64()) if is_number and other == pa.uint64() and value.as_py() >= 0 else value


class BinaryExpr(Expr):
    """Two operands."""

    def __init__(self, op: Operation, left: Expr, right: Expr) -> None:
        self.op = op
        self.left = left
        self.right = right

    def _value(self, table: pa.Table) -> Any:
        left = self.left._value(table)
        if self.op in (Operation.IN, Operation.NOT_IN):
            assert isinstance(self.right, LiteralExpr)
            found = pc.is_in(left, value_set=pa.array(self.right.value, getattr(left, "type", None)))
            return found if self.op is Operation.IN else pc.invert(found)
        right = self.right._value(table)
        if self.op in _COMPARISONS:
            left, right = _without_sign(left, right.type), _without_sign(right, left.type)
        return _BINARY[self.op](left, right)

    def children(self) -> tuple[Expr, ...]:
        return (self.left, self.right)

    def over(self, children: tuple[Expr, ...]) -> Expr:
        return BinaryExpr(self.op, *children)

    def to_pyarrow(self) -> Any:
        left = self.left.to_pyarrow()
        if left is None:
            return None
        if self.op in (Operation.IN, Operation.NOT_IN):
            assert isinstance(self.right, LiteralExpr)
            found = left.isin(self.right.value)
            return found if self.op is Operation.IN else ~found
        right = self.right.to_pyarrow()
        combine = _IN_FILTERS.get(self.op)
        return combine(left, right) if combine is not None and right is not None else None

    def __repr__(self) -> str:
        right = repr(self.right.value) if isinstance(self.right, LiteralExpr) else repr(self.right)
        return f"({self.left!r} {self.op.value} {right})"


class UnaryExpr(Expr):
    """One operand."""

    def __init__(self, op: Operation, operand: Expr) -> None:
        self.op = op
        self.operand = operand

    def _value(self, table: pa.Table) -> Any:
        value = self.operand._value(table)
        if self.op is Operation.NOT:
            return pc.invert(value)
        if self.op is Operation.NEG:
            return pc.negate(value)
        return pc.is_null(value) if self.op is Operation.IS_NULL else pc.is_valid(value)

    def children(self) -> tuple[Expr, ...]:
        return (self.operand,)

    def over(self, children: tuple[Expr, ...]) -> Expr:
        return UnaryExpr(self.op, children[0])

    def to_pyarrow(self) -> Any:
        operand = self.operand.to_pyarrow()
        if operand is None or self.op is Operation.NEG:
            return None
        if self.op is Operation.NOT:
            return ~operand
        return operand.is_null() if self.op is Operation.IS_NULL else operand.is_valid()

    def __repr__(self) -> str:
        if self.op in (Operation.NOT, Operation.NEG):
            return f"{'~' if self.op is Operation.NOT else '-'}{self.operand!r}"
        return f"{self.operand!r}.{self.op.value}()"


class CallExpr(Expr):
    """A function of pyarrow.compute by its name, or one of ours, over operands."""

    def __init__(
        self, function: str | Callable[..., Any], operands: tuple[Expr, ...], options: dict[str, Any] | None = None
    ) -> None:
        self.function = function
        self.operands = operands
        self.options = options or {}

    def _value(self, table: pa.Table) -> Any:
        function = getattr(pc, self.function) if isinstance(self.function, str) else self.function
        return function(*(operand._value(table) for operand in self.operands), **self.options)

    def children(self) -> tuple[Expr, ...]:
        return self.operands

    def over(self, children: tuple[Expr, ...]) -> Expr:
        return CallExpr(self.function, children, self.options)

    def __repr__(self) -> str:
        arguments = [*map(repr, self.operands), *(f"{key}={value!r}" for key, value in self.options.items())]
        name = self.function if isinstance(self.function, str) else self.function.__name__
        return f"{name}({', '.join(arguments)})"


class UDFExpr(Expr):
    """A function of the user's over whole columns."""

    def __init__(self, function: Callable[..., Any], operands: tuple[Expr, ...], return_type: Any) -> None:
        self.function = function
        self.operands = operands
        self.return_type = return_type
        self.name = getattr(function, "__name__", type(function).__name__)

    def _value(self, table: pa.Table) -> Any:
        from shoal.data._internal.blocks.build import array_of

        made = self.function(*(operand.evaluate(table) for operand in self.operands))
        column = made if isinstance(made, (pa.Array, pa.ChunkedArray)) else array_of(made)
        return (
            column.cast(self.return_type)
            if self.return_type is not None and column.type != self.return_type
            else column
        )

    def children(self) -> tuple[Expr, ...]:
        return self.operands

    def over(self, children: tuple[Expr, ...]) -> Expr:
        return UDFExpr(self.function, children, self.return_type)

    def get_type(self, schema: pa.Schema) -> pa.DataType | None:
        return self.return_type

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.operands))})"


def as_expr(value: Any) -> Expr:
    """Returns a value as an expression."""
    return value if isinstance(value, Expr) else LiteralExpr(value)
