from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.sinks.csv_sink import CSVSink
from shoal.data.exceptions import InvalidArgumentError


def only_text(directory: Path) -> str:
    (file,) = directory.iterdir()
    return file.read_text()


def test_rows_of_a_task_with_one_header(tmp_path, drive):
    drive(CSVSink(tmp_path), [[pa.table({"a": [1, None], "b": ["x,y", 'q"']}), pa.table({"a": [3], "b": ["z"]})]])
    assert only_text(tmp_path) == '"a","b"\n1,"x,y"\n,"q"""\n3,"z"\n'


def test_plain_types_come_back(tmp_path, drive):
    table = pa.table(
        {
            "i": [1, -(2**62)],
            "f": [0.1 + 0.2, 1e300],
            "b": [True, False],
            "s": ["é\nnew line", ""],
            "d": [datetime.date(2020, 2, 29)] * 2,
            "t": pa.array([1_577_840_523] * 2, pa.timestamp("s")),
        }
    )
    drive(CSVSink(tmp_path), [[table]])
    options = csv.ParseOptions(newlines_in_values=True)
    (file,) = tmp_path.iterdir()
    assert csv.read_csv(file, parse_options=options).equals(table)


def test_types_that_have_a_plain_form(tmp_path, drive):
    table = pa.table(
        {
            "c": pa.array(["x"]).dictionary_encode(),
            "v": pa.array(["y"], pa.string_view()),
            "n": pa.nulls(1),
            "e": [decimal.Decimal("1.50")],
        }
    )
    drive(CSVSink(tmp_path), [[table]])
    assert only_text(tmp_path) == '"c","v","n","e"\n"x","y",,1.50\n'


def test_options(tmp_path, drive):
    table = pa.table({"a": ["x"], "b": ["y"]})
    drive(CSVSink(tmp_path / "single", arrow_csv_args={"delimiter": ";", "include_header": False}), [[table]])
    assert only_text(tmp_path / "single") == '"x";"y"\n'
    made_there = CSVSink(
        tmp_path / "fn", arrow_csv_args_fn=lambda: {"write_options": csv.WriteOptions(quoting_style="none")}
    )
    drive(made_there, [[table]])
    assert only_text(tmp_path / "fn").endswith("x,y\n")
    with pytest.raises(InvalidArgumentError, match="'delimeter'"):
        CSVSink(tmp_path, arrow_csv_args={"delimeter": ";"})
    with pytest.raises(InvalidArgumentError, match="quoting_style"):
        CSVSink(tmp_path, arrow_csv_args={"quoting_style": "sometimes"})
    with pytest.raises(InvalidArgumentError, match="exclude each other"):
        CSVSink(tmp_path, arrow_csv_args={"delimiter": ";", "write_options": csv.WriteOptions()})


@pytest.mark.parametrize(
    ("table", "advice"),
    [
        (pa.table({"bad": array_of(np.zeros((1, 2)))}), "write_numpy"),
        (pa.table({"bad": array_of([np.zeros((1, 2)), np.zeros((2, 2))])}), "write_numpy"),
        (pa.table({"bad": [[1]]}), "json.dumps"),
        (pa.table({"bad": [{"a": 1}]}), "json.dumps"),
        (pa.table({"bad": [b"x"]}), "base64"),
        (table_of_rows([{"bad": {1}}]), "drop it"),
        (table_of_rows([{}]), "no columns"),
    ],
)
def test_columns_that_csv_cannot_hold(tmp_path, drive, table, advice):
    with pytest.raises(
        InvalidArgumentError, match=f"{'' if advice == 'no columns' else 'column .bad. has the type .*'}{advice}"
    ):
        drive(CSVSink(tmp_path), [[table]])
    assert list(tmp_path.iterdir()) == []
