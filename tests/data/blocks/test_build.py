"""Making blocks of rows and batches."""

# ruff: noqa: DTZ001 - times without a time zone are what is tested
from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import pickle
import threading
import uuid
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.data._internal.blocks.build import array_of, table_of_batch, table_of_rows
from shoal.data._internal.blocks.convert import to_batch, to_rows
from shoal.data._internal.blocks.objects import is_object_type
from shoal.data.exceptions import BatchTypeError
from shoal.data.extensions import ArrowConversionError, ArrowVariableShapedTensorType, TensorArray


def round_trip(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(to_rows(pickle.loads(pickle.dumps(table_of_rows(rows)))))


class Colour(enum.Enum):
    RED = 1


class Point:
    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    __hash__ = None  # type: ignore[assignment]


# Values of one column, all of one kind; the second of each pair is the Arrow type, None for pickled objects.
KINDS: list[tuple[list[Any], pa.DataType | None]] = [
    ([1, -2, None], pa.int64()),
    ([1.5, 2, None], pa.float64()),
    ([True, None, False], pa.bool_()),
    (["a", None, "é" * 1000], pa.string()),
    ([b"a", None, b""], pa.binary()),
    ([None, None], pa.null()),
    ([2**63, 1, None], pa.uint64()),
    ([dt.datetime(2020, 1, 1, 2, 3, 4, 5), None], pa.timestamp("us")),
    ([dt.date(2020, 1, 1), None], pa.date32()),
    ([dt.time(1, 2, 3), None], pa.time64("us")),
    ([dt.timedelta(days=1, microseconds=5), None], pa.duration("us")),
    ([decimal.Decimal("1.25"), decimal.Decimal(10), None], pa.decimal128(4, 2)),
    ([[1, 2], [], None, [3]], pa.list_(pa.int64())),
    ([[[1], [2, 3]], []], pa.list_(pa.list_(pa.int64()))),
    ([{"a": 1, "b": ["x"]}, None, {"a": 2, "b": []}], pa.struct({"a": pa.int64(), "b": pa.list_(pa.string())})),
    ([1, "a"], None),
    (["a", b"b"], None),
    ([True, 1], None),
    ([1.5, True], None),
    ([{1, 2}, None], None),
    ([{1: 2}], None),
    ([Colour.RED, None], None),
    ([Point(1), None, Point(2)], None),
    ([1 + 2j], None),
    ([2**70, -1], None),
    ([(1, "a")], None),
    ([[1], "a"], None),
    (["\ud800"], None),
    ([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 5)], None),
    ([dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)], None),
    ([decimal.Decimal("1.5"), 2.5], None),
    ([int, str], None),
    ([[dt.date(2020, 1, 1)], [dt.datetime(2020, 1, 1, 5)]], None),
    ([{"t": dt.date(2020, 1, 1)}, {"t": dt.datetime(2020, 1, 1, 5)}], None),
    ([[["a"]], [[b"b"]]], None),
]


@pytest.mark.parametrize(("values", "expected"), KINDS, ids=lambda value: str(value)[:40])
def test_values_come_back_as_they_were(values: list[Any], expected: pa.DataType | None) -> None:
    table = table_of_rows([{"x": value} for value in values])
    found = table.schema.field("x").type
    assert is_object_type(found) if expected is None else found == expected
    back = [row["x"] for row in round_trip([{"x": value} for value in values])]
    assert back == values
    assert [type(value) for value in back] == [
        float if value == 2 and 1.5 in values else type(value) for value in values
    ]


def test_uuids_and_aware_times_come_back() -> None:
    identifier = uuid.uuid4()
    aware = dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert round_trip([{"u": identifier, "t": aware}]) == [{"u": identifier, "t": aware}]


def test_nanoseconds_of_pandas_are_kept() -> None:
    moment = pd.Timestamp("2020-01-01 00:00:00.123456789")
    table = table_of_rows([{"t": moment}, {"t": None}])
    assert table.schema.field("t").type == pa.timestamp("ns")
    assert next(to_rows(table))["t"] == moment


