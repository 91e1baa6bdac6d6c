"""Types of columns of our own, and what becomes of them on their way through files and processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shoal.data import extensions
from shoal.data._internal.blocks.build import table_of_batch, table_of_rows
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.blocks.objects import is_object_type, restore_objects
from shoal.data.extensions import (
    ArrowConversionError,
    ArrowPythonObjectArray,
    ArrowPythonObjectType,
    ArrowTensorArray,
    ArrowTensorType,
    ArrowTensorTypeV2,
    ArrowVariableShapedTensorArray,
    ArrowVariableShapedTensorType,
    TensorArray,
    TensorDtype,
)
from shoal.exceptions import ShoalError


def through_ipc(table: pa.Table) -> pa.Table:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def test_every_name_is_there() -> None:
    for name in extensions.__all__:
        assert getattr(extensions, name) is not None
    with pytest.raises(AttributeError, match="Tensors"):
        extensions.Tensors  # noqa: B018


def test_the_module_does_not_import_pandas() -> None:
    code = "import sys, shoal.data.extensions; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_arrows_own_tensors_go_by_rays_names() -> None:
    column_type = ArrowTensorType((2, 3), pa.float32())
    assert column_type == pa.fixed_shape_tensor(pa.float32(), [2, 3])
    assert isinstance(column_type, ArrowTensorType)
    assert ArrowTensorTypeV2 is ArrowTensorType
    column = ArrowTensorArray.from_numpy(np.zeros((4, 2, 3), np.float32))
    assert isinstance(column, ArrowTensorArray)
    assert column.type == column_type
    ragged = ArrowTensorArray.from_numpy([np.zeros(1), np.zeros(2)])
    assert isinstance(ragged, ArrowVariableShapedTensorArray)
    for wrong in (np.zeros(3), np.zeros((2, 2), complex), [np.zeros(1), np.array(["a"])]):
        with pytest.raises(ArrowConversionError, match="column 'image'"):
            ArrowTensorArray.from_numpy(wrong, "image")


def test_variable_shaped_tensors() -> None:
    tensors: list[Any] = [np.zeros((2, 3)), None, np.ones((1, 3))]
    column = ArrowVariableShapedTensorArray.from_numpy(tensors)
    assert column.type == ArrowVariableShapedTensorType(pa.float64(), 2)
    assert (column.type.ndim, column.type.shape, column.type.value_type) == (2, (None, None), pa.float64())
    assert column.type != ArrowVariableShapedTensorType(pa.float64(), 3)
    assert column.type != pa.int64()
    assert not column.type != ArrowVariableShapedTensorType(pa.float64(), 2)  # noqa: SIM202
    assert column[1].as_py() is None
    assert column[2].as_py().tolist() == [[1, 1, 1]]
    assert [None if value is None else value.shape for value in column.to_pylist()] == [(2, 3), None, (1, 3)]
    assert column.to_numpy()[0].shape == (2, 3)
    with pytest.raises(ArrowConversionError, match="column 'x'"):
        ArrowVariableShapedTensorArray.from_numpy([np.zeros(1, complex)], "x")
    assert len(ArrowVariableShapedTensorArray.from_numpy([])) == 0
    assert ArrowVariableShapedTensorArray.from_numpy([None]).to_pylist() == [None]


@pytest.mark.parametrize("way", [through_ipc, lambda table: pickle.loads(pickle.dumps(table))], ids=["ipc", "pickle"])
def test_tensors_survive(way: Any) -> None:
    table = table_of_batch({"f": np.arange(8).reshape(2, 2, 2), "v": [np.zeros(1), np.zeros((2, 1))]}, "f")
    back = way(table)
    assert back.schema == table.schema
    assert [row["v"].shape for row in to_rows(back)] == [(1,), (2, 1)]
    assert [row["f"].shape for row in to_rows(back.take([1, 0]))] == [(2, 2), (2, 2)]


def test_tensors_survive_parquet(tmp_path: Path) -> None:
    table = table_of_batch({"f": np.arange(8).reshape(2, 2, 2), "v": [np.zeros(1), np.zeros((2, 1))]}, "f")
    pq.write_table(table, tmp_path / "t.parquet")
    back = pq.read_table(tmp_path / "t.parquet")
    assert back.schema.types == table.schema.types
    assert [row["v"].shape for row in to_rows(back)] == [(1,), (2, 1)]


def test_objects() -> None:
    column = ArrowPythonObjectArray.from_objects([{1}, None, "a"])
    assert column.type == ArrowPythonObjectType()
    assert column.to_pylist() == [{1}, None, "a"]
    assert column[0].as_py() == {1}
    assert column[1].as_py() is None
    assert column.to_numpy().tolist() == [{1}, None, "a"]
    assert [scalar.as_py() for scalar in column] == [{1}, None, "a"]
    assert column.take(pa.array([2, 0])).to_pylist() == ["a", {1}]


def test_files_cannot_make_us_unpickle(tmp_path: Path) -> None:
    table = table_of_rows([{"x": {1}}, {"x": None}])
    pq.write_table(table, tmp_path / "t.parquet")
    for back in (pq.read_table(tmp_path / "t.parquet"), through_ipc(table)):
        assert back.schema.field("x").type == pa.large_binary()
        restored = restore_objects(back)
        assert is_object_type(restored.schema.field("x").type)
        assert list(to_rows(restored)) == [{"x": {1}}, {"x": None}]
    assert restore_objects(table) is table


def test_functions_of_main_are_pickled_by_value() -> None:
    code = (
        "from shoal.data.extensions import ArrowPythonObjectArray as A\nimport sys\n"
        "def f(): return 7\nsys.stdout.buffer.write(A.from_objects([f]).storage[0].as_py())"
    )
    pickled = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert pickle.loads(pickled)() == 7


def test_conversion_errors_are_ours() -> None:
    assert issubclass(ArrowConversionError, ShoalError)


def test_tensors_in_a_frame() -> None:
    tensors = TensorArray(np.arange(12).reshape(3, 2, 2))
    frame = pd.DataFrame({"t": tensors, "x": [1, 2, 3]})
    assert frame["t"].dtype == TensorDtype((2, 2), np.int64)
    assert frame["t"].dtype == "numpy.ndarray(shape=(2, 2), dtype=int64)"
    assert frame[frame["x"] > 1]["t"].iloc[0].tolist() == [[4, 5], [6, 7]]
    assert pd.concat([frame, frame])["t"].shape == (6,)
    assert frame["t"].isna().tolist() == [False] * 3
    assert (frame["t"] == TensorArray(np.arange(12).reshape(3, 2, 2))).all()
    assert "[[4 5]" in repr(frame)
    assert np.asarray(frame["t"].array).shape == (3, 2, 2)
    copied = frame.copy()
    copied.loc[0, "x"] = 9
    assert frame["t"].array.nbytes == 12 * 8
    assert table_of_batch(frame, "f").schema.field("t").type == pa.fixed_shape_tensor(pa.int64(), [2, 2])


def test_tensors_of_many_shapes_in_a_frame() -> None:
    tensors = TensorArray([np.zeros(1), None, np.zeros(3)])
    assert tensors.dtype.is_variable_shaped
    assert tensors.isna().tolist() == [False, True, False]
    assert tensors.copy()[2].shape == (3,)
    assert tensors.nbytes == 32
    table = table_of_batch(pd.DataFrame({"t": tensors}), "f")
    assert table.schema.field("t").type == ArrowVariableShapedTensorType(pa.float64(), 1)
    back = table["t"].to_pandas()
    assert [None if value is None else value.shape for value in back] == [(1,), None, (3,)]


def test_missing_tensors_are_filled() -> None:
    taken = TensorArray(np.arange(4).reshape(2, 2)).take([1, -1], allow_fill=True)
    assert taken[0].tolist() == [2, 3]
    assert np.isnan(taken[1]).all()
    assert TensorArray(np.arange(4).reshape(2, 2)).take([-1])[0].tolist() == [2, 3]
    with pytest.raises(ValueError, match="shape"):
        TensorArray([np.zeros(1), np.zeros(2)]).take([-1], allow_fill=True)
    with pytest.raises(ValueError, match="each value is an array"):
        TensorArray(np.zeros(3))


@pytest.mark.parametrize("shape", [(2,), (2, 3), (None, 2)])
def test_names_of_types_can_be_read(shape: tuple[int | None, ...]) -> None:
    dtype = TensorDtype(shape, np.float32)
    assert TensorDtype.construct_from_string(dtype.name) == dtype
    assert pd.api.types.pandas_dtype(dtype.name) == dtype
    with pytest.raises(TypeError):
        TensorDtype.construct_from_string("float32")
