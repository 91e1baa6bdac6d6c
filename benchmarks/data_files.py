"""The files that the rows about data read: made once, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROWS = 4_000_000
MANY = 100
"""Files of the folder of small files."""
SMALL_ROWS = 10_000
"""Rows of each of them, in row groups of a thousand."""


@dataclass(frozen=True)
class Files:
    """Where they are.

    Args:
        table: one Parquet file of 4 M rows: `k` (1,000 different integers), `big` (40 bits), `f` (0 to 1), `s` (short strings).
        many: a folder of 100 Parquet files.
    """

    table: str
    many: str


def prepare(folder: Path, rows: int = ROWS) -> Files:
    """Returns the files in `folder`; makes those that are not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    table = folder / f"table-{rows}.parquet"
    if not table.exists():
        pq.write_table(
            pa.table(
                {
                    "k": random.integers(0, 1000, rows),
                    "big": random.integers(0, 1 << 40, rows),
                    "f": random.random(rows),
                    "s": pa.array(random.integers(0, 100_000, rows).astype(str)),
                }
            ),
            table,
            row_group_size=250_000,
        )
    many = folder / "many"
    if not many.exists():
        many.mkdir()
        for number in range(MANY):
            ids = np.arange(SMALL_ROWS) + number * SMALL_ROWS
            pq.write_table(
                pa.table({"id": ids, "x": random.random(SMALL_ROWS)}),
                many / f"{number:03}.parquet",
                row_group_size=1000,
            )
    return Files(str(table), str(many))