def test_times_of_numpy_keep_the_finest_unit() -> None:
    day, millisecond = np.datetime64("2020-01-01"), np.datetime64("2020-01-01T00:00:00.001")
    assert array_of([day, None]).type == pa.date32()
    column = array_of([day, None, millisecond])
    assert column.type == pa.timestamp("ms")
    assert column.to_pylist() == [dt.datetime(2020, 1, 1), None, dt.datetime(2020, 1, 1, 0, 0, 0, 1000)]
    assert array_of([np.timedelta64(1, "D"), None]).to_pylist() == [dt.timedelta(days=1), None]


def test_missing_values_of_pandas_are_null() -> None:
    assert round_trip([{"x": pd.NA}, {"x": 1}, {"x": pd.NaT}]) == [{"x": None}, {"x": 1}, {"x": None}]


def test_integers_beyond_the_precision_of_floats_beside_floats() -> None:
    assert round_trip([{"x": 2**60 + 1}, {"x": 0.5}]) == [{"x": float(2**60)}, {"x": 0.5}]


def test_columns_are_the_union_in_order_of_appearance() -> None:
    table = table_of_rows([{"b": 1}, {"a": 2, "b": 3}, {"c": 4}])
    assert table.column_names == ["b", "a", "c"]
    assert table.to_pydict() == {"b": [1, 3, None], "a": [None, 2, None], "c": [None, None, 4]}


def test_rows_with_equally_many_but_other_names() -> None:
    assert round_trip([{"a": 1}, {"b": 2}]) == [{"a": 1, "b": None}, {"a": None, "b": 2}]


def test_rows_of_a_defaultdict_get_no_invented_values() -> None:
    rows = [defaultdict(lambda: 7, {"a": 1}), defaultdict(lambda: 7, {"b": 2})]
    assert round_trip(rows) == [{"a": 1, "b": None}, {"a": None, "b": 2}]  # type: ignore[arg-type]
    assert "b" not in rows[0]


def test_no_rows_and_rows_without_columns() -> None:
    assert table_of_rows([]).num_rows == 0
    table = table_of_rows([{}, {}])
    assert (table.num_rows, table.num_columns) == (2, 0)
    assert list(to_rows(table)) == [{}, {}]
    assert len(to_batch(table, "pandas")) == 2


def test_rows_that_are_none_and_names_that_are_no_strings() -> None:
    with pytest.raises(BatchTypeError, match=r"a row is a dict.*int"):
        table_of_rows([1])  # type: ignore[list-item]
    with pytest.raises(BatchTypeError, match=r"column name 3 of the type int.*'3'"):
        table_of_rows([{3: 1}])  # type: ignore[dict-item]


def test_what_cannot_be_pickled_is_an_error_that_names_the_column() -> None:
    with pytest.raises(ArrowConversionError, match=r"column 'lock': a value of the type lock.*cannot be pickled"):
        table_of_rows([{"lock": threading.Lock()}])


def test_arrays_of_one_shape_are_arrows_tensors() -> None:
    table = table_of_rows([{"x": np.full((2, 3), i, np.float32)} for i in range(3)])
    assert table.schema.field("x").type == pa.fixed_shape_tensor(pa.float32(), [2, 3])
    row = list(to_rows(table))[2]["x"]
    assert row.dtype == np.float32
    assert np.array_equal(row, np.full((2, 3), 2))


@pytest.mark.parametrize("shapes", [[(2, 3), (1, 3)], [(2,), (0,), (5,)], [(2, 2), (4,)]])
def test_arrays_of_many_shapes(shapes: list[tuple[int, ...]]) -> None:
    arrays = [np.arange(math.prod(shape)).reshape(shape) for shape in shapes]
    rows = [{"x": array} for array in arrays] + [{"x": None}]
    table = table_of_rows(rows)
    ndims = {len(shape) for shape in shapes}
    assert table.schema.field("x").type == ArrowVariableShapedTensorType(
        pa.int64(), ndims.pop() if len(ndims) == 1 else None
    )
    back = round_trip(rows)
    assert back[-1] == {"x": None}
    assert all(np.array_equal(row["x"], array) for row, array in zip(back, arrays, strict=False))


