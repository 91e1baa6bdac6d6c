"""The rows about data: titles, and what shoal's time is held against."""

from __future__ import annotations

from dataclasses import dataclass, field

RAY = {"ray": 0.1}
"""A tenth of Ray's time at most."""
RELATIONAL = {**RAY, "polars": 2.0, "duckdb": 2.0, "pandas": 3.0}


@dataclass(frozen=True)
class Row:
    """One line of the table; all figures are seconds.

    Args:
        name: of the functions that do it.
        title: what is done.
        goals: by peer, how many times its time shoal may take.
        limit: seconds that shoal may take in any case.
        patience: seconds after which a backend is given up.
    """

    name: str
    title: str
    goals: dict[str, float] = field(default_factory=dict)
    limit: float | None = None
    patience: float = 120.0


ROWS = (
    Row("tiny", "range(100).map(f).take_all()", RAY, 0.010),
    Row("range_sum", "range(20 M).map_batches(f).sum()", RAY),
    Row("row_map", "range(200,000).map(f).sum()", RAY, 0.200),
    Row("groupby_sum", "4 M rows of Parquet: groupby(k).sum(f)", RELATIONAL),
    Row("filter_aggregate", "the same: filter(f < 0.1).sum(f)", RELATIONAL),
    Row("sort", "the same: sort(big)", RELATIONAL),
    Row("join", "the same: join with 1,000 rows, sum", RELATIONAL),
    Row("shuffle", "the same: random_shuffle()", RAY),
    Row("repartition", "the same: repartition(16)", RAY),
    Row("iter_batches", "the same: iter_batches(4096)", RAY),
    Row("torch_batches", "its numbers: iter_torch_batches(4096)", {**RAY, "pyarrow": 1.25}),
    Row("first_batch", "its first batch", RAY, 0.300),
    Row("count_many", "count() of 100 files of Parquet", RAY),
    Row("take_many", "take(3) of 100 files of Parquet", RAY),
    Row("actor_pool", "map_batches(Class, concurrency=2) on 2 CPUs", RAY, patience=60.0),
)
