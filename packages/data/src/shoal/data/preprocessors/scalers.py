"""Scaling of columns of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal.data.aggregate import AbsMax, Max, Mean, Min, Quantile, Std
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs, learned

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset


class _Scaler(Preprocessor):
    """Columns less an offset, divided by a scale."""

    def __init__(self, columns: Sequence[str], output_columns: Sequence[str] | None = None) -> None:
        self.columns = checked_columns(columns)
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _offset_and_scale(self, column: str) -> tuple[float | None, float | None]:
        raise NotImplementedError

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            offset, scale = self._offset_and_scale(column)
            if offset is None or scale is None:  # nothing but nulls was seen
                df[output] = float("nan")
            else:
                # A constant column has nothing to scale.
                df[output] = (df[column].astype("float64") - offset) / (scale or 1.0)
        return df


class StandardScaler(_Scaler):
    """Mean 0 and standard deviation 1 (of the whole: ddof=0). Nulls are left out of both, and stay.

    Args:
        columns: of numbers.
        output_columns: names of the results, one a column; None to replace the columns.

    Example:
        >>> import shoal
        >>> from shoal.data.preprocessors import StandardScaler
        >>> StandardScaler(["id"]).fit_transform(shoal.data.range(3)).take(1)
        [{'id': -1.224744871391589}]
    """

    def _fit(self, ds: Dataset) -> None:
        self.stats_ = learned(ds, [item for c in self.columns for item in (Mean(c), Std(c, ddof=0))])

    def _offset_and_scale(self, column: str) -> tuple[float | None, float | None]:
        return self.stats_[f"mean({column})"], self.stats_[f"std({column})"]


class MinMaxScaler(_Scaler):
    """From 0, the least value, to 1, the greatest. Arguments as for `StandardScaler`.

    Example:
        >>> import shoal
        >>> from shoal.data.preprocessors import MinMaxScaler
        >>> MinMaxScaler(["id"]).fit_transform(shoal.data.range(3)).take_all()
        [{'id': 0.0}, {'id': 0.5}, {'id': 1.0}]
    """

    def _fit(self, ds: Dataset) -> None:
        self.stats_ = learned(ds, [item for c in self.columns for item in (Min(c), Max(c))])

    def _offset_and_scale(self, column: str) -> tuple[float | None, float | None]:
        low, high = self.stats_[f"min({column})"], self.stats_[f"max({column})"]
        return low, None if low is None else high - low


class MaxAbsScaler(_Scaler):
    """Divided by the greatest absolute value. Arguments as for `StandardScaler`.

    Example:
        >>> import shoal
        >>> from shoal.data.preprocessors import MaxAbsScaler
        >>> MaxAbsScaler(["id"]).fit_transform(shoal.data.range(3)).take_all()
        [{'id': 0.0}, {'id': 0.5}, {'id': 1.0}]
    """

    def _fit(self, ds: Dataset) -> None:
        self.stats_ = learned(ds, [AbsMax(c) for c in self.columns])

    def _offset_and_scale(self, column: str) -> tuple[float | None, float | None]:
        return 0.0, self.stats_[f"abs_max({column})"]


class RobustScaler(_Scaler):
    """Less the median, divided by the distance of two quantiles: outliers do not matter.

    Args:
        columns: of numbers.
        quantile_range: the two quantiles, from 0 to 1.
        output_columns: names of the results, one a column; None to replace the columns.
        quantile_precision: accepted for Ray's sake; quantiles are exact.
    """

    def __init__(
        self,
        columns: Sequence[str],
        quantile_range: tuple[float, float] = (0.25, 0.75),
        output_columns: Sequence[str] | None = None,
        quantile_precision: int = 800,
    ) -> None:
        super().__init__(columns, output_columns)
        low, high = quantile_range
        if not 0 <= low < high <= 1:
            raise InvalidArgumentError(f"quantile_range={quantile_range!r}: give two growing numbers from 0 to 1")
        self.quantile_range = (low, high)
        self.quantile_precision = quantile_precision

    def _fit(self, ds: Dataset) -> None:
        low, high = self.quantile_range
        self.stats_ = learned(
            ds,
            [
                Quantile(column, q, alias_name=f"{name}_quantile({column})")
                for column in self.columns
                for name, q in (("low", low), ("median", 0.5), ("high", high))
            ],
        )

    def _offset_and_scale(self, column: str) -> tuple[float | None, float | None]:
        low, median, high = (self.stats_[f"{name}_quantile({column})"] for name in ("low", "median", "high"))
        return median, None if median is None else high - low
