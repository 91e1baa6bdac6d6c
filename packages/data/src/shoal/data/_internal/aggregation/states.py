"""States of groups: made of a block, joined with those of others, and finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shoal.data._internal.aggregation.functions import AggregateFn, BuiltIn, dump_state, load_state
from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.kernels import Reduction, group_slices, reduced, sort
from shoal.data.exceptions import ColumnNotFoundError

if TYPE_CHECKING:
    import polars as pl


def partial(table: pa.Table, keys: Sequence[str], aggregations: Sequence[AggregateFn]) -> pa.Table:
    """Returns one row of state for each group of a block: its keys, and the columns of state.

    Raises:
        ColumnNotFoundError: an aggregation is of a column that is not there.
        BatchTypeError: an aggregation needs numbers, and the column has none.
    """
    for aggregation in aggregations:
        for column in aggregation.columns() or ():
            if column not in table.column_names:
                raise ColumnNotFoundError(column, table.column_names, aggregation.name)
        if isinstance(aggregation, BuiltIn):
            aggregation.check(table.schema)
    built_in = _built_in(aggregations)
    wide = _widened(table, [aggregation for _, aggregation in built_in])
    reductions = _reductions(built_in)
    states = reduced(wide, keys, reductions) if reductions is not None else None
    if states is None:
        states = _grouped(wide, keys, [expr for number, item in built_in for expr in item.make(_prefix(number))])
    return _with_python_states(states, table, keys, aggregations)


def _reductions(built_in: Sequence[tuple[int, BuiltIn]]) -> list[Reduction] | None:
    """Returns the columns of state of all aggregations; None where one is more than a reduction."""
    found = [item.reductions(_prefix(number)) for number, item in built_in]
    return [reduction for some in found for reduction in some or ()] if None not in found else None


def combine(tables: Sequence[pa.Table], keys: Sequence[str], aggregations: Sequence[AggregateFn]) -> pa.Table:
    """Returns states of several blocks as one row for each group."""
    if len(tables) == 1:
        return tables[0]
    table = concat(tables)
    built_in = _built_in(aggregations)
    reductions = _reductions(built_in)
    joins = [reduction.of_results for reduction in reductions] if reductions is not None else None
    states = reduced(table, keys, joins) if joins is not None else None
    if states is None:
        states = _grouped(table, keys, [expr for number, item in built_in for expr in item.join(_prefix(number))])
    others = _python(aggregations)
    if not others:
        return states
    ordered, slices = _groups(table, keys)
    for number, aggregation in others:
        column = ordered.column(_prefix(number)).to_pylist()
        joined = []
        for offset, length in slices:
            state = load_state(column[offset])
            for data in column[offset + 1 : offset + length]:
                state = aggregation.joined(state, load_state(data))
            joined.append(dump_state(state))
        states = states.append_column(_prefix(number), pa.array(joined, pa.large_binary()))
    return states


def finalize(table: pa.Table, keys: Sequence[str], aggregations: Sequence[AggregateFn]) -> pa.Table:
    """Returns the results of states: the keys, then a column for each aggregation, in the order of the keys."""
    import polars as pl

    from shoal.data._internal.blocks.build import array_of

    built_in = dict(_built_in(aggregations))
    frame = pl.from_arrow(table.select([name for name in table.column_names if not _is_python(name, aggregations)]))
    assert isinstance(frame, pl.DataFrame)
    finished = frame.select([item.finish(_prefix(number)) for number, item in built_in.items()])
    result = {key: table.column(key) for key in keys}
    made = _plain(finished.to_arrow()) if built_in else None
    for number, aggregation in enumerate(aggregations):
        if number in built_in:
            assert made is not None
            result[aggregation.name] = made.column(aggregation.name)
        else:
            values = [aggregation.result(load_state(data)) for data in table.column(_prefix(number)).to_pylist()]
            result[aggregation.name] = array_of(values)
    return pa.table(result)


def _grouped(table: pa.Table, keys: Sequence[str], exprs: list[pl.Expr]) -> pa.Table:
    """Returns one row a group, in the order of keys; one row in all without keys."""
    import polars as pl

    if not keys:
        frame = pl.from_arrow(_known_to_polars(table))
        assert isinstance(frame, pl.DataFrame)
        return _plain(frame.select(exprs).to_arrow()) if exprs else pa.table({"__shoal_one__": [0]})
    frame = pl.from_arrow(_known_to_polars(table))
    assert isinstance(frame, pl.DataFrame)
    return sort(_plain(frame.group_by(list(keys)).agg(exprs).to_arrow()), keys, [False] * len(keys))


def _known_to_polars(table: pa.Table) -> pa.Table:
    """Leaves columns out that are no plain values: no built-in aggregation looks into them."""
    plain = [field.name for field in table.schema if not isinstance(field.type, pa.BaseExtensionType)]
    return table.select(plain) if len(plain) < len(table.schema) else table


def _plain(table: pa.Table) -> pa.Table:
    """Polars makes large strings and lists; blocks have the usual ones."""
    fields = []
    for field in table.schema:
        kind = field.type
        if pa.types.is_large_string(kind) or kind == pa.string_view():
            kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return table.cast(pa.schema(fields))


def _widened(table: pa.Table, aggregations: Sequence[BuiltIn]) -> pa.Table:
    """Whole numbers that are summed become 64 bits wide: their sum may not fit into their own type."""
    for name in {item.on for item in aggregations if item.kind == "sum" and item.on is not None}:
        position = table.schema.get_field_index(name)
        kind = table.schema.field(position).type
        if pa.types.is_boolean(kind) or pa.types.is_signed_integer(kind):
            table = table.set_column(position, name, pc.cast(table.column(position), pa.int64()))
        elif pa.types.is_unsigned_integer(kind):
            table = table.set_column(position, name, pc.cast(table.column(position), pa.uint64()))
    return table


def _with_python_states(
    states: pa.Table, table: pa.Table, keys: Sequence[str], aggregations: Sequence[AggregateFn]
) -> pa.Table:
    others = _python(aggregations)
    if not others:
        return states
    ordered, slices = _groups(table, keys)
    for number, aggregation in others:
        made = []
        for offset, length in slices:
            group = ordered.slice(offset, length)
            made.append(dump_state(aggregation.state_of(_key_of(group, keys), group)))
        states = states.append_column(_prefix(number), pa.array(made, pa.large_binary()))
    return states


def _groups(table: pa.Table, keys: Sequence[str]) -> tuple[pa.Table, list[tuple[int, int]]]:
    return group_slices(table, keys) if keys else (table, [(0, table.num_rows)])


def _key_of(group: pa.Table, keys: Sequence[str]) -> Any:
    values = tuple(group.column(key)[0].as_py() for key in keys)
    return values[0] if len(values) == 1 else values or None


def _prefix(number: int) -> str:
    return f"__shoal_{number}__"


def _built_in(aggregations: Sequence[AggregateFn]) -> list[tuple[int, BuiltIn]]:
    return [(number, item) for number, item in enumerate(aggregations) if isinstance(item, BuiltIn)]


def _python(aggregations: Sequence[AggregateFn]) -> list[tuple[int, AggregateFn]]:
    return [(number, item) for number, item in enumerate(aggregations) if not isinstance(item, BuiltIn)]


def _is_python(name: str, aggregations: Sequence[AggregateFn]) -> bool:
    return any(name == _prefix(number) for number, _ in _python(aggregations))
