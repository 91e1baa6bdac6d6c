"""From blocks to batches, rows and arrays."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.blocks.build import array_of, table_of_batch, table_of_rows
from shoal.data._internal.blocks.convert import to_batch, to_numpy, to_rows, to_values
from shoal.data.exceptions import InvalidArgumentError

MOMENT = dt.datetime(2020, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 # columns without a time zone are what is tested


def test_numbers_are_views_that_cannot_be_written_to() -> None:
    table = pa.table({"x": np.arange(10.0)})
    array = to_batch(table, "numpy")["x"]
    assert array.ctypes.data == table["x"].chunk(0).buffers()[1].address
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_without_zero_copy_everything_can_be_written_to() -> None:
    table = table_of_batch(
        {"x": np.arange(3), "t": np.zeros((3, 2)), "r": [np.zeros(1), np.zeros(2), np.zeros(3)], "s": ["a", "b", "c"]},
        "f",
    ).append_column("l", pa.array([[1], [2, 3], None]))
    before = next(to_rows(table))["x"], table["l"].to_pylist()
    batch = to_batch(table, "default", zero_copy=False)
    batch["x"][0] = 9
    batch["t"][0, 0] = 9
    batch["r"][0][0] = 9
    batch["s"][0] = "z"
    batch["l"][0][0] = 9
    assert (next(to_rows(table))["x"], table["l"].to_pylist()) == before
    assert to_batch(table, "numpy")["t"].sum() == 0


def test_chunks_are_joined() -> None:
    table = pa.concat_tables([pa.table({"x": [i], "s": [str(i)], "l": [[i]]}) for i in range(3)])
    batch = to_batch(table, "numpy")
    assert batch["x"].tolist() == [0, 1, 2]
    assert batch["s"].tolist() == ["0", "1", "2"]
    assert [value.tolist() for value in batch["l"]] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("column", "dtype", "values"),
    [
        (pa.array([1, None]), "f8", [1.0, np.nan]),
        (pa.array([1, None], pa.int8()), "f8", [1.0, np.nan]),
        (pa.array([1.5, None], pa.float32()), "f4", [1.5, np.nan]),
        (pa.array([True, None]), "O", [True, None]),
        (pa.array([True, False]), "?", [True, False]),
        (pa.array(["a", None]), "O", ["a", None]),
        (pa.array([b"a", None]), "O", [b"a", None]),
        (pa.array([None, None]), "O", [None, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), "O", ["a", "b", "a"]),
        (pa.array([1, 1, 2]).dictionary_encode(), "i8", [1, 1, 2]),
        (pc.run_end_encode(pa.array([1, 1, 2])), "i8", [1, 1, 2]),
        (pa.array([decimal.Decimal("1.5"), None]), "O", [decimal.Decimal("1.5"), None]),
        (pa.array([MOMENT]), "M8[us]", [np.datetime64(MOMENT)]),
        (pa.array([MOMENT.replace(tzinfo=dt.UTC)]), "M8[us]", [np.datetime64(MOMENT)]),
        (pa.array([dt.date(2020, 1, 2)]), "M8[D]", [np.datetime64("2020-01-02")]),
        (pa.array([dt.timedelta(seconds=1)]), "m8[us]", [np.timedelta64(1, "s")]),
        (pa.array([dt.time(1, 2)]), "O", [dt.time(1, 2)]),
        (pa.array([{"a": 1, "b": [MOMENT]}, None]), "O", [{"a": 1, "b": [MOMENT]}, None]),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "O", [[("k", 1)]]),
        (pa.array(["a", "b"], pa.string_view()), "O", ["a", "b"]),
        (pa.array([], pa.int64()), "i8", []),
        (pa.chunked_array([], pa.string()), "O", []),
    ],
    ids=str,
)
def test_what_numpy_gets(column: Any, dtype: str, values: list[Any]) -> None:
    array = to_numpy(column)
    assert array.dtype == np.dtype(dtype)
    expected = pd.Series(values, dtype=object)
    assert array.shape == (len(values),)
    assert all(
        mine == theirs or (pd.isna(mine) and pd.isna(theirs)) for mine, theirs in zip(array, expected, strict=True)
    )


def test_lists_are_arrays_in_an_array_of_objects() -> None:
    column = pa.array([[0], [1, 2], None, [], [3, None]]).slice(1)
    array = to_numpy(column)
    assert array.dtype == object
    assert array[0].tolist() == [1, 2]
    assert array[1] is None
    assert array[2].tolist() == []
    assert array[3][0] == 3
    assert np.isnan(array[3][1])
    same_length = to_numpy(pa.array([[1, 2], [3, 4]]))
    assert same_length.shape == (2,)
    nested = to_numpy(pa.array([[[1], [2, 3]], [[]]]))
    assert nested[0][1].tolist() == [2, 3]
    fixed = to_numpy(pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int8(), 2)).slice(1))
    assert [value.tolist() for value in fixed] == [[3, 4], [5, 6]]


@pytest.mark.parametrize("start", [0, 1, 3])
def test_tensors(start: int) -> None:
    stack = np.arange(24).reshape(4, 2, 3)
    table = table_of_batch({"fixed": stack, "ragged": [np.arange(i) for i in range(4)], "same": stack}, "f").slice(
        start
    )
    batch = to_batch(table, "numpy")
    assert np.array_equal(batch["fixed"], stack[start:])
    assert [value.tolist() for value in batch["ragged"]] == [list(range(i)) for i in range(start, 4)]
    rows = list(to_rows(table))
    assert np.array_equal(np.stack([row["fixed"] for row in rows]), stack[start:])
    assert [row["ragged"].tolist() for row in rows] == [list(range(i)) for i in range(start, 4)]
    frame = to_batch(table, "pandas")
    assert [value.tolist() for value in frame["ragged"]] == [list(range(i)) for i in range(start, 4)]
    assert frame["fixed"].iloc[0].shape == (2, 3)


def test_ragged_tensors_of_one_shape_are_stacked() -> None:
    column = array_of([np.zeros((2, 2)), np.ones((2, 2)), np.zeros(3)])
    assert to_numpy(column).dtype == object
    assert to_numpy(column.slice(0, 2)).shape == (2, 2, 2)


def test_tensors_that_arrow_stores_in_another_order() -> None:
    stack = np.arange(24).reshape(4, 3, 2).transpose(0, 2, 1)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(stack)
    assert np.array_equal(to_numpy(column), stack)


def test_frames_have_pandas_own_types() -> None:
    table = pa.table(
        {
            "i": pa.array([1, None, 2**60 + 1]),
            "u": pa.array([1, None, 2], pa.uint8()),
            "b": pa.array([True, None, False]),
            "f": [1.5, None, 2],
            "s": ["a", None, "b"],
            "d": pa.array(["a", "b", "a"]).dictionary_encode(),
            "t": pa.array([MOMENT, None, MOMENT]),
            "o": array_of([{1}, None, 2]),
            "p": [1, 2, 3],
        }
    )
    frame = to_batch(table, "pandas")
    assert list(frame.columns) == table.column_names
    types = frame.dtypes.astype(str).to_dict()
    assert types["i"] == "Int64"
    assert types["u"] == "UInt8"
    assert types["b"] == "boolean"
    assert types["f"] == "float64"
    assert types["d"] == "category"
    assert types["t"] == "datetime64[us]"
    assert types["o"] == "object"
    assert types["p"] == "int64"
    assert frame["i"].iloc[2] == 2**60 + 1
    # and all of it comes back
    assert table_of_batch(frame, "f").to_pydict() == table.to_pydict()


def test_frames_can_be_written_to_and_do_not_change_the_block() -> None:
    table = pa.table({"x": np.arange(3.0)})
    frame = to_batch(table, "pandas")
    frame.loc[0, "x"] = 7.0
    frame["y"] = 1
    assert table["x"].to_pylist() == [0.0, 1.0, 2.0]


def test_an_index_that_pandas_left_in_the_metadata_stays_a_column() -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"x": [1, 2]}, index=pd.Index([5, 6], name="key")))
    assert list(to_batch(table, "pandas").columns) == ["x", "key"]


def test_formats_that_do_not_exist() -> None:
    with pytest.raises(InvalidArgumentError, match=r"batch_format='torch'.*'pandas'"):
        to_batch(pa.table({"x": [1]}), "torch")
    table = pa.table({"x": [1]})
    assert to_batch(table, None) is table
    assert to_batch(table, "pyarrow") is table


def test_rows_of_many_slices() -> None:
    rows = [{"i": i, "s": str(i)} for i in range(10_000)]
    assert list(to_rows(table_of_rows(rows))) == rows
    first = to_rows(table_of_rows(rows))
    assert next(first) == rows[0]


def test_empty_tables() -> None:
    table = pa.table({"x": pa.array([], pa.int64()), "t": array_of(np.zeros((0, 2)))})
    assert list(to_rows(table)) == []
    assert to_batch(table, "numpy")["t"].shape == (0, 2)
    assert len(to_batch(table, "pandas")) == 0
    assert to_batch(pa.table({}), "numpy") == {}
    assert len(to_batch(pa.table({}), "pandas")) == 0


columns = st.one_of(
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=5, max_size=5).map(
        lambda values: pa.array(values, pa.int64())
    ),
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=5, max_size=5).map(
        lambda values: pa.array(values, pa.float64())
    ),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=5, max_size=5).map(
        lambda values: pa.array(values, pa.bool_())
    ),
    st.lists(st.one_of(st.none(), st.text()), min_size=5, max_size=5).map(lambda values: pa.array(values, pa.string())),
    st.lists(st.one_of(st.none(), st.dates()), min_size=5, max_size=5).map(
        lambda values: pa.array(values, pa.date32())
    ),
    st.lists(st.one_of(st.none(), st.datetimes()), min_size=5, max_size=5).map(
        lambda values: pa.array(values, pa.timestamp("us"))
    ),
    st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=3)), min_size=5, max_size=5).map(
        lambda values: pa.array(values, pa.list_(pa.int64()))
    ),
)


@given(columns, st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_values_are_what_arrow_says(column: pa.Array, offset: int, length: int, chunked: bool) -> None:
    part = column.slice(offset, length)
    if chunked:
        part = pa.chunked_array([part, part.slice(1)], part.type)
    assert to_values(part) == part.to_pylist()


@given(columns, st.integers(0, 5))
def test_formats_agree(column: pa.Array, offset: int) -> None:
    table = pa.table({"x": column}).slice(offset)
    expected = [row["x"] for row in to_rows(table)]
    array = to_batch(table, "numpy")["x"]
    frame = to_batch(table, "pandas")["x"]
    assert len(array) == len(frame) == len(expected)
    for value, in_array, in_frame in zip(expected, array, frame, strict=True):
        if value is None:
            assert pd.isna(in_array)
            assert pd.isna(in_frame)
        elif isinstance(value, list):
            assert in_array.tolist() == in_frame.tolist() == value
        elif isinstance(value, dt.date):
            assert np.datetime64(value) == in_array
            assert value == in_frame
        elif isinstance(value, int) and array.dtype == np.float64:
            assert float(value) == in_array
            assert value == in_frame
        else:
            assert value == in_array == in_frame
