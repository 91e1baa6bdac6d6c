"""Blocks with the columns and types that a table has."""

from __future__ import annotations

import difflib

import pyarrow as pa

from shoal.data._internal.blocks.unify import cast_column
from shoal.data.exceptions import SchemaMismatchError


def conformed(block: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    """Returns a block with the table's columns, in the table's order and types; columns that it lacks are null.

    Args:
        block: what is to be written.
        schema: of the table.
        where: the operation, for errors ('write_delta').

    Raises:
        SchemaMismatchError: the block has a column that the table does not have, or a value that does not fit.
    """
    for name in block.column_names:
        if name not in schema.names:
            close = difflib.get_close_matches(name, schema.names, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise SchemaMismatchError(
                f"{where}: the table has no column {name!r}.{hint} Add it to the table, or leave it out with drop_columns. The table's "
                f"columns: {', '.join(map(repr, schema.names))}"
            )
    columns = []
    for field in schema:
        if field.name not in block.column_names:
            columns.append(pa.nulls(block.num_rows, field.type))
            continue
        column = block.column(field.name)
        try:
            columns.append(cast_column(column, field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise SchemaMismatchError(
                f"{where}: column {field.name!r} is {column.type}, and {field.type} in the table: {error}. Convert it before, for example "
                "with with_column and cast"
            ) from error
        if not field.nullable and column.null_count:
            raise SchemaMismatchError(f"{where}: column {field.name!r} has nulls, and the table allows none there")
    return pa.table(columns, names=schema.names)
