"""Rewrites a logical plan into one that gives the same rows with less work. Pure: plan in, plan out.

1. *Limits* move below steps that keep the number of rows, and into reads.
2. *Filters* (expressions) move below steps that do not make the columns they look at, and into reads.
3. *Columns* that nobody looks at are not read.
"""

from __future__ import annotations

from dataclasses import replace

from shoal.data._internal.expressions.rewriting import join_conjuncts, split_conjuncts, substitute
from shoal.data._internal.plan.operators import (
    Aggregate,
    DropColumns,
    FilterExpression,
    Join,
    Limit,
    MapBatches,
    MapRows,
    OneInput,
    Operator,
    RandomizeBlockOrder,
    RandomShuffle,
    Read,
    RenameColumns,
    Repartition,
    RepartitionRows,
    SelectColumns,
    Sort,
    Union,
    WithColumns,
    with_inputs,
)
from shoal.data._internal.plan.schemas import known_columns
from shoal.data.expressions import Expr, col

_ORDER_ONLY = (Sort, RandomShuffle, RandomizeBlockOrder, Repartition, RepartitionRows)


def optimized(plan: Operator) -> Operator:
    """Returns a plan that gives the same rows."""
    return _prune_columns(_push_filters(_push_limits(plan)), None)


# --- limits -------------------------------------------------------------------------------------------------------------------


def _push_limits(plan: Operator) -> Operator:
    plan = with_inputs(plan, [_push_limits(child) for child in plan.inputs])
    return _sink_limit(plan) if isinstance(plan, Limit) else plan


def _sink_limit(limit: Limit) -> Operator:
    below = limit.input
    if isinstance(below, Limit):
        return _sink_limit(replace(below, count=min(limit.count, below.count)))
    keeps_count = isinstance(below, SelectColumns | DropColumns | RenameColumns | WithColumns | MapRows) or (
        isinstance(below, MapBatches) and below.keeps_row_count
    )
    if keeps_count:
        assert isinstance(below, OneInput)
        return replace(below, input=_sink_limit(Limit(below.input, limit.count)))
    if isinstance(below, Union):
        parts = tuple(_sink_limit(Limit(part, limit.count)) for part in below.parts)
        return Limit(Union(parts), limit.count)
    if isinstance(below, Read):
        wanted = limit.count if below.row_limit is None else min(limit.count, below.row_limit)
        return Limit(replace(below, row_limit=wanted), limit.count)
    return limit


# --- filters ------------------------------------------------------------------------------------------------------------------


def _push_filters(plan: Operator) -> Operator:
    plan = with_inputs(plan, [_push_filters(child) for child in plan.inputs])
    if isinstance(plan, FilterExpression) and plan.compute.is_plain:
        return _sink_filter(plan)
    return plan


def _sink_filter(step: FilterExpression) -> Operator:
    below, predicate = step.input, step.predicate
    if isinstance(below, FilterExpression) and below.compute.is_plain:
        return _sink_filter(FilterExpression(below.input, join_conjuncts([below.predicate, predicate])))
    if isinstance(below, Read) and below.row_limit is None:
        return _filtered_read(below, predicate)
    if isinstance(below, _ORDER_ONLY):
        if isinstance(below, Repartition | RepartitionRows | RandomizeBlockOrder | RandomShuffle):
            return step  # what follows depends on the number and place of rows
        return replace(below, input=_sink_filter(FilterExpression(below.input, predicate)))
    if isinstance(below, SelectColumns):
        if predicate.columns() <= set(below.columns):
            return replace(below, input=_sink_filter(FilterExpression(below.input, predicate)))
    elif isinstance(below, DropColumns):
        if predicate.columns().isdisjoint(below.columns):
            return replace(below, input=_sink_filter(FilterExpression(below.input, predicate)))
    elif isinstance(below, RenameColumns) and below.all_names is None:
        back: dict[str, Expr] = {new: col(old) for old, new in below.pairs}
        renamed_away = {old for old, _ in below.pairs} - set(back)
        if predicate.columns().isdisjoint(renamed_away):
            return replace(below, input=_sink_filter(FilterExpression(below.input, substitute(predicate, back))))
    elif isinstance(below, WithColumns):
        made = {name for name, _ in below.columns}
        if predicate.columns().isdisjoint(made):
            return replace(below, input=_sink_filter(FilterExpression(below.input, predicate)))
    elif isinstance(below, Union):
        return Union(tuple(_sink_filter(FilterExpression(part, predicate)) for part in below.parts))
    return step


