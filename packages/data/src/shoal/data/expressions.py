"""Expressions over columns, for filters and computed columns: `col("x") * 2 > 5`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.data._internal.expressions.downloading import DownloadExpr
from shoal.data._internal.expressions.nodes import (
    AliasExpr,
    BinaryExpr,
    ColumnExpr,
    Expr,
    LiteralExpr,
    Operation,
    UDFExpr,
    UnaryExpr,
    as_expr,
)
from shoal.data._internal.expressions.parsing import parse
from shoal.data.exceptions import InvalidArgumentError

__all__ = [
    "AliasExpr",
    "BinaryExpr",
    "ColumnExpr",
    "DownloadExpr",
    "Expr",
    "LiteralExpr",
    "Operation",
    "UDFExpr",
    "UnaryExpr",
    "col",
    "download",
    "lit",
    "parse",
    "pyarrow_udf",
    "udf",
]


def col(name: str) -> Expr:
    """Returns the column of that name.

    Example:
        >>> from shoal.data.expressions import col
        >>> (col("x") > 5) & col("y").is_not_null()
        ((col('x') > 5) & col('y').is_not_null())
    """
    if not isinstance(name, str) or not name:
        raise InvalidArgumentError(f"col: name is {name!r}; give a column's name")
    return ColumnExpr(name)


def lit(value: Any) -> Expr:
    """Returns a value as an expression."""
    return LiteralExpr(value)


def download(uri_column_name: str, *, filesystem: Any = None) -> Expr:
    """Returns the bytes of what each URI of a column names, several read at a time.

    Args:
        uri_column_name: a column of URIs (http, s3, file, …) or local paths.
        filesystem: of pyarrow, for paths without a scheme; None for local ones.

    Null where there is no URI, or nothing can be read there: the log of `shoal.data` tells why.
    """
    if not isinstance(uri_column_name, str) or not uri_column_name:
        raise InvalidArgumentError(f"download: uri_column_name is {uri_column_name!r}; give a column's name")
    return DownloadExpr(uri_column_name, filesystem)


def pyarrow_udf(return_dtype: Any = None) -> Callable[[Callable[..., Any]], Callable[..., Expr]]:
    """As `udf`, for functions of pyarrow.compute: both get and return Arrow's arrays."""
    return udf(return_dtype)


def udf(return_dtype: Any = None) -> Callable[[Callable[..., Any]], Callable[..., Expr]]:
    """Makes a function of whole columns usable in expressions.

    Args:
        return_dtype: the type of its values, an Arrow type or a `DataType`; None for whatever it returns.
    """
    kind = return_dtype.to_arrow_dtype() if hasattr(return_dtype, "to_arrow_dtype") else return_dtype

    def decorate(function: Callable[..., Any]) -> Callable[..., Expr]:
        target = function() if isinstance(function, type) else function

        def apply(*operands: Any) -> Expr:
            return UDFExpr(target, tuple(map(as_expr, operands)), kind)

        apply.__name__ = function.__name__
        return apply

    return decorate
