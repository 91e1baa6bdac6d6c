"""The rows about data on libraries of one process: pandas, polars, DuckDB, Daft, and pyarrow by hand."""

# The peers' types, where they have any, say less than the calls do.
# mypy: disable-error-code="union-attr, operator, no-any-return"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from data_files import Files

CASES: dict[str, dict[str, Callable[[Files], float]]] = {
    "pandas": {},
    "polars": {},
    "duckdb": {},
    "daft": {},
    "pyarrow": {},
}


def peer(name: str) -> Callable[[Callable[[Files], Any]], Callable[[Files], Any]]:
    """Registers `row_…` as the row that its name says."""

    def register(function: Callable[[Files], Any]) -> Callable[[Files], Any]:
        CASES[name][function.__name__.removesuffix(f"_{name}")] = function
        return function

    return register


# --- pandas -------------------------------------------------------------------------------------------------------------------


@peer("pandas")
def groupby_sum_pandas(files: Files) -> float:
    import pandas as pd

    return len(pd.read_parquet(files.table, columns=["k", "f"]).groupby("k")["f"].sum())


@peer("pandas")
def filter_aggregate_pandas(files: Files) -> float:
    import pandas as pd

    values = pd.read_parquet(files.table, columns=["f"])["f"]
    return float(values[values < 0.1].sum())


@peer("pandas")
def sort_pandas(files: Files) -> float:
    import pandas as pd

    return len(pd.read_parquet(files.table).sort_values("big"))


@peer("pandas")
def shuffle_pandas(files: Files) -> float:
    import pandas as pd

    return len(pd.read_parquet(files.table).sample(frac=1, random_state=1))


@peer("pandas")
def join_pandas(files: Files) -> float:
    import numpy as np
    import pandas as pd

    right = pd.DataFrame({"k": np.arange(1000), "weight": np.arange(1000) * 2})
    return float(pd.read_parquet(files.table).merge(right, on="k")["weight"].sum())


# --- polars -------------------------------------------------------------------------------------------------------------------


@peer("polars")
def groupby_sum_polars(files: Files) -> float:
    import polars as pl

    return pl.scan_parquet(files.table).group_by("k").agg(pl.col("f").sum()).collect().height


@peer("polars")
def filter_aggregate_polars(files: Files) -> float:
    import polars as pl

    return float(pl.scan_parquet(files.table).filter(pl.col("f") < 0.1).select(pl.col("f").sum()).collect().item())


@peer("polars")
def sort_polars(files: Files) -> float:
    import polars as pl

    return pl.read_parquet(files.table).sort("big").height


@peer("polars")
def shuffle_polars(files: Files) -> float:
    import polars as pl

    return pl.read_parquet(files.table).sample(fraction=1.0, shuffle=True, seed=1).height


@peer("polars")
def join_polars(files: Files) -> float:
    import polars as pl

    right = pl.DataFrame({"k": range(1000), "weight": range(0, 2000, 2)}).lazy()
    joined = pl.scan_parquet(files.table).join(right, on="k")
    return float(joined.select(pl.col("weight").sum()).collect().item())


@peer("polars")
def count_many_polars(files: Files) -> float:
    import polars as pl

    return int(pl.scan_parquet(f"{files.many}/*.parquet").select(pl.len()).collect().item())


# --- DuckDB -------------------------------------------------------------------------------------------------------------------


@peer("duckdb")
def groupby_sum_duckdb(files: Files) -> float:
    import duckdb

    return len(duckdb.sql(f"select k, sum(f) from '{files.table}' group by k").fetchall())


@peer("duckdb")
def filter_aggregate_duckdb(files: Files) -> float:
    import duckdb

    [(total,)] = duckdb.sql(f"select sum(f) from '{files.table}' where f < 0.1").fetchall()
    return float(total)


@peer("duckdb")
def sort_duckdb(files: Files) -> float:
    import duckdb

    return int(duckdb.sql(f"select * from '{files.table}' order by big").to_arrow_table().num_rows)


@peer("duckdb")
def join_duckdb(files: Files) -> float:
    import duckdb

    query = f"select sum(weight) from '{files.table}' join (select range as k, range * 2 as weight from range(1000)) using (k)"
    [(total,)] = duckdb.sql(query).fetchall()
    return float(total)


@peer("duckdb")
def count_many_duckdb(files: Files) -> float:
    import duckdb

    [(count,)] = duckdb.sql(f"select count(*) from '{files.many}/*.parquet'").fetchall()
    return int(count)


# --- Daft ---------------------------------------------------------------------------------------------------------------------


@peer("daft")
def groupby_sum_daft(files: Files) -> float:
    import daft

    return int(daft.read_parquet(files.table).groupby("k").sum("f").count_rows())


@peer("daft")
def filter_aggregate_daft(files: Files) -> float:
    import daft

    found = daft.read_parquet(files.table).where(daft.col("f") < 0.1).sum("f").to_pydict()
    return float(found["f"][0])


@peer("daft")
def sort_daft(files: Files) -> float:
    import daft

    return len(daft.read_parquet(files.table).sort("big").collect())


@peer("daft")
def repartition_daft(files: Files) -> float:
    import daft

    return len(daft.read_parquet(files.table).into_partitions(16).collect())


# --- pyarrow ------------------------------------------------------------------------------------------------------------------


@peer("pyarrow")
def iter_batches_pyarrow(files: Files) -> float:
    import pyarrow.parquet as pq

    return sum(batch.num_rows for batch in pq.ParquetFile(files.table).iter_batches(4096))


@peer("pyarrow")
def torch_batches_pyarrow(files: Files) -> float:
    """By hand: columns of each batch to numpy, and to tensors."""
    import pyarrow.parquet as pq
    import torch

    rows = 0
    for batch in pq.ParquetFile(files.table).iter_batches(4096, columns=["k", "big", "f"]):
        tensors = {
            name: torch.as_tensor(column.to_numpy(zero_copy_only=False).copy())
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        rows += len(tensors["k"])
    return rows
