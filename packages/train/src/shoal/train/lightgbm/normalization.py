"""Columns as LightGBM takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def normalize_pandas_for_lightgbm(df: pd.DataFrame) -> pd.DataFrame:
    """Returns a table whose columns of Arrow's or nullable numbers and truth values are numpy's; missing values are NaN.

    LightGBM takes numpy's only. Other columns stay as they are, categories too: give all ranks the same ones.

    Args:
        df: a table, as of `Dataset.to_pandas()`. It is not changed.

    Example:
        >>> import pandas as pd
        >>> from shoal.train.lightgbm import normalize_pandas_for_lightgbm
        >>> table = pd.DataFrame({"x": pd.array([1, None], dtype="int64[pyarrow]")})
        >>> normalize_pandas_for_lightgbm(table)["x"].tolist()
        [1.0, nan]
    """
    normal = df.copy(deep=False)
    for name, column in df.items():
        if _is_number_of_pandas(column):
            normal[name] = _as_numpy(column)
    return normal


def _is_number_of_pandas(column: pd.Series) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    # Arrow's and nullable types name the type of numpy that they stand for; categories, of numbers too, do not.
    return hasattr(column.dtype, "numpy_dtype") and (is_numeric_dtype(column.dtype) or is_bool_dtype(column.dtype))


def _as_numpy(column: pd.Series) -> pd.Series:
    import numpy as np
    import pandas as pd

    kind = column.dtype.numpy_dtype
    is_float = kind.kind == "f"
    if column.isna().any():
        values = column.to_numpy(dtype=kind if is_float else np.float64, na_value=np.nan)
    else:
        # Decimals have no type of numpy.
        values = column.to_numpy(dtype=np.float64 if kind.kind == "O" else kind)
    return pd.Series(values, index=column.index, name=column.name)
