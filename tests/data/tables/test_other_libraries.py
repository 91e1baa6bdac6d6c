"""Dask, Modin, Spark, Daft and TensorFlow: there and back."""

# ruff: noqa: DTZ001 - times without a time zone are what is tested

from __future__ import annotations

import datetime
import importlib
from typing import Any

import pandas as pd
import pytest

import shoal
from shoal.data.exceptions import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("way")

ROWS = [
    {"id": number, "name": None if number == 3 else f"n{number}", "at": datetime.datetime(2026, 1, 1 + number)}
    for number in range(10)
]


def dataset() -> Any:
    return shoal.data.from_items(ROWS, override_num_blocks=3)


def imported(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed")


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without pandas' own kind of time."""
    return [{**row, "at": datetime.datetime.fromisoformat(str(row["at"]))} for row in rows]


def test_dask() -> None:
    imported("dask.dataframe")
    frame = dataset().to_dask()
    assert frame.npartitions == 3
    assert int(frame["id"].sum().compute()) == 45
    back = shoal.data.from_dask(frame[frame["id"] > 1])
    assert back.num_blocks() == 3
    assert plain(back.take_all()) == ROWS[2:]
    assert list(dataset().limit(0).to_dask().columns) == ["id", "name", "at"]
    with pytest.raises(InvalidArgumentError, match="df is DataFrame"):
        shoal.data.from_dask(pd.DataFrame())


def test_daft() -> None:
    daft = imported("daft")
    frame = dataset().to_daft()
    assert frame.where(daft.col("id") > 7).count_rows() == 2
    assert plain(shoal.data.from_daft(frame.where(daft.col("id") > 1)).take_all()) == ROWS[2:]
    assert dataset().limit(0).to_daft().column_names == ["id", "name", "at"]
    with pytest.raises(InvalidArgumentError, match="df is list"):
        shoal.data.from_daft(ROWS)


def test_modin(monkeypatch: pytest.MonkeyPatch) -> None:
    modin_pandas = imported("modin.pandas")
    config = importlib.import_module("modin.config")
    config.Engine.put("Python")  # it would start a cluster of another library
    frame = dataset().to_modin()
    assert isinstance(frame, modin_pandas.DataFrame)
    assert plain(shoal.data.from_modin(frame[frame["id"] > 1]).take_all()) == ROWS[2:]
    with pytest.raises(InvalidArgumentError, match="df is DataFrame"):
        shoal.data.from_modin(pd.DataFrame())


def test_tensorflow() -> None:
    tf = imported("tensorflow")
    rows = tf.data.Dataset.from_tensor_slices({"x": [1, 2], "y": [[1.0, 2.0], [3.0, 4.0]]})
    made = shoal.data.from_tf(rows).take_all()
    assert [(row["x"], list(row["y"])) for row in made] == [(1, [1.0, 2.0]), (2, [3.0, 4.0])]
    pairs = tf.data.Dataset.from_tensor_slices(([1, 2], [3, 4]))
    assert [list(row["item"]) for row in shoal.data.from_tf(pairs).take_all()] == [[1, 3], [2, 4]]
    with pytest.raises(InvalidArgumentError, match="has no end"):
        shoal.data.from_tf(rows.repeat())
    with pytest.raises(InvalidArgumentError, match="dataset is list"):
        shoal.data.from_tf([1])


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("default")  # those of Spark's own
def test_spark() -> None:
    sql = imported("pyspark.sql")
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        frame = dataset().drop_columns(["at"]).to_spark(spark)
        assert frame.count() == 10
        back = shoal.data.from_spark(frame.filter("id > 1"), override_num_blocks=2)
        assert back.num_blocks() == 2
        assert back.take_all() == [{"id": row["id"], "name": row["name"]} for row in ROWS[2:]]
        with pytest.raises(InvalidArgumentError, match="no columns"):
            shoal.data.from_items([]).to_spark(spark)
    finally:
        spark.stop()


def test_what_spark_is_not() -> None:
    with pytest.raises(InvalidArgumentError, match="df is list"):
        shoal.data.from_spark(ROWS)
    with pytest.raises(InvalidArgumentError, match="spark is str"):
        dataset().to_spark("local")


MISSING = [
    ("deltalake", "delta", lambda: shoal.data.read_delta("t")),
    ("deltalake", "delta", lambda: dataset().write_delta("t")),
    ("lance", "lance", lambda: shoal.data.read_lance("t")),
    ("lance", "lance", lambda: dataset().write_lance("t")),
    ("pyiceberg", "iceberg", lambda: shoal.data.read_iceberg(table_identifier="a.b")),
    ("pyiceberg", "iceberg", lambda: dataset().write_iceberg("a.b")),
    ("datasets", "huggingface", lambda: shoal.data.from_huggingface(None)),
    ("dask", "dask", lambda: shoal.data.from_dask(None)),
    ("dask", "dask", lambda: dataset().to_dask()),
    ("modin", "modin", lambda: shoal.data.from_modin(None)),
    ("modin", "modin", lambda: dataset().to_modin()),
    ("daft", "daft", lambda: shoal.data.from_daft(None)),
    ("daft", "daft", lambda: dataset().to_daft()),
]


@pytest.mark.parametrize(("library", "extra", "call"), MISSING)
def test_what_is_not_installed_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, library: str, extra: str, call: Any
) -> None:
    import sys

    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"{library if library != 'lance' else 'pylance'}.*shoal-data\[{extra}\]"):
        call()
