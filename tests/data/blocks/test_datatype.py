"""One name for the types of Arrow, numpy and Python."""

# ruff: noqa: E721 - the types compared are no Python classes
from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shoal.data.datatype import DataType, TypeCategory
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.extensions import ArrowVariableShapedTensorType

QUESTIONS = (
    "list tensor struct map nested null boolean integer floating uint64 numerical string binary temporal".split()  # noqa: SIM905
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        *((getattr(DataType, name)(), getattr(pa, name)()) for name in ("int8", "int16", "int32", "int64")),
        *((getattr(DataType, name)(), getattr(pa, name)()) for name in ("uint8", "uint16", "uint32", "uint64")),
        *((getattr(DataType, name)(), getattr(pa, name)()) for name in ("float32", "float64", "string", "binary")),
        (DataType.bool(), pa.bool_()),
        (DataType.list(DataType.int8()), pa.list_(pa.int8())),
        (DataType.large_list(DataType.int8()), pa.large_list(pa.int8())),
        (DataType.fixed_size_list(DataType.int8(), 3), pa.list_(pa.int8(), 3)),
        (DataType.struct([("a", DataType.int8())]), pa.struct({"a": pa.int8()})),
        (DataType.map(DataType.string(), DataType.int8()), pa.map_(pa.string(), pa.int8())),
        (DataType.tensor((2, 3), DataType.float32()), pa.fixed_shape_tensor(pa.float32(), [2, 3])),
        (DataType.variable_shaped_tensor(DataType.float32()), ArrowVariableShapedTensorType(pa.float32(), 2)),
        (DataType.temporal("timestamp", tz="UTC"), pa.timestamp("us", "UTC")),
        (DataType.temporal("time32"), pa.time32("s")),
        (DataType.temporal("time64", "ns"), pa.time64("ns")),
        (DataType.temporal("duration"), pa.duration("us")),
        (DataType.temporal("date32"), pa.date32()),
        (DataType.from_numpy("float32"), pa.float32()),
        (DataType(int), pa.int64()),
    ],
    ids=str,
)
def test_types_by_name(made: DataType, expected: pa.DataType) -> None:
    assert made.to_arrow_dtype() == expected
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize(
    ("data_type", "yes"),
    [
        (DataType.list(DataType.int8()), "list nested"),
        (DataType.fixed_size_list(DataType.int8(), 2), "list nested"),
        (DataType.struct([]), "struct nested"),
        (DataType.map(DataType.string(), DataType.int8()), "map nested"),
        (DataType.tensor((2,), DataType.int8()), "tensor"),
        (DataType.variable_shaped_tensor(DataType.int8()), "tensor"),
        (DataType.from_arrow(pa.null()), "null"),
        (DataType.bool(), "boolean"),
        (DataType.from_numpy("bool"), "boolean"),
        (DataType(bool), "boolean"),
        (DataType.uint64(), "integer uint64 numerical"),
        (DataType(int), "integer numerical"),
        (DataType.from_numpy("int8"), "integer numerical"),
        (DataType(float), "floating numerical"),
        (DataType.from_numpy("complex64"), "numerical"),
        (DataType(complex), "numerical"),
        (DataType.from_arrow(pa.decimal128(5, 2)), "numerical"),
        (DataType.from_numpy("U3"), "string"),
        (DataType.from_arrow(pa.dictionary(pa.int8(), pa.string())), "string"),
        (DataType.binary(), "binary"),
        (DataType(bytes), "binary"),
        (DataType.from_numpy("V3"), "binary"),
        (DataType.temporal("duration"), "temporal"),
        (DataType.from_numpy("M8[us]"), "temporal"),
        (DataType(dt.date), "temporal"),
        (DataType(object), ""),
        (DataType.from_numpy("O"), ""),
    ],
    ids=str,
)
def test_questions(data_type: DataType, yes: str) -> None:
    answers = {question for question in QUESTIONS if getattr(data_type, f"is_{question}_type")()}
    assert answers == set(yes.split())


def test_groups() -> None:
    assert DataType.large_list(DataType.int8()).is_of(TypeCategory.LARGE_LIST)
    assert DataType.large_list(DataType.int8()).is_of("list")
    assert not DataType.list(DataType.int8()).is_of("large_list")
    assert not DataType.int8().is_of("vegetable")
    assert DataType(dt.datetime).is_of(TypeCategory.TEMPORAL)


def test_equality_and_text() -> None:
    assert DataType.int64() == DataType.from_arrow(pa.int64())
    assert hash(DataType.int64()) == hash(DataType.from_arrow(pa.int64()))
    assert len({DataType.int64(), DataType.from_numpy("int64"), DataType(int)}) == 3
    assert DataType.int64() != "int64"
    assert repr(DataType.int64()) == "DataType(arrow:int64)"
    assert repr(DataType.from_numpy("int32")) == "DataType(numpy:int32)"
    assert repr(DataType(str)) == "DataType(python:str)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, DataType.int64()),
        ("a", DataType.string()),
        (1.5, DataType.float64()),
        (np.int32(4), DataType.from_numpy("int32")),
        (np.zeros(3, "f4"), DataType.from_numpy("float32")),
        ([1], DataType.list(DataType.int64())),
        ({1}, DataType(set)),
    ],
    ids=str,
)
def test_types_of_values(value: Any, expected: DataType) -> None:
    assert DataType.infer_dtype(value) == expected


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (None, None),
        (DataType.int8(), DataType.int8()),
        (pa.int8(), DataType.int8()),
        (np.dtype("i1"), DataType.from_numpy("int8")),
        ("int8", DataType.from_numpy("int8")),
        (np.int8, DataType.from_numpy("int8")),
        (str, DataType(str)),
        (pd.Int8Dtype(), DataType.from_numpy("int8")),
        (pd.ArrowDtype(pa.string()), DataType.string()),
        (pd.StringDtype(), DataType.string()),
        ("no type", None),
        (pd.CategoricalDtype(), None),
    ],
    ids=str,
)
def test_descriptions_of_types(described: Any, expected: DataType | None) -> None:
    assert DataType.from_dtype(described) == expected


def test_types_for_others() -> None:
    assert DataType.float32().to_numpy_dtype() == np.float32
    assert DataType.from_numpy("i2").to_numpy_dtype() == np.int16
    assert DataType.string().to_numpy_dtype() == object
    assert DataType(int).to_numpy_dtype() == object
    assert DataType.tensor((2,), DataType.int8()).to_numpy_dtype() == object
    assert DataType(int).to_python_type() is int
    assert DataType(list).to_arrow_dtype([[1]]) == pa.list_(pa.int64())


def test_errors() -> None:
    with pytest.raises(TypeError, match="DataType\\('int'\\)"):
        DataType("int")
    with pytest.raises(InvalidArgumentError, match="python:list"):
        DataType(list).to_arrow_dtype()
    with pytest.raises(ValueError, match="no Python class"):
        DataType.int8().to_python_type()
    with pytest.raises(InvalidArgumentError, match="temporal_type='century'"):
        DataType.temporal("century")
    with pytest.raises(InvalidArgumentError, match=r"unit='ns'.*time32"):
        DataType.temporal("time32", "ns")
