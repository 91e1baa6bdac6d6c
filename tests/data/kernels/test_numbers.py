"""Numbers go from Arrow to numpy and back by their memory, and nothing loads pandas for that."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.data._internal.kernels import array_of_numbers, numbers_of
from shoal.data._internal.kernels.numbers import array_of_values

KINDS = [pa.int8(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [[], [[]], [[1, 2, 3]], [[1], [], [2, 3]]])
def test_there_and_back(kind: Any, chunks: list[list[int]]) -> None:
    column = pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind)
    numbers = numbers_of(column)
    assert numbers.tolist() == column.to_pylist()
    back = array_of_numbers(numbers)
    back.validate(full=True)
    assert back.type == kind
    assert back.to_pylist() == column.to_pylist()


def test_slices() -> None:
    column = pa.chunked_array([pa.array(range(10)).slice(3, 4), pa.array(range(5)).slice(2)])
    assert numbers_of(column).tolist() == [3, 4, 5, 6, 2, 3, 4]
    assert array_of_numbers(np.arange(10)[::3]).to_pylist() == [0, 3, 6, 9]


def test_missing_numbers() -> None:
    numbers = np.arange(11)
    assert array_of_numbers(numbers, numbers % 3 == 0).to_pylist() == [n if n % 3 else None for n in range(11)]
    assert array_of_numbers(numbers, numbers < 0).null_count == 0


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, -2], pa.int64()), ([1.5], pa.float64()), ([1, None], pa.int64()), (["a"], pa.string()), ([200], pa.uint8())],
)
def test_a_few_values(values: list[Any], kind: Any) -> None:
    made = array_of_values(values, kind)
    assert made.type == kind
    assert made.to_pylist() == values


@pytest.mark.parametrize("value", [1 << 63, "x"])
def test_values_of_another_type(value: Any) -> None:
    with pytest.raises((pa.ArrowInvalid, OverflowError)):
        array_of_values([value], pa.int64())


KERNELS = """
import sys
import numpy as np
import pyarrow as pa
from shoal.data._internal.kernels import Reduction, array_of_numbers, join, partition_by_hash, partition_by_range, reduced
from shoal.data._internal.kernels import sample_boundaries, sort

numbers = np.arange(1000) * 7919 % 700
left = pa.table({"k": array_of_numbers(numbers), "v": array_of_numbers(numbers * 0.5)})
right = left.rename_columns(["k", "w"])
assert sum(part.num_rows for part in partition_by_hash(left, ["k"], 5)) == 1000
assert join(left, right, "inner", ["k"], ["k"], "", "").num_rows == 1600
assert join(left, right.slice(0, 500), "left_outer", ["k"], ["k"], "", "").num_rows == 1000
assert reduced(left, ["k"], [Reduction("s", "sum", "v"), Reduction("n", "count", "v")]).num_rows == 700
assert sort(left, ["k"], [True]).num_rows == 1000
edges = sample_boundaries([left], ["k"], [False], 4)
assert [part.num_rows for part in partition_by_range(left, ["k"], [False], edges)] == [250] * 4
print("pandas" in sys.modules, "polars" in sys.modules)
"""


def test_numbers_are_joined_grouped_and_sorted_without_pandas_and_polars() -> None:
    made = subprocess.run([sys.executable, "-c", KERNELS], capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["False", "False"]