def test_null_among_arrays_of_one_shape() -> None:
    back = round_trip([{"x": np.ones(2)}, {"x": None}, {"x": np.zeros(2)}])
    assert back[1]["x"] is None
    assert back[2]["x"].tolist() == [0, 0]


def test_arrays_among_other_things() -> None:
    assert [type(row["x"]) for row in round_trip([{"x": np.ones(2)}, {"x": "a"}])] == [np.ndarray, str]
    assert [np.shape(row["x"]) for row in round_trip([{"x": np.ones(2)}, {"x": 3}])] == [(2,), ()]
    assert round_trip([{"x": np.array(3)}, {"x": np.array(4)}]) == [{"x": 3}, {"x": 4}]
    assert round_trip([{"x": np.array(["a", "b"])}]) == [{"x": ["a", "b"]}]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(4, dtype=dtype)
        for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i4", ">f8")
    ]
    + [
        np.arange(10)[::3],
        np.array([True, False]),
        np.array(["a", "ab"]),
        np.array([b"a", b"ab"]),
        np.array(["2020-01-01", "NaT"], "M8[D]"),
        np.array(["2020-01-01T02", "NaT"], "M8[us]"),
        np.array([1, 2], "m8[ms]"),
        np.array(["2020-01", "2021-03"], "M8[M]"),
        np.array([1, 2], "m8[D]"),
        np.zeros((3, 2, 2), "u1"),
        np.zeros((0, 2, 2), "f4"),
        np.zeros((3, 0)),
        np.ones((3, 2), bool),
        np.array([["2020-01-01"], ["2021-01-01"]], "M8[s]"),
        np.arange(12).reshape(3, 4).T,
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_numpy_arrays_come_back(array: np.ndarray[Any, Any]) -> None:
    back = to_batch(table_of_batch({"x": array}, "f"), "numpy")["x"]
    assert back.shape == array.shape
    assert (
        np.array_equal(back, array) if array.dtype.kind not in "mM" else np.array_equal(np.isnat(back), np.isnat(array))
    )
    if array.dtype.kind in "mM":
        assert (back[~np.isnat(back)] == array[~np.isnat(array)]).all()
    if array.dtype.kind in "iufb":
        assert back.dtype == array.dtype.newbyteorder("=")


def test_numpy_arrays_that_arrow_has_no_type_for() -> None:
    for array in (np.array([1j, 2]), np.zeros(2, [("a", int)]), np.ones((2, 2), complex)):
        back = to_batch(table_of_batch({"x": array}, "f"), "numpy")["x"]
        assert back.shape[0] == 2
        assert all(np.array_equal(mine, theirs) for mine, theirs in zip(back, array, strict=True))


def test_memory_of_numpy_is_used_as_it_is() -> None:
    array = np.arange(1000.0)
    assert array_of(array).buffers()[1].address == array.ctypes.data
    stack = np.zeros((10, 3, 3))
    assert array_of(stack).storage.values.buffers()[1].address == stack.ctypes.data


def test_numpy_objects_with_nan_for_missing_strings() -> None:
    assert array_of(np.array(["a", np.nan, None], object)).to_pylist() == ["a", None, None]
    # NaN beside numbers is a number.
    assert math.isnan(array_of(np.array([1.0, np.nan], object)).to_pylist()[1])


def test_batches_of_every_library() -> None:
    expected = {"a": [1, 2], "b": ["x", None]}
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[5, 6])
    table = pa.table(expected)
    batches = [{"a": [1, 2], "b": ["x", None]}, frame, table, table.to_batches()[0], pl.DataFrame(expected)]
    for batch in batches:
        made = table_of_batch(batch, "f")
        assert made.to_pydict() == expected
        assert made.schema.types == [pa.int64(), pa.string()]


def test_columns_of_every_library() -> None:
    columns = {
        "list": [1, 2],
        "tuple": (1, 2),
        "numpy": np.array([1, 2]),
        "pandas": pd.Series([1, 2], index=[7, 8]),
        "polars": pl.Series([1, 2]),
        "arrow": pa.array([1, 2]),
        "chunked": pa.chunked_array([[1], [2]]),
        "range": range(1, 3),
        "keys": {1: 0, 2: 0}.keys(),
    }
    table = table_of_batch(columns, "f")
    assert set(table.schema.types) == {pa.int64()}
    assert list(to_rows(table)) == [dict.fromkeys(columns, 1), dict.fromkeys(columns, 2)]


