"""What can be told of a plan's result without running it: columns, types, number of rows, size. Pure, but for what a source looks up."""

from __future__ import annotations

import pyarrow as pa

from shoal.data._internal.blocks.combine import unify_schemas
from shoal.data._internal.plan.operators import (
    Blocks,
    DropColumns,
    FilterExpression,
    FilterRows,
    Limit,
    MapBatches,
    MapRows,
    OneInput,
    Operator,
    RandomizeBlockOrder,
    RandomSample,
    RandomShuffle,
    Read,
    RenameColumns,
    Repartition,
    RepartitionKeys,
    RepartitionRows,
    SelectColumns,
    Sort,
    Union,
    WithColumns,
    Zip,
)
from shoal.data.exceptions import ColumnNotFoundError

_BYTES_A_ROW = 1024
"""What a row is taken to need where its number is limited."""
_SAME_COLUMNS = (
    FilterExpression,
    FilterRows,
    Limit,
    RandomSample,
    RandomShuffle,
    RandomizeBlockOrder,
    Repartition,
    RepartitionKeys,
    RepartitionRows,
    Sort,
)
_SAME_ROWS = (
    DropColumns,
    MapRows,
    RandomShuffle,
    RandomizeBlockOrder,
    RenameColumns,
    Repartition,
    RepartitionKeys,
    RepartitionRows,
    SelectColumns,
    Sort,
    WithColumns,
)


def known_schema(plan: Operator) -> pa.Schema | None:
    """Returns the columns and types of the result, or None where only running the plan tells.

    Raises:
        ColumnNotFoundError: a step asks for a column that its input does not have.
    """
    if isinstance(plan, Read):
        return plan.source.schema()
    if isinstance(plan, Blocks):
        return plan.block_schema
    if isinstance(plan, Union):
        parts = [known_schema(part) for part in plan.parts]
        return unify_schemas([part for part in parts if part is not None]) if None not in parts else None
    if not isinstance(plan, OneInput):
        return None
    below = known_schema(plan.input)
    if below is None:
        return None
    if isinstance(plan, _SAME_COLUMNS):
        return below
    if isinstance(plan, SelectColumns):
        check_columns(plan.columns, below.names, "select_columns")
        return pa.schema([below.field(name) for name in plan.columns])
    if isinstance(plan, DropColumns):
        check_columns(plan.columns, below.names, "drop_columns")
        return pa.schema([field for field in below if field.name not in plan.columns])
    if isinstance(plan, RenameColumns):
        new_names = renamed(below.names, plan)
        return pa.schema([field.with_name(name) for field, name in zip(below, new_names, strict=True)])
    if isinstance(plan, WithColumns):
        return _with_columns(below, plan)
    return None


def known_columns(plan: Operator) -> list[str] | None:
    """Returns the names of the columns, or None where only running the plan tells."""
    schema = known_schema(plan)
    return list(schema.names) if schema is not None else None


def known_rows(plan: Operator) -> int | None:
    """Returns the number of rows, or None where only running the plan tells."""
    if isinstance(plan, Read):
        rows = plan.source.num_rows()
        return min(rows, plan.row_limit) if rows is not None and plan.row_limit is not None else rows
    if isinstance(plan, Blocks):
        return sum(plan.row_counts)
    if isinstance(plan, Union):
        counts = [known_rows(part) for part in plan.parts]
        return sum(count for count in counts if count is not None) if None not in counts else None
    if isinstance(plan, Zip):
        return known_rows(plan.parts[0])
    if isinstance(plan, Limit):
        below = known_rows(plan.input)
        return min(below, plan.count) if below is not None else None
    if isinstance(plan, _SAME_ROWS) or (isinstance(plan, MapBatches) and plan.keeps_row_count):
        assert isinstance(plan, OneInput)
        return known_rows(plan.input)
    return None


def known_size(plan: Operator) -> int | None:
    """Returns about how many bytes all that the plan begins with takes in memory; None where a source cannot tell."""
    if isinstance(plan, Read):
        size = plan.source.size_bytes()
        # Few rows are little, however much there is; how many there are in all is not worth looking up for them.
        return size if size is None or plan.row_limit is None else min(size, plan.row_limit * _BYTES_A_ROW)
    if isinstance(plan, Blocks):
        return sum(plan.sizes)
    sizes = [known_size(child) for child in plan.inputs]
    return sum(size for size in sizes if size is not None) if None not in sizes else None


def check_columns(asked: tuple[str, ...] | list[str], available: list[str], where: str) -> None:
    """Raises ColumnNotFoundError for the first name that is not available."""
    for name in asked:
        if name not in available:
            raise ColumnNotFoundError(name, available, where)


def renamed(names: list[str], step: RenameColumns) -> list[str]:
    """Returns all names after a renaming. Raises ColumnNotFoundError, ValueError."""
    if step.all_names is not None:
        if len(step.all_names) != len(names):
            raise ValueError(f"rename_columns: {len(step.all_names)} names are given for {len(names)} columns: {names}")
        return list(step.all_names)
    mapping = dict(step.pairs)
    check_columns(list(mapping), names, "rename_columns")
    new_names = [mapping.get(name, name) for name in names]
    if len(set(new_names)) != len(new_names):
        twice = next(name for name in new_names if new_names.count(name) > 1)
        raise ValueError(f"rename_columns: two columns would be named {twice!r}")
    return new_names


def _with_columns(below: pa.Schema, step: WithColumns) -> pa.Schema | None:
    schema = below
    for name, expr in step.columns:
        for column in sorted(expr.columns()):
            check_columns([column], below.names, "with_column")
        made = expr.get_type(below)
        if made is None:
            return None
        field = pa.field(name, made)
        position = schema.get_field_index(name)
        schema = schema.set(position, field) if position >= 0 else schema.append(field)
    return schema
