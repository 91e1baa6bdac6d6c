"""Numbers as numbers of bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.data.aggregate import Max, Min
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs, learned

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset


class _KBinsDiscretizer(Preprocessor):
    """Numbers of bins, by edges in `stats_`; null outside of all bins.

    Args:
        columns: of numbers.
        bins: of all columns, or by column.
        right: whether a bin has its right edge, and not its left one.
        include_lowest: whether the first bin has its left edge as well.
        duplicates: 'raise', or 'drop' to merge edges that are equal.
        dtypes: by column, a `pandas.CategoricalDtype` for categories in the place of numbers.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    def __init__(
        self,
        columns: Sequence[str],
        bins: Any,
        *,
        right: bool = True,
        include_lowest: bool = False,
        duplicates: str = "raise",
        dtypes: Mapping[str, Any] | None = None,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        if duplicates not in ("raise", "drop"):
            raise InvalidArgumentError(f"duplicates={duplicates!r}: use 'raise' or 'drop'")
        if isinstance(bins, Mapping) and (missing := [column for column in self.columns if column not in bins]):
            raise InvalidArgumentError(f"bins={bins!r} has nothing for the column {missing[0]!r}")
        self.bins = bins
        self.right = right
        self.include_lowest = include_lowest
        self.duplicates = duplicates
        self.dtypes = dict(dtypes or {})
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _bins_of(self, column: str) -> Any:
        return self.bins[column] if isinstance(self.bins, Mapping) else self.bins

    def _transform_pandas(self, df: Any) -> Any:
        import pandas as pd

        for column, output in zip(self.columns, self.output_columns, strict=True):
            kind = self.dtypes.get(column)
            found = pd.cut(
                df[column].astype("float64"),
                self.stats_[column],
                right=self.right,
                labels=False if kind is None else kind.categories,
                ordered=bool(kind is None or kind.ordered),
                include_lowest=self.include_lowest,
                duplicates=self.duplicates,
            )
            df[output] = found if kind is not None or found.isna().any() else found.astype("int64")
        return df


class CustomKBinsDiscretizer(_KBinsDiscretizer):
    __doc__ = (_KBinsDiscretizer.__doc__ or "").replace("bins: of all columns", "bins: growing edges of all columns")
    _is_fittable = False

    def __init__(self, columns: Sequence[str], bins: Any, **options: Any) -> None:
        super().__init__(columns, bins, **options)
        self.stats_ = {}
        for column in self.columns:
            edges = np.asarray(self._bins_of(column), dtype=np.float64)
            if edges.ndim != 1 or len(edges) < 2 or (np.diff(edges) < 0).any():
                raise InvalidArgumentError(
                    f"bins of {column!r}: give two or more growing edges, not {self._bins_of(column)!r}"
                )
            self.stats_[column] = edges


class UniformKBinsDiscretizer(_KBinsDiscretizer):
    __doc__ = (_KBinsDiscretizer.__doc__ or "").replace("bins: of all columns", "bins: how many, of all columns")

    def __init__(self, columns: Sequence[str], bins: Any, **options: Any) -> None:
        super().__init__(columns, bins, **options)
        for column in self.columns:
            count = self._bins_of(column)
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                raise InvalidArgumentError(f"bins of {column!r}: give how many, 1 or more, not {count!r}")

    def _fit(self, ds: Dataset) -> None:
        found = learned(ds, [item for column in self.columns for item in (Min(column), Max(column))])
        self.stats_ = {
            column: self._edges(column, found[f"min({column})"], found[f"max({column})"]) for column in self.columns
        }

    def _edges(self, column: str, low: Any, high: Any) -> Any:
        """As pandas' `cut` makes them: a little wider than the values, so that the outermost ones are inside."""
        if low is None:
            raise InvalidArgumentError(f"UniformKBinsDiscretizer: the column {column!r} has no value")
        low, high = float(low), float(high)
        if low == high:
            margin = 0.001 * abs(low) if low else 0.001
            return np.linspace(low - margin, high + margin, self._bins_of(column) + 1)
        edges = np.linspace(low, high, self._bins_of(column) + 1)
        if self.right:
            edges[0] -= (high - low) * 0.001
        else:
            edges[-1] += (high - low) * 0.001
        return edges