def _filtered_read(read: Read, predicate: Expr) -> Operator:
    source = read.source
    rest: list[Expr] = []
    for conjunct in split_conjuncts(predicate):
        pushed = source.with_filter(conjunct)
        if pushed is None:
            rest.append(conjunct)
        else:
            source = pushed
    read = replace(read, source=source)
    return FilterExpression(read, join_conjuncts(rest)) if rest else read


# --- columns ------------------------------------------------------------------------------------------------------------------


def _prune_columns(plan: Operator, wanted: frozenset[str] | None) -> Operator:
    """`wanted`: the columns that somebody looks at; None for all of them."""
    if isinstance(plan, Read):
        return _narrowed_read(plan, wanted)
    needed = _needed_below(plan, wanted)
    if isinstance(plan, WithColumns) and wanted is not None:
        kept = tuple((name, expr) for name, expr in plan.columns if name in wanted)
        if not kept:
            return _prune_columns(plan.input, wanted)
        plan = replace(plan, columns=kept)
        needed = _needed_below(plan, wanted)
    if isinstance(plan, Join):
        return with_inputs(plan, [_prune_columns(child, _needed_of_side(plan, child, wanted)) for child in plan.inputs])
    return with_inputs(plan, [_prune_columns(child, needed) for child in plan.inputs])


def _needed_below(plan: Operator, wanted: frozenset[str] | None) -> frozenset[str] | None:
    if isinstance(plan, SelectColumns):
        return frozenset(plan.columns)
    if isinstance(plan, Aggregate):
        looked_at = set(plan.keys)
        for aggregation in plan.aggregations:
            columns = aggregation.columns()
            if columns is None:
                return None
            looked_at.update(columns)
        return frozenset(looked_at)
    if wanted is None:
        return None
    if isinstance(plan, FilterExpression):
        return wanted | plan.predicate.columns()
    if isinstance(plan, WithColumns):
        made = {name for name, _ in plan.columns}
        used: set[str] = set()
        for _, expr in plan.columns:
            used |= expr.columns()
        return frozenset((wanted - made) | used)
    if isinstance(plan, RenameColumns) and plan.all_names is None:
        back = {new: old for old, new in plan.pairs}
        return frozenset(back.get(name, name) for name in wanted) | {old for old, _ in plan.pairs}
    if isinstance(plan, DropColumns):
        return wanted | frozenset(plan.columns)
    if isinstance(plan, Sort):
        return wanted | frozenset(plan.keys)
    if isinstance(plan, Limit | RandomShuffle | RandomizeBlockOrder | Repartition | RepartitionRows | Union):
        return wanted
    return None


def _needed_of_side(join: Join, side: Operator, wanted: frozenset[str] | None) -> frozenset[str] | None:
    """What a join and those above it look at of one input. A column of both sides stays on both, so that its suffix does."""
    available = known_columns(side)
    if wanted is None or available is None:
        return None
    names = wanted | set(join.left_on) | set(join.right_on)
    for suffix in (join.left_suffix, join.right_suffix):
        if suffix:
            names |= {name.removesuffix(suffix) for name in wanted}
    return frozenset(names & set(available))


def _narrowed_read(read: Read, wanted: frozenset[str] | None) -> Read:
    if wanted is None:
        return read
    available = known_columns(read)
    if available is None or wanted >= set(available) or not wanted <= set(available):
        return read  # a column that is missing is the error of the step that looks at it
    source = read.source.with_columns([name for name in available if name in wanted])
    return read if source is None else replace(read, source=source)
