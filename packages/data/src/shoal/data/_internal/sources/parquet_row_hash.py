"""The column `row_hash` of Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROW_HASH = pa.field("row_hash", pa.uint64())
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, odd: neighbours end up far from each other."""


def row_hashes(path: str, counts: Sequence[int], row_groups: Sequence[int]) -> npt.NDArray[np.uint64]:
    """Returns a number for each row of some row groups, of the path and the row's place in the file alone.

    The numbers of one file are all different; those of two files are alike as seldom as any two of 64 random bits.

    Args:
        path: of the file.
        counts: rows of each of its row groups.
        row_groups: the numbers of those that are read.
    """
    starts = np.concatenate([[0], np.cumsum(counts)])
    places = [np.arange(starts[number], starts[number + 1], dtype=np.uint64) for number in row_groups]
    of_file = np.frombuffer(blake2b(path.encode(), digest_size=8).digest(), dtype="<u8")
    return _mixed(of_file + np.concatenate([np.empty(0, np.uint64), *places]) * _GOLDEN)


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA'14): one to one."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
