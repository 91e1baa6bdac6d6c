"""Which exchange carries a logical operator out."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from shoal.data._internal.exchange.exchange import Exchange
from shoal.data._internal.exchange.grouping import AggregateExchange, GroupExchange, JoinExchange
from shoal.data._internal.exchange.reorder import (
    HashExchange,
    RepartitionExchange,
    ShuffleExchange,
    SortExchange,
)
from shoal.data._internal.execution.transforms import step_of
from shoal.data._internal.plan.operators import (
    Aggregate,
    Join,
    MapBatches,
    MapGroups,
    Operator,
    RandomShuffle,
    Repartition,
    RepartitionKeys,
    Sort,
)


def exchange_of(operator: Operator) -> Exchange:
    """Returns the exchange of an operator that needs rows of all blocks."""
    if isinstance(operator, Sort):
        return SortExchange(operator)
    if isinstance(operator, RandomShuffle):
        return ShuffleExchange(operator)
    if isinstance(operator, Repartition):
        return RepartitionExchange(operator)
    if isinstance(operator, RepartitionKeys):
        return HashExchange(operator)
    if isinstance(operator, Aggregate):
        return AggregateExchange(operator)
    if isinstance(operator, MapGroups):
        return GroupExchange(operator.keys, GroupStep(operator), operator.partitions)
    if isinstance(operator, Join):
        return JoinExchange(operator)
    raise AssertionError(f"{operator.name} is no exchange")


class GroupStep:
    """Calls the user's function with all rows of one group."""

    def __init__(self, operator: MapGroups) -> None:
        batches = MapBatches(operator.input, operator.function, None, operator.batch_format, operator.zero_copy)
        self._step = step_of(batches)
        self._step.name = operator.name

    def __call__(self, group: pa.Table) -> Iterator[pa.Table]:
        return self._step([group])
