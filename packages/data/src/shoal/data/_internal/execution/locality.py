"""Which plans run in the driver: where that is done sooner than tasks could begin."""

from __future__ import annotations

import shoal
from shoal import engines
from shoal.data._internal.aggregation.functions import BuiltIn
from shoal.data._internal.expressions.nodes import UDFExpr
from shoal.data._internal.plan.compute import Compute
from shoal.data._internal.plan.operators import (
    Aggregate,
    Blocks,
    DropColumns,
    FilterExpression,
    Join,
    Limit,
    Operator,
    Read,
    RenameColumns,
    SelectColumns,
    Union,
    WithColumns,
)
from shoal.data._internal.plan.schemas import known_size
from shoal.data.context import DataContext
from shoal.data.expressions import Expr

_COLUMNAR = (
    Aggregate,
    DropColumns,
    FilterExpression,
    Join,
    Limit,
    Read,
    RenameColumns,
    SelectColumns,
    Union,
    WithColumns,
)
"""Done by libraries that use all processors themselves, a column at a time."""


def runs_here(plan: Operator, context: DataContext) -> bool:
    """Whether the plan is small, or columnar work on not much more, holds no references, and asks for no resources, tasks or actors.

    On an engine whose tasks have no processes of their own, every plan runs here: its breakpoints and print statements are the driver's.
    """
    if shoal.is_initialized() and "process_isolation" not in engines.current().capabilities:
        return True
    if context.max_errored_blocks or context.retried_io_errors or context.write_file_retry_on_errors:
        return False  # it is tasks that may fail, and begin again
    size = known_size(plan)
    if size is None or not _asks_for_nothing(plan):
        return False
    if size <= context.small_data_size:
        return True
    return size <= context.columnar_data_size and _is_columnar(plan, context.small_data_size)


def _asks_for_nothing(plan: Operator) -> bool:
    compute = getattr(plan, "compute", None)
    if isinstance(compute, Compute) and not compute.is_plain:
        return False
    if isinstance(plan, Read) and (plan.blocks_wanted or 1) > 1:
        return False
    if isinstance(plan, Blocks) and len(plan.blocks) > 1 and any(isinstance(b, shoal.ObjectRef) for b in plan.blocks):
        return False
    return all(_asks_for_nothing(child) for child in plan.inputs)


def _is_columnar(plan: Operator, small: int) -> bool:
    """Whether Python functions of the user see no more than `small` bytes."""
    size = known_size(plan)
    if size is not None and size <= small:
        return True
    if not isinstance(plan, _COLUMNAR):
        return False
    if isinstance(plan, FilterExpression) and _calls_python(plan.predicate):
        return False
    if isinstance(plan, WithColumns) and any(_calls_python(expr) for _, expr in plan.columns):
        return False
    if isinstance(plan, Aggregate) and not all(isinstance(item, BuiltIn) for item in plan.aggregations):
        return False
    return all(_is_columnar(child, small) for child in plan.inputs)


def _calls_python(expr: Expr) -> bool:
    return isinstance(expr, UDFExpr) or any(_calls_python(child) for child in expr.children())
