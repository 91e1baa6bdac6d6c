"""A program for Modin's Ray engine: each step of an analysis with Modin and with pandas, which must agree.

python -m shoal.as_ray modin_sales.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import modin.config
import modin.pandas
import numpy as np
import pandas
import ray

ROWS = 20_000


def write_tables(folder: Path) -> None:
    random = np.random.default_rng(0)
    sales = pandas.DataFrame(
        {
            "day": pandas.date_range("2026-01-01", periods=ROWS, freq="min"),
            "shop": random.integers(0, 50, ROWS),
            "item": random.choice(["apple", "bread", "cheese", "milk"], ROWS),
            "pieces": random.integers(1, 9, ROWS),
            "price": random.random(ROWS).round(3),
        }
    )
    sales.loc[::97, "price"] = np.nan
    sales.to_csv(folder / "sales.csv", index=False)
    shops = pandas.DataFrame({"shop": range(50), "town": [f"town {number % 7}" for number in range(50)]})
    shops.to_csv(folder / "shops.csv", index=False)


def with_tax(price: float) -> float:
    return price * 1.19


def steps(pd: Any, folder: Path) -> dict[str, Any]:
    sales = pd.read_csv(folder / "sales.csv", parse_dates=["day"])
    shops = pd.read_csv(folder / "shops.csv")
    found = {"missing": sales.isna().sum(), "described": sales[["pieces", "price"]].describe()}
    sales = sales.dropna()
    sales["total"] = sales["pieces"] * sales["price"]
    sales["taxed"] = sales["total"].apply(with_tax)
    both = sales.merge(shops, on="shop", how="left")
    found["by town"] = both.groupby("town")["total"].sum()
    found["by item"] = both.groupby("item").agg({"total": "sum", "pieces": "max"})
    found["rows"] = sales[["pieces", "price"]].apply(lambda row: row["pieces"] + row["price"], axis=1)
    found["spans"] = sales.groupby("shop")["total"].apply(lambda totals: totals.max() - totals.min())
    found["dearest"] = sales.sort_values(["total", "day"], ascending=False).head(20)
    found["items"] = sales["item"].value_counts().sort_index()
    found["table"] = both.pivot_table(index="town", columns="item", values="total", aggfunc="mean")
    found["together"] = pd.concat([sales.head(5), sales.tail(5)])
    return found


def plain(table: Any) -> Any:
    return table.modin.to_pandas() if hasattr(table, "modin") else table


def compared(one: Any, other: Any) -> None:
    check: Callable[..., None] = (
        pandas.testing.assert_frame_equal if isinstance(other, pandas.DataFrame) else pandas.testing.assert_series_equal
    )
    check(one, other, check_freq=False)


def main() -> None:
    folder = Path(sys.argv[1])
    write_tables(folder)
    modin.config.Engine.put("ray")
    found = steps(modin.pandas, folder)
    expected = steps(pandas, folder)
    for name, other in expected.items():
        compared(plain(found[name]), other)
    written = modin.pandas.read_csv(folder / "sales.csv")
    written.to_parquet(folder / "sales.parquet")
    compared(plain(modin.pandas.read_parquet(folder / "sales.parquet")), pandas.read_csv(folder / "sales.csv"))
    try:
        plain(written["price"].apply(lambda price: 1 / 0))
    except ZeroDivisionError:
        print("errors come back")
    print(f"{len(expected)} steps agree, in partitions of {ray.ObjectRef.__module__.partition('.')[0]}")


if __name__ == "__main__":
    main()
