"""Putting blocks together and taking them apart."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shoal.data._internal.blocks.build import array_of, table_of_batch, table_of_rows, table_without_columns
from shoal.data._internal.blocks.combine import (
    compact,
    concat,
    size_bytes,
    slice_rows,
    split_bytes,
    split_rows,
    unify_schemas,
)
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.blocks.objects import is_object_type
from shoal.data.exceptions import InvalidArgumentError, SchemaMismatchError
from shoal.data.extensions import ArrowVariableShapedTensorType


def of(values: Any, column_type: pa.DataType | None = None) -> pa.Table:
    return pa.table({"x": pa.array(values, column_type)})


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (pa.int8(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint64(), pa.int64(), pa.int64()),
        (pa.uint64(), pa.int8(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.int8(), pa.float32(), pa.float32()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.null(), pa.string(), pa.string()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.binary(), pa.binary(3), pa.large_binary()),
        (pa.string(), pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (
            pa.dictionary(pa.int8(), pa.string()),
            pa.dictionary(pa.int32(), pa.string()),
            pa.dictionary(pa.int32(), pa.string()),
        ),
        (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ns")),
        (pa.decimal128(5, 2), pa.decimal128(8, 3), pa.decimal128(8, 3)),
        (pa.list_(pa.int64()), pa.list_(pa.float64()), pa.list_(pa.float64())),
        (pa.list_(pa.null()), pa.list_(pa.string()), pa.list_(pa.string())),
        (pa.list_(pa.int8(), 2), pa.list_(pa.int8(), 3), pa.list_(pa.int8())),
        (pa.list_(pa.int8()), pa.large_list(pa.int8()), pa.large_list(pa.int8())),
        (
            pa.struct({"a": pa.int64()}),
            pa.struct({"b": pa.string(), "a": pa.float64()}),
            pa.struct({"a": pa.float64(), "b": pa.string()}),
        ),
        (
            pa.fixed_shape_tensor(pa.int8(), [2]),
            pa.fixed_shape_tensor(pa.int16(), [2]),
            pa.fixed_shape_tensor(pa.int16(), [2]),
        ),
        (
            pa.fixed_shape_tensor(pa.int8(), [2]),
            pa.fixed_shape_tensor(pa.int8(), [3]),
            ArrowVariableShapedTensorType(pa.int8(), 1),
        ),
        (
            pa.fixed_shape_tensor(pa.int8(), [2]),
            pa.fixed_shape_tensor(pa.int8(), [3, 2]),
            ArrowVariableShapedTensorType(pa.int8(), None),
        ),
    ],
    ids=str,
)
def test_types_that_have_one_in_common(left: pa.DataType, right: pa.DataType, expected: pa.DataType) -> None:
    for first, second in ((left, right), (right, left)):
        unified = unify_schemas([pa.schema([("x", first)]), pa.schema([("x", second)])]).field("x").type
        if pa.types.is_struct(unified):
            assert sorted(unified, key=lambda field: field.name) == sorted(expected, key=lambda field: field.name)
        else:
            assert unified == expected
        tables = [pa.table({"x": pa.nulls(2, first)}), pa.table({"x": pa.nulls(1, second)})]
        assert concat(tables)["x"].to_pylist() == [None, None, None]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.int64(), pa.string()),
        (pa.bool_(), pa.int64()),
        (pa.string(), pa.binary()),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
        (pa.date32(), pa.timestamp("us")),
        (pa.list_(pa.int64()), pa.list_(pa.string())),
        (pa.struct({"a": pa.int64()}), pa.struct({"a": pa.string()})),
        (pa.list_(pa.int64()), pa.fixed_shape_tensor(pa.int64(), [2])),
        (pa.int64(), pa.list_(pa.int64())),
    ],
    ids=str,
)
def test_types_that_have_none_in_common_are_named(left: pa.DataType, right: pa.DataType) -> None:
    with pytest.raises(SchemaMismatchError) as raised:
        concat([pa.table({"y": [1], "x": pa.nulls(1, left)}), pa.table({"x": pa.nulls(1, right)})])
    assert "field 'x'" in str(raised.value)
    assert str(left) in str(raised.value)
    assert str(right) in str(raised.value)


def test_values_survive_promotion() -> None:
    assert concat([of([1, None]), of([2.5])])["x"].to_pylist() == [1.0, None, 2.5]
    assert concat([of([[1], None]), of([[2.5], []])])["x"].to_pylist() == [[1.0], None, [2.5], []]
    assert concat([of([[1], None, [7]]).slice(1), of([[2.5]])])["x"].to_pylist() == [None, [7.0], [2.5]]
    assert concat([of([{"a": 1}, None]), of([{"b": "x"}])])["x"].to_pylist() == [
        {"a": 1, "b": None},
        None,
        {"a": None, "b": "x"},
    ]
    assert concat([of([[{"a": 1}]]), of([[{"b": [2]}]])])["x"].to_pylist() == [
        [{"a": 1, "b": None}],
        [{"a": None, "b": [2]}],
    ]
    words = pa.array(["a", "b"]).dictionary_encode()
    assert concat([pa.table({"x": words}), of(["c"])])["x"].to_pylist() == ["a", "b", "c"]
    assert concat([of([None]), of(["c"])])["x"].to_pylist() == [None, "c"]
    assert concat([of([2**53 + 1]), of([0.5])])["x"].to_pylist() == [float(2**53), 0.5]


def test_an_integer_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(SchemaMismatchError, match=r"field 'x' has the type uint64 .* int64"):
        concat([of([2**63], pa.uint64()), of([-1])])


def test_missing_columns_are_null_and_keep_the_order() -> None:
    table = concat([pa.table({"a": [1], "b": ["x"]}), pa.table({"c": [2.5], "a": [2]}), table_without_columns(1)])
    assert table.column_names == ["a", "b", "c"]
    assert table.to_pydict() == {"a": [1, 2, None], "b": ["x", None, None], "c": [None, 2.5, None]}


def test_tensors_of_other_shapes_become_variable_shaped() -> None:
    parts: list[Any] = [np.arange(4).reshape(2, 2), np.arange(6.0).reshape(1, 2, 3), np.arange(3).reshape(3, 1)]
    with_null = array_of([np.array([7, 8]), None])
    table = concat([*(table_of_batch({"x": part}, "f") for part in parts), pa.table({"x": with_null})])
    rows = [row["x"] for row in to_rows(table)]
    assert [None if row is None else row.tolist() for row in rows] == [
        *(row for part in parts for row in part.tolist()),
        [7, 8],
        None,
    ]
    again = concat([table, table.slice(1)])
    assert again.schema == table.schema


def test_a_missing_column_beside_tensors_and_objects() -> None:
    table = concat([pa.table({"y": [1]}), table_of_rows([{"t": np.ones(2), "o": {1}, "r": None}])])
    rows = list(to_rows(table))
    assert rows[0] == {"y": 1, "t": None, "o": None, "r": None}
    assert rows[1]["o"] == {1}
    ragged = concat([table_of_rows([{"r": np.ones(2)}, {"r": np.ones(1)}]), pa.table({"y": [1]})])
    assert list(to_rows(ragged))[2] == {"r": None, "y": 1}


def test_anything_beside_objects_becomes_objects() -> None:
    table = concat([table_of_rows([{"x": {1}}]), of(["a", None]), table_of_rows([{"x": np.ones(2)}])])
    assert is_object_type(table.schema.field("x").type)
    values = [row["x"] for row in to_rows(table)]
    assert values[:3] == [{1}, "a", None]
    assert values[3].tolist() == [1, 1]


def test_a_block_without_rows_does_not_decide_on_types() -> None:
    empty = pa.table({"x": pa.array([], pa.float64()), "z": pa.array([], pa.int8())})
    table = concat([empty, of(["a"])])
    assert table.to_pydict() == {"x": ["a"], "z": [None]}


def test_nothing_to_concatenate() -> None:
    assert concat([]).num_rows == 0
    assert concat([pa.table({}), of([1])]).to_pydict() == {"x": [1]}
    assert concat([table_without_columns(2), table_without_columns(3)]).num_rows == 5
    table = of([1])
    assert concat([table]) is table


def test_metadata_is_no_difference() -> None:
    table = of([1])
    assert concat([table.replace_schema_metadata({"a": "b"}), table])["x"].to_pylist() == [1, 1]
    assert unify_schemas([]) == pa.schema([])


def test_sizes_are_those_of_the_slice() -> None:
    table = table_of_batch(
        {"i": np.arange(1000), "s": ["x" * 100] * 1000, "t": np.zeros((1000, 4)), "o": [{1}] * 1000}, "f"
    )
    whole = size_bytes(table)
    assert whole >= 1000 * (8 + 100 + 32)
    assert size_bytes(table.slice(100, 10)) < whole / 90
    assert size_bytes(table.slice(0, 0)) <= 64
    assert size_bytes(pa.table({})) == 0


def test_slices_of_tables_without_columns() -> None:
    table = table_without_columns(5)
    assert slice_rows(table, 3, 10).num_rows == 2
    assert slice_rows(table, 7, 1).num_rows == 0
    assert [piece.num_rows for piece in split_rows(table, 2)] == [2, 2, 1]


def test_pieces_that_leave_are_as_small_as_their_rows() -> None:
    rows = [
        {
            "i": i,
            "s": f"{i}" * 20,
            "t": np.full((2, 2), i),
            "r": np.arange(i % 3),
            "l": [i],
            "d": {"a": i},
            "o": {i},
            "n": None,
        }
        for i in range(5000)
    ]
    table = table_of_rows(rows)
    piece = table.slice(100, 10)
    assert len(pickle.dumps(piece)) > 100_000
    small = compact(piece)
    assert len(pickle.dumps(small)) < 10_000
    assert small.schema == piece.schema
    for mine, theirs in zip(to_rows(small), rows[100:110], strict=True):
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
    assert compact(table) is table
    assert compact(small) is small
    assert compact(table.slice(7, 0)).schema == table.schema


def test_sizes_that_are_no_sizes() -> None:
    with pytest.raises(InvalidArgumentError, match="max_rows=0"):
        split_rows(of([1]), 0)
    with pytest.raises(InvalidArgumentError, match="max_bytes=-1"):
        split_bytes(of([1]), -1)


def test_a_large_row_is_a_piece_of_its_own() -> None:
    table = pa.table({"s": ["a", "b" * 10_000, "c", "d"]})
    pieces = list(split_bytes(table, 1000))
    assert concat(pieces).equals(table)
    assert any(piece["s"].to_pylist() == ["b" * 10_000] for piece in pieces)


rows_of_text = st.lists(
    st.fixed_dictionaries({"i": st.integers(0, 99), "s": st.one_of(st.none(), st.text(max_size=50))}), max_size=30
)


@given(rows_of_text, st.integers(1, 10))
def test_pieces_of_rows_make_the_table(rows: list[dict[str, Any]], max_rows: int) -> None:
    table = table_of_rows(rows)
    pieces = list(split_rows(table, max_rows))
    assert concat(pieces).equals(table)
    assert all(piece.num_rows == max_rows for piece in pieces[:-1])
    assert pieces[-1].num_rows <= max_rows


@given(rows_of_text, st.integers(1, 500))
def test_pieces_of_bytes_make_the_table(rows: list[dict[str, Any]], max_bytes: int) -> None:
    table = table_of_rows(rows)
    pieces = list(split_bytes(table, max_bytes))
    assert concat(pieces).equals(table)
    assert all(size_bytes(piece) <= max_bytes or piece.num_rows == 1 for piece in pieces if table.num_rows)


any_rows = st.lists(
    st.dictionaries(
        st.sampled_from(["int", "float", "text", "array"]),
        st.none(),
    ).flatmap(
        lambda names: st.fixed_dictionaries(
            {
                name: {
                    "int": st.one_of(st.integers(-9, 9), st.floats(allow_nan=False)),
                    "float": st.one_of(st.none(), st.floats(allow_nan=False)),
                    "text": st.one_of(st.none(), st.text()),
                    "array": st.integers(0, 3).map(lambda size: np.arange(size)),
                }[name]
                for name in names
            }
        )
    ),
    min_size=1,
    max_size=8,
)


@given(any_rows, st.integers(0, 8))
def test_two_tables_concatenated_are_the_table_of_all_rows(rows: list[dict[str, Any]], at: int) -> None:
    whole = table_of_rows(rows)
    assume(whole.num_columns)
    halves = concat([table_of_rows(rows[:at]), table_of_rows(rows[at:])])
    assert sorted(halves.column_names) == sorted(whole.column_names)
    for mine, theirs in zip(to_rows(halves), to_rows(whole), strict=True):
        for name, value in theirs.items():
            assert np.array_equal(mine[name], value) if isinstance(value, np.ndarray) else mine[name] == value
