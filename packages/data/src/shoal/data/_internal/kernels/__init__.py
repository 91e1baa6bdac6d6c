"""Relational work inside one block: sort, group, join, partition. One seam, one file a library. No IO, no tasks."""

from shoal.data._internal.kernels.grouping import Reduction, reduced
from shoal.data._internal.kernels.joining import join
from shoal.data._internal.kernels.numbers import array_of_numbers, numbers_of
from shoal.data._internal.kernels.ordering import group_slices, merge_sorted, order_of_numbers, sample_boundaries, sort
from shoal.data._internal.kernels.partitioning import divided, partition_by_hash, partition_by_range

__all__ = [
    "Reduction",
    "array_of_numbers",
    "divided",
    "group_slices",
    "join",
    "merge_sorted",
    "numbers_of",
    "order_of_numbers",
    "partition_by_hash",
    "partition_by_range",
    "reduced",
    "sample_boundaries",
    "sort",
]
