"""Scaling of rows and of shapes of distributions: nothing is learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs


class Normalizer(Preprocessor):
    """Each row, taken as a vector of the columns, has length 1; a row of zeros stays.

    Args:
        columns: of numbers.
        norm: 'l1' (sum of absolute values), 'l2' (Euclid's) or 'max'.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    _is_fittable = False

    def __init__(self, columns: Sequence[str], norm: str = "l2", output_columns: Sequence[str] | None = None) -> None:
        self.columns = checked_columns(columns)
        if norm not in ("l1", "l2", "max"):
            raise InvalidArgumentError(f"norm={norm!r}: use 'l1', 'l2' or 'max'")
        self.norm = norm
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _transform_numpy(self, np_data: dict[str, Any]) -> dict[str, Any]:
        rows = np.stack([np.asarray(np_data[column], dtype=np.float64) for column in self.columns])
        if self.norm == "l2":
            lengths = np.sqrt((rows**2).sum(axis=0))
        else:
            lengths = np.abs(rows).sum(axis=0) if self.norm == "l1" else np.abs(rows).max(axis=0)
        lengths[lengths == 0] = 1.0
        return {**np_data, **dict(zip(self.output_columns, rows / lengths, strict=True))}


class PowerTransformer(Preprocessor):
    """Makes skewed columns look more like a normal distribution, with a power that is given.

    Sources: Box and Cox (1964); Yeo and Johnson (2000).

    Args:
        columns: of numbers.
        power: lambda, the same for all columns.
        method: 'yeo-johnson', or 'box-cox' for numbers above 0.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: Sequence[str],
        power: float,
        method: str = "yeo-johnson",
        *,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        if method not in ("yeo-johnson", "box-cox"):
            raise InvalidArgumentError(f"method={method!r}: use 'yeo-johnson' or 'box-cox'")
        self.power = power
        self.method = method
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _transform_numpy(self, np_data: dict[str, Any]) -> dict[str, Any]:
        made = dict(np_data)
        for column, output in zip(self.columns, self.output_columns, strict=True):
            values = np.asarray(np_data[column], dtype=np.float64)
            made[output] = (
                _box_cox(values, self.power) if self.method == "box-cox" else _yeo_johnson(values, self.power)
            )
        return made


def _box_cox(values: np.ndarray[Any, Any], power: float) -> Any:
    return np.log(values) if power == 0 else (values**power - 1) / power


def _yeo_johnson(values: np.ndarray[Any, Any], power: float) -> Any:
    made = np.full_like(values, np.nan)
    positive, negative = values >= 0, values < 0
    made[positive] = np.log1p(values[positive]) if power == 0 else ((values[positive] + 1) ** power - 1) / power
    made[negative] = (
        -np.log1p(-values[negative]) if power == 2 else -((1 - values[negative]) ** (2 - power) - 1) / (2 - power)
    )
    return made
