from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import json as arrow_json

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sinks.json_sink import JSONSink
from shoal.data.exceptions import InvalidArgumentError


def rows_of(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(directory.iterdir()) for line in path.read_bytes().splitlines()]


def test_each_row_is_a_line(tmp_path, drive):
    drive(JSONSink(tmp_path), [[pa.table({"a": [1, None]}), pa.table({"a": [3], "b": [["é", None]]})]])
    assert rows_of(tmp_path) == [{"a": 1, "b": None}, {"a": None, "b": None}, {"a": 3, "b": ["é", None]}]
    (file,) = tmp_path.iterdir()
    assert arrow_json.read_json(file).num_rows == 3
    assert len(pd.read_json(file, lines=True)) == 3


def test_values(tmp_path, drive):
    utc = datetime.datetime(2020, 1, 1, 2, 3, 4, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "big": [2**63 - 1],
            "digits": [0.1 + 0.2],
            "nan": [float("nan")],
            "half": pa.array([1.5], pa.float16()),
            "date": [datetime.date(2020, 2, 29)],
            "time": [utc],
            "decimal": [decimal.Decimal("1.50")],
            "category": pa.array(["x"]).dictionary_encode(),
            "struct": [{"a": [{"b": None}]}],
            "nothing": pa.nulls(1),
            "tensor": array_of(np.arange(6).reshape(1, 2, 3)),
            "ragged": array_of([np.arange(2).reshape(1, 2)]),
        }
    )
    drive(JSONSink(tmp_path), [[table]])
    (row,) = rows_of(tmp_path)
    assert datetime.datetime.fromisoformat(row.pop("time")) == utc
    assert row == {
        "big": 2**63 - 1,
        "digits": 0.1 + 0.2,
        "nan": None,
        "half": 1.5,
        "date": "2020-02-29",
        "decimal": "1.50",
        "category": "x",
        "struct": {"a": [{"b": None}]},
        "nothing": None,
        "tensor": [[0, 1, 2], [3, 4, 5]],
        "ragged": [[0, 1]],
    }


def test_tensors_of_different_shapes(tmp_path, drive):
    drive(JSONSink(tmp_path), [[pa.table({"t": array_of([np.zeros((1, 2)), None, np.ones((2, 1))])})]])
    assert [row["t"] for row in rows_of(tmp_path)] == [[[0, 0]], None, [[1], [1]]]
    with pytest.raises(InvalidArgumentError, match="'t' holds arrays with different numbers"):
        drive(JSONSink(tmp_path), [[pa.table({"t": array_of([np.zeros((1, 2)), np.ones(2)])})]])


def test_values_of_different_kinds_go_row_by_row(tmp_path, drive):
    table = table_of_rows(
        [
            {"x": 1, "f": float("inf"), "t": np.zeros(2)},
            {"x": "a", "f": 1.0, "t": np.ones(2)},
            {"x": [datetime.date(2020, 1, 1)], "f": 2.0, "t": np.ones(2)},
        ]
    )
    drive(JSONSink(tmp_path), [[table]])
    assert rows_of(tmp_path) == [
        {"x": 1, "f": None, "t": [0, 0]},
        {"x": "a", "f": 1, "t": [1, 1]},
        {"x": ["2020-01-01"], "f": 2, "t": [1, 1]},
    ]
    with pytest.raises(InvalidArgumentError, match=r"\['x'\]"):
        drive(JSONSink(tmp_path), [[table_of_rows([{"x": {1}}])]])


@pytest.mark.parametrize("values", [[b"x"], [[b"x"]], [{"a": b"x"}]])
def test_bytes_are_an_error_that_names_the_column(tmp_path, drive, values):
    with pytest.raises(InvalidArgumentError, match="'x' has the type binary"):
        drive(JSONSink(tmp_path), [[pa.table({"x": values})]])
    assert list(tmp_path.iterdir()) == []


def test_rows_without_columns(tmp_path, drive):
    drive(JSONSink(tmp_path), [[table_of_rows([{}, {}])]])
    assert rows_of(tmp_path) == [{}, {}]


def test_arguments_of_pandas(tmp_path, drive):
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    drive(JSONSink(tmp_path / "columns", pandas_json_args={"orient": "columns"}), [[table, table]])
    (file,) = (tmp_path / "columns").iterdir()
    assert json.loads(file.read_text())["a"] == {"0": 1, "1": 2, "2": 1, "3": 2}
    drive(JSONSink(tmp_path / "fn", pandas_json_args_fn=lambda: {"double_precision": 1}), [[pa.table({"a": [0.123]})]])
    assert rows_of(tmp_path / "fn") == [{"a": 0.1}]


VALUES = st.dictionaries(
    # Names of fields travel from library to library as C strings, which end at their first NUL.
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    max_size=3,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=10),
    texts=st.lists(st.none() | st.text(st.characters(codec="utf-8")), min_size=10, max_size=10),
    nested=st.lists(VALUES, min_size=10, max_size=10),
)
def test_what_is_written_is_what_was_there(tmp_path_factory, drive, numbers, texts, nested):
    directory = tmp_path_factory.mktemp("out")
    rows = [
        {"f": number, "t": text, "n": value or None}
        for number, text, value in zip(numbers, texts, nested, strict=False)
    ]
    table = table_of_rows(rows)
    drive(JSONSink(directory), [[table]])
    assert rows_of(directory) == list(to_rows(table))
