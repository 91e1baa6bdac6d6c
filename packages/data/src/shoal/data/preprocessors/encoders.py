"""Categories as numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.data.aggregate import Unique, ValueCounter
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs, learned

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset


def _sorted_values(values: Sequence[Any], column: str) -> list[Any]:
    """Categories in their order. Raises InvalidArgumentError where they have none: numbers among strings, for example."""
    found = [tuple(value) if isinstance(value, list) else value for value in values if value is not None]
    try:
        return sorted(found)
    except TypeError as error:
        raise InvalidArgumentError(f"column {column!r} has values of kinds that have no order: {error}") from error


class OrdinalEncoder(Preprocessor):
    """Categories as numbers from 0 on, in their order; what was not seen in fitting is null.

    Args:
        columns: of categories, or of lists of categories.
        encode_lists: True to encode each item of a list; False to take a whole list as one category.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    def __init__(
        self, columns: Sequence[str], *, encode_lists: bool = True, output_columns: Sequence[str] | None = None
    ) -> None:
        self.columns = checked_columns(columns)
        self.encode_lists = encode_lists
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        found = learned(ds, [Unique(column, encode_lists=self.encode_lists) for column in self.columns])
        self.stats_ = {
            f"unique_values({column})": {
                value: number for number, value in enumerate(_sorted_values(found[f"unique({column})"], column))
            }
            for column in self.columns
        }

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            numbers = self.stats_[f"unique_values({column})"]
            df[output] = df[column].map(lambda value, numbers=numbers: self._encoded(value, numbers))
        return df

    def _encoded(self, value: Any, numbers: Mapping[Any, int]) -> Any:
        if isinstance(value, (list, tuple, np.ndarray)):
            return [numbers.get(item) for item in value] if self.encode_lists else numbers.get(tuple(value))
        return numbers.get(value)


class LabelEncoder(Preprocessor):
    """Labels as numbers from 0 on, in their order; what was not seen in fitting is null.

    Args:
        label_column: of labels.
        output_column: name of the result; None to replace the column.
    """

    def __init__(self, label_column: str, *, output_column: str | None = None) -> None:
        if not isinstance(label_column, str):
            raise InvalidArgumentError(f"label_column={label_column!r}: give the name of one column")
        self.label_column = label_column
        self.output_column = output_column or label_column

    def _fit(self, ds: Dataset) -> None:
        found = learned(ds, [Unique(self.label_column)])
        values = _sorted_values(found[f"unique({self.label_column})"], self.label_column)
        self.stats_ = {f"unique_values({self.label_column})": {value: number for number, value in enumerate(values)}}

    def _transform_pandas(self, df: Any) -> Any:
        df[self.output_column] = df[self.label_column].map(self.stats_[f"unique_values({self.label_column})"])
        return df

    def inverse_transform(self, ds: Dataset) -> Dataset:
        """Returns a dataset with the labels back in the place of their numbers.

        Raises:
            PreprocessorNotFittedException: (a RuntimeError) it has to be fitted first.
        """
        self._check_fitted()
        labels = {number: value for value, number in self.stats_[f"unique_values({self.label_column})"].items()}
        output = self.output_column

        def back(df: Any) -> Any:
            df[output] = df[output].map(labels)
            return df

        return ds.map_batches(back, batch_format="pandas")

    def get_input_columns(self) -> list[str]:
        return [self.label_column]

    def get_output_columns(self) -> list[str]:
        return [self.output_column]


class _Frequent(Preprocessor):
    """Learns the categories of columns, in their order, or the most frequent of them."""

    _lists = False

    def __init__(
        self,
        columns: Sequence[str],
        *,
        max_categories: Mapping[str, int] | None = None,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        self.max_categories = dict(max_categories or {})
        for name, most in self.max_categories.items():
            if name not in self.columns or not isinstance(most, int) or most < 1:
                raise InvalidArgumentError(
                    f"max_categories={self.max_categories!r}: give numbers of 1 or more, by columns of {self.columns!r}"
                )
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        counter = _ItemCounter if self._lists else ValueCounter
        found = learned(ds, [counter(column) for column in self.columns])
        self.stats_ = {f"unique_values({column})": self._chosen(column, found) for column in self.columns}

    def _chosen(self, column: str, found: Mapping[str, Any]) -> dict[Any, int]:
        counter = found[f"value_counter({column})"] or {"values": [], "counts": []}
        values = _sorted_values(counter["values"], column)
        if column in self.max_categories:
            counts = dict(zip(counter["values"], counter["counts"], strict=True))
            values = sorted(values, key=lambda value: -counts[value])[: self.max_categories[column]]
        return {value: number for number, value in enumerate(values)}


class _ItemCounter(ValueCounter):
    """Counts the items of lists."""

    def __init__(self, on: str) -> None:
        super().__init__(on)
        self._column = on

    def aggregate_block(self, block: Any) -> Any:
        lists = block.column(self._column).to_pylist()
        return dict(Counter(item for items in lists if items is not None for item in items if item is not None))


class OneHotEncoder(_Frequent):
    """Each category as a vector with a 1 in its place, and 0 elsewhere; what was not seen in fitting is all 0.

    Args:
        columns: of categories.
        max_categories: by column, how many of the most frequent categories get a place; None for all.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            numbers = self.stats_[f"unique_values({column})"]
            vectors = np.zeros((len(df), len(numbers)), dtype=np.uint8)
            places = np.array([numbers.get(value, -1) for value in df[column]], dtype=np.int64)
            known = np.flatnonzero(places >= 0)
            vectors[known, places[known]] = 1
            df[output] = list(vectors)
        return df


class MultiHotEncoder(_Frequent):
    """Each list of categories as a vector with a 1 in the place of each that it has. Arguments as for `OneHotEncoder`."""

    _lists = True

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            numbers = self.stats_[f"unique_values({column})"]
            vectors = np.zeros((len(df), len(numbers)), dtype=np.uint8)
            for row, items in enumerate(df[column]):
                for item in items if items is not None else ():
                    if item in numbers:
                        vectors[row, numbers[item]] = 1
            df[output] = list(vectors)
        return df


class Categorizer(Preprocessor):
    """Columns of pandas' type `category`: dictionaries of Arrow.

    Args:
        columns: of categories.
        dtypes: by column, `pandas.CategoricalDtype`; of the others the categories are learned.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    def __init__(
        self,
        columns: Sequence[str],
        dtypes: Mapping[str, Any] | None = None,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        self.dtypes = dict(dtypes or {})
        self.output_columns = checked_outputs(self.columns, output_columns)

    def _fit(self, ds: Dataset) -> None:
        import pandas as pd

        unknown = [column for column in self.columns if column not in self.dtypes]
        found = learned(ds, [Unique(column) for column in unknown]) if unknown else {}
        self.stats_ = dict(self.dtypes)
        for column in unknown:
            self.stats_[column] = pd.CategoricalDtype(_sorted_values(found[f"unique({column})"], column))

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            df[output] = df[column].astype(self.stats_[column])
        return df