def test_frames_of_pandas() -> None:
    frame = pd.DataFrame(
        {
            "floats": [1.0, np.nan],
            "nullable": pd.array([1, None], "Int64"),
            "category": pd.Categorical(["a", "b"]),
            "time": pd.to_datetime(["2020-01-01", None]),
            "zone": pd.to_datetime(["2020-01-01", None]).tz_localize("UTC"),
            "arrays": [np.zeros(2), np.ones(2)],
            "tensors": TensorArray(np.arange(8).reshape(2, 2, 2)),
            "mixed": [1, "a"],
            "objects": [{1}, None],
            "strings": ["a", None],
            "sparse": pd.arrays.SparseArray([0, 1]),
            0: [1, 2],
        }
    )
    table = table_of_batch(frame, "f")
    rows = list(to_rows(table))
    assert rows[1]["floats"] is None
    assert rows[1]["nullable"] is None
    assert pa.types.is_dictionary(table.schema.field("category").type)
    assert [row["category"] for row in rows] == ["a", "b"]
    assert rows[0]["time"] == pd.Timestamp("2020-01-01")
    assert table.schema.field("zone").type.tz == "UTC"
    assert table.schema.field("arrays").type == pa.fixed_shape_tensor(pa.float64(), [2])
    assert rows[1]["tensors"].tolist() == [[4, 5], [6, 7]]
    assert [row["mixed"] for row in rows] == [1, "a"]
    assert [row["objects"] for row in rows] == [{1}, None]
    assert table.schema.field("strings").type == pa.string()
    assert [row["sparse"] for row in rows] == [0, 1]
    assert [row["0"] for row in rows] == [1, 2]


def test_a_frame_without_columns_keeps_its_rows() -> None:
    assert table_of_batch(pd.DataFrame(index=range(3)), "f").num_rows == 3


@pytest.mark.parametrize(
    ("batch", "text"),
    [
        (None, r"stage: a batch is .*None.*without `return`"),
        (np.ones(3), r"Return \{'data': array\}"),
        ([1, 2], r"Return \{'item': values\}"),
        (3, r"stage: a batch is .*int"),
        ({"a": 1}, r"stage: column 'a' .*builtins.int"),
        ({"a": "text"}, r"stage: column 'a' .*builtins.str"),
        ({"a": np.array(1)}, r"stage: column 'a' .*numpy.ndarray"),
        ({"a": [1], "b": [1, 2]}, r"stage: .*'a': 1, 'b': 2 rows"),
        ({1: [1]}, r"stage: .*column name 1 of the type int"),
        (pa.table([[1], [2]], ["a", "a"]), r"stage: .*more than one column 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"stage: .*more than one column 'a'"),
    ],
    ids=str,
)
def test_what_is_no_batch(batch: Any, text: str) -> None:
    with pytest.raises(BatchTypeError, match=f"(?s){text}"):
        table_of_batch(batch, "stage")


def test_what_is_no_column() -> None:
    for values in (3, "text", {"a": 1}, np.array(1)):
        with pytest.raises(ArrowConversionError):
            array_of(values)


def test_errors_of_conversion_survive_pickling() -> None:
    error = ArrowConversionError("a value", "a reason", "a column")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.decimals(allow_nan=False, allow_infinity=False),
)
nested = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), nested), max_size=8))
def test_any_rows_come_back(rows: list[dict[str, Any]]) -> None:
    names = dict.fromkeys(name for row in rows for name in row)
    # Only tables with columns know their rows after pickling.
    back = round_trip(rows) if names else list(to_rows(table_of_rows(rows)))
    assert back == [{name: row.get(name) for name in names} for row in rows]


@given(
    st.data(), st.sampled_from([st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(), st.booleans()])
)
def test_columns_of_one_kind_need_no_objects(data: st.DataObject, kind: st.SearchStrategy[Any]) -> None:
    values = data.draw(st.lists(kind, min_size=1))
    assert array_of(values).type in {pa.int64(), pa.float64(), pa.string(), pa.bool_()}
