"""Columns as LightGBM takes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shoal.train.lightgbm import normalize_pandas_for_lightgbm


def test_numbers_become_numpys() -> None:
    table = pd.DataFrame(
        {
            "whole": pd.array([1, 2], dtype="int64[pyarrow]"),
            "missing": pd.array([1, None], dtype="int32[pyarrow]"),
            "nullable": pd.array([1, None], dtype="Int64"),
            "single": pd.array([1.5, None], dtype="float[pyarrow]"),
            "truth": pd.array([True, False], dtype="bool[pyarrow]"),
            "unknown truth": pd.array([True, None], dtype="boolean"),
            "decimal": pd.array([1, 2], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
            7: [1, 2],
        },
        index=[5, 6],
    )
    before = table.copy()
    normal = normalize_pandas_for_lightgbm(table)
    assert [str(dtype) for dtype in normal.dtypes] == [
        "int64", "float64", "float64", "float32", "bool", "float64", "float64", "int64",
    ]  # fmt: skip
    assert normal["missing"].tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert normal["unknown truth"].tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert normal.index.tolist() == [5, 6]
    pd.testing.assert_frame_equal(table, before)


def test_other_columns_stay() -> None:
    table = pd.DataFrame({"kind": pd.Categorical([True, False]), "text": ["a", "b"], "x": np.array([1, 2], "int8")})
    pd.testing.assert_frame_equal(normalize_pandas_for_lightgbm(table), table)


def test_lightgbm_takes_them() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    table = pd.DataFrame({"x": pd.array([1, None] * 20, dtype="int32[pyarrow]")})
    rows = lightgbm.Dataset(normalize_pandas_for_lightgbm(table), label=np.arange(40.0), params={"verbosity": -1})
    assert rows.construct().num_data() == 40
