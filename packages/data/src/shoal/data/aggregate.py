"""Aggregations, for `Dataset.aggregate` and `groupby(...).aggregate`."""

from __future__ import annotations

from shoal.data._internal.aggregation.functions import (
    AbsMax,
    AggregateFn,
    AggregateFnV2,
    AsList,
    Count,
    CountDistinct,
    Max,
    Mean,
    Min,
    Quantile,
    Std,
    Sum,
    Unique,
    ValueCounter,
)
from shoal.data._internal.aggregation.sketches import ApproximateQuantile, ApproximateTopK

__all__ = [
    "AbsMax",
    "AggregateFn",
    "AggregateFnV2",
    "ApproximateQuantile",
    "ApproximateTopK",
    "AsList",
    "Count",
    "CountDistinct",
    "Max",
    "Mean",
    "Min",
    "Quantile",
    "Std",
    "Sum",
    "Unique",
    "ValueCounter",
]
