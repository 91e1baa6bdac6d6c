"""The rows about other libraries' parallel APIs: titles, how they are measured, and what shoal's figure is held against."""

from __future__ import annotations

from rows import Goal, Row

ROWS = (
    Row(
        "tiny_maps",
        "Pool: 1,000 maps of 8 items",
        "s",
        "pool.map(function, range(8)), one after the other, on a pool of 2 that has worked before",
        Goal(2.0, of_floor=True),
        floor="tiny_maps",
        lower_is_better=True,
    ),
    Row(
        "one_map",
        "Pool: a map of 1,000 items, a chunk each",
        "s",
        "pool.map(function, range(1000), chunksize=1)",
        Goal(2.0, of_floor=True),
        floor="one_map",
        lower_is_better=True,
    ),
    Row(
        "pool_start",
        "Pool: from nothing to the first result",
        "s",
        "Pool(2), and apply(function, (1,)); with a session's start",
        lower_is_better=True,
    ),
    Row(
        "executor_map",
        "Executor: a map of 2,000 items",
        "s",
        "list(executor.map(function, range(2000))); beside ProcessPoolExecutor",
        lower_is_better=True,
    ),
    Row(
        "joblib_tiny",
        "joblib: 10,000 tiny calls",
        "s",
        "Parallel()(delayed(function)(number) ...), n_jobs=2; beside loky",
        lower_is_better=True,
    ),
    Row(
        "joblib_array",
        "joblib: 100 calls that share an array of 80 MB",
        "s",
        "each sums a slice of it, n_jobs=2; beside loky",
        lower_is_better=True,
    ),
    Row(
        "grid_search",
        "scikit-learn: GridSearchCV of 24 forests",
        "s",
        "fit() on 2,000 rows, n_jobs=2; beside loky",
        lower_is_better=True,
    ),
    Row(
        "dask_tiny",
        "Dask: a graph of 5,000 tiny tasks",
        "s",
        "sum of delayed calls; beside Dask's own processes",
        lower_is_better=True,
    ),
    Row(
        "dask_array",
        "Dask: (x @ x.T).sum() of 2,000 × 2,000, 16 chunks",
        "s",
        "compute(); beside Dask's own processes",
        lower_is_better=True,
    ),
)
