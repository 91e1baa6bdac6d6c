"""Putting blocks together and taking them apart: schemas, concatenation, sizes, splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import pyarrow as pa

from shoal.data._internal.blocks.build import table_without_columns
from shoal.data._internal.blocks.unify import cast_column, common_type
from shoal.data.exceptions import InvalidArgumentError, SchemaMismatchError

_SMALL_BYTES = 4096


def unify_schemas(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """The schema into which the data of all of them fits: all fields, in the order in which they first appear.

    Args:
        schemas: of blocks that belong together; none give a schema without fields.

    Raises:
        SchemaMismatchError: if a field has types that have none in common; it names the field and both types.
    """
    distinct: list[pa.Schema] = []
    for schema in schemas:
        # Thousands of blocks have very few different schemas.
        if not any(schema.equals(seen) for seen in distinct):
            distinct.append(schema)
    if len(distinct) == 1:
        return distinct[0]
    types: dict[str, pa.DataType] = {}
    for schema in distinct:
        for field in schema:
            known = types.get(field.name, pa.null())
            found = common_type(known, field.type)
            if found is None:
                raise _mismatch(field.name, known, field.type)
            types[field.name] = found
    return pa.schema(list(types.items()))


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """All rows of the tables, in their order, as one table. Nothing is copied where types are alike.

    Args:
        tables: blocks whose columns may differ: what a block does not have is null in its rows, and types are unified. A block without rows
            counts for columns, and for types as long as nothing contradicts.

    Raises:
        SchemaMismatchError: if a column has types that have none in common, or a value does not fit into the common one; it names the
            column and both types.
    """
    if len(tables) == 1:
        return tables[0]
    if not tables:
        return pa.table({})
    if not any(table.num_columns for table in tables):
        return table_without_columns(sum(table.num_rows for table in tables))
    first = tables[0].schema
    if all(table.schema.equals(first) for table in tables):
        return pa.concat_tables(tables)
    schema, tables = _target(tables)
    return pa.concat_tables([_conformed(table, schema) for table in tables])


def size_bytes(table: pa.Table) -> int:
    """Bytes that the rows of the table take: those of the slice, not of the memory that it is cut from."""
    return int(table.nbytes)


def compact(table: pa.Table) -> pa.Table:
    """The same rows in memory of their own, if they are a slice of much more: pickling a slice takes along all that it was cut from.

    To be called on pieces of a block that leave the process, or that outlive the block.
    """
    if table.get_total_buffer_size() <= 2 * table.nbytes + _SMALL_BYTES:
        return table
    columns = [
        # Joined with nothing: Arrow copies just the rows (of one array alone it would give the slice back).
        pa.chunked_array([pa.concat_arrays([chunk, chunk.slice(0, 0)]) for chunk in column.chunks], column.type)
        for column in table.columns
    ]
    return pa.table(columns, schema=table.schema)


def slice_rows(table: pa.Table, offset: int, length: int) -> pa.Table:
    """Rows of a table, without a copy. As `table.slice`, which forgets to count where there are no columns."""
    if table.num_columns:
        return table.slice(offset, length)
    return table_without_columns(max(0, min(length, table.num_rows - offset)))


def split_rows(table: pa.Table, max_rows: int) -> Iterator[pa.Table]:
    """Yields the table in pieces of `max_rows` rows, the last one shorter; a table without rows once, as it is.

    Raises:
        InvalidArgumentError: if `max_rows` is below one.
    """
    if max_rows < 1:
        raise InvalidArgumentError(f"max_rows={max_rows}: a piece has at least one row. Use a number of 1 or more.")
    return _pieces(table, max_rows)


def split_bytes(table: pa.Table, max_bytes: int) -> Iterator[pa.Table]:
    """Yields the table in pieces of at most `max_bytes` bytes, as even as they can be; a row that is larger is a piece of its own.

    A table without rows comes once, as it is.

    Raises:
        InvalidArgumentError: if `max_bytes` is below one.
    """
    if max_bytes < 1:
        raise InvalidArgumentError(f"max_bytes={max_bytes}: a piece has at least one byte. Use a number of 1 or more.")
    return _pieces_of_bytes(table, max_bytes)


def _pieces(table: pa.Table, max_rows: int) -> Iterator[pa.Table]:
    if table.num_rows <= max_rows:
        yield table
        return
    for offset in range(0, table.num_rows, max_rows):
        yield slice_rows(table, offset, max_rows)


def _pieces_of_bytes(table: pa.Table, max_bytes: int) -> Iterator[pa.Table]:
    size = size_bytes(table)
    if size <= max_bytes or table.num_rows <= 1:
        yield table
        return
    pieces = min(-(-size // max_bytes), table.num_rows)
    bounds = [table.num_rows * piece // pieces for piece in range(pieces + 1)]
    for start, end in pairwise(bounds):
        # Rows differ in size: a piece may still be too large.
        yield from _pieces_of_bytes(table.slice(start, end - start), max_bytes)


def _target(tables: Sequence[pa.Table]) -> tuple[pa.Schema, Sequence[pa.Table]]:
    """The common schema, and the tables that have rows to put into it."""
    try:
        return unify_schemas(table.schema for table in tables), tables
    except SchemaMismatchError:
        # A function that gets no rows often returns columns of other types (numpy's empty arrays are floats).
        filled = [table for table in tables if table.num_rows]
        if len(filled) == len(tables):
            raise
    types = {field.name: field.type for field in unify_schemas(table.schema for table in filled)}
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    return pa.schema([(name, types.get(name, pa.null())) for name in names]), filled


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if not table.num_columns:
        return pa.table([pa.nulls(table.num_rows, field.type) for field in schema], schema=schema)
    columns = []
    for field in schema:
        if field.name not in table.schema.names:
            columns.append(pa.nulls(table.num_rows, field.type))
            continue
        column = table.column(field.name)
        try:
            columns.append(cast_column(column, field.type))
        except pa.ArrowInvalid as error:
            raise _mismatch(field.name, column.type, field.type, f" ({error})") from error
    return pa.table(columns, schema=schema)


def _mismatch(name: str, left: pa.DataType, right: pa.DataType, detail: str = "") -> SchemaMismatchError:
    return SchemaMismatchError(
        f"field {name!r} has the type {left} in one block and {right} in another{detail}, and no type holds both. Convert it to one type "
        "where the data is read or made."
    )
