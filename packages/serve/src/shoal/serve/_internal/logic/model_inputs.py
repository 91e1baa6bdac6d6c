"""Inputs of single requests become a batch, and a batch's predictions those of the requests. Arrays, dicts of arrays, or frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ARRAY = "data"
"""The column that an array without a name becomes."""


def batch_of(inputs: Sequence[Any]) -> Any:
    """Returns a frame, or a dict of arrays. Each array is one row; a frame is as many as it has. Raises ValueError for mixed kinds."""
    import numpy as np
    import pandas as pd

    first = inputs[0]
    if not all(isinstance(one, type(first)) for one in inputs):
        raise ValueError(
            f"requests of a batch are {', '.join(sorted({type(one).__name__ for one in inputs}))}; give one kind"
        )
    if isinstance(first, pd.DataFrame):
        return pd.concat(list(inputs), ignore_index=True)
    if isinstance(first, Mapping):
        return {name: np.stack([np.asarray(one[name]) for one in inputs]) for name in first}
    return {ARRAY: np.stack([np.asarray(one) for one in inputs])}


def parts_of(predictions: Any, inputs: Sequence[Any]) -> list[Any]:
    """Returns the predictions of each input, in its kind. Raises ValueError where they are not one for each row."""
    import pandas as pd

    if isinstance(inputs[0], pd.DataFrame):
        rows = [len(one) for one in inputs]
        if len(predictions) != sum(rows):
            raise ValueError(f"the predictor gave {len(predictions)} predictions for {sum(rows)} rows")
        ends = [sum(rows[: number + 1]) for number in range(len(rows))]
        return [predictions.iloc[end - count : end] for end, count in zip(ends, rows, strict=True)]
    for name, column in predictions.items():
        if len(column) != len(inputs):
            raise ValueError(f"the predictor gave {len(column)} {name} for {len(inputs)} rows")
    parts = [{name: column[row] for name, column in predictions.items()} for row in range(len(inputs))]
    if isinstance(inputs[0], Mapping) or len(predictions) != 1:
        return parts
    return [value for part in parts for value in part.values()]


def jsonable(value: Any) -> Any:
    """Returns predictions as what JSON can hold: frames as a list of rows."""
    import numpy as np
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return jsonable(value.to_dict(orient="records"))
    if isinstance(value, Mapping):
        return {str(name): jsonable(one) for name, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    return value
