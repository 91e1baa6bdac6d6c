"""Rows of one table into parts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.kernels import divided, partition_by_hash, partition_by_range


@given(st.lists(st.integers(0, 4), max_size=40))
def test_each_owner_gets_its_rows_in_their_order(owners: list[int]) -> None:
    table = pa.table({"n": pa.array(range(len(owners)), pa.int64())})
    parts = divided(table, np.array(owners, dtype=np.int64), 5)
    assert [part.column("n").to_pylist() for part in parts] == [
        [n for n, owner in enumerate(owners) if owner == part] for part in range(5)
    ]


def test_more_owners_than_fit_into_16_bits() -> None:
    owners = np.array([70_000, 5, 65_541], dtype=np.uint64)
    parts = list(divided(pa.table({"n": [0, 1, 2]}), owners, 70_001))
    assert [number for number, part in enumerate(parts) if part.num_rows] == [5, 65_541, 70_000]


@given(
    st.lists(st.integers(0, 9) | st.none(), max_size=40),
    st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_ranges_part_no_equal_keys(keys: list[int | None], cuts: list[int]) -> None:
    table = pa.table({"k": pa.array(keys, pa.int64())})
    parts = list(partition_by_range(table, ["k"], [False], [(cut,) for cut in sorted(cuts)]))
    for number, part in enumerate(parts):
        low = sorted(cuts)[number - 1] if number else -1
        high = sorted(cuts)[number] if number < len(cuts) else 100
        for key in part.column("k").to_pylist():
            assert low <= (99 if key is None else key) < high
    assert sum(part.num_rows for part in parts) == len(keys)


@given(st.lists(st.integers(-5, 5), max_size=40), st.integers(1, 5))
def test_a_key_is_in_one_part_whatever_its_type(keys: list[int], partitions: int) -> None:
    def owners(kind: pa.DataType) -> dict[float, int]:
        table = pa.table({"k": pa.array(keys, kind)})
        found: dict[float, int] = {}
        for number, part in enumerate(partition_by_hash(table, ["k"], partitions)):
            for key in part.column("k").to_pylist():
                assert found.setdefault(key, number) == number
        return found

    assert owners(pa.int64()) == owners(pa.int8()) == owners(pa.float64())
