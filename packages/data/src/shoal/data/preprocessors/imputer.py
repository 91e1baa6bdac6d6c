"""Values in the place of missing ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.data.aggregate import Mean, ValueCounter
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns, checked_outputs, learned

if TYPE_CHECKING:
    from shoal.data.dataset import Dataset

_STRATEGIES = ("mean", "most_frequent", "constant")


class SimpleImputer(Preprocessor):
    """Fills in what is missing (nulls, and NaN).

    Args:
        columns: which.
        strategy: 'mean', 'most_frequent' (the least of those that are equally frequent) or 'constant'.
        fill_value: for 'constant': a value, or values by column.
        output_columns: names of the results, one a column; None to replace the columns.
    """

    def __init__(
        self,
        columns: Sequence[str],
        strategy: str = "mean",
        fill_value: Any = None,
        *,
        output_columns: Sequence[str] | None = None,
    ) -> None:
        self.columns = checked_columns(columns)
        if strategy not in _STRATEGIES:
            raise InvalidArgumentError(f"strategy={strategy!r}: use one of {', '.join(map(repr, _STRATEGIES))}")
        if (strategy == "constant") != (fill_value is not None):
            raise InvalidArgumentError(
                f"fill_value={fill_value!r}: it is given with strategy='constant', and only then"
            )
        self.strategy = strategy
        self.fill_value = fill_value
        self.output_columns = checked_outputs(self.columns, output_columns)
        if strategy == "constant":
            values = fill_value if isinstance(fill_value, Mapping) else dict.fromkeys(self.columns, fill_value)
            if missing := [column for column in self.columns if column not in values]:
                raise InvalidArgumentError(f"fill_value={fill_value!r} has no value for the column {missing[0]!r}")
            self.stats_ = {column: values[column] for column in self.columns}

    def _fit(self, ds: Dataset) -> None:
        if self.strategy == "mean":
            found = learned(
                ds.map_batches(_nan_is_null, batch_format="pyarrow"), [Mean(column) for column in self.columns]
            )
            self.stats_ = {column: found[f"mean({column})"] for column in self.columns}
        elif self.strategy == "most_frequent":
            found = learned(ds, [ValueCounter(column) for column in self.columns])
            self.stats_ = {column: _most_frequent(found[f"value_counter({column})"]) for column in self.columns}
        empty = next((column for column, value in self.stats_.items() if value is None), None)
        if empty is not None:
            self.stats_ = {}
            raise InvalidArgumentError(
                f"SimpleImputer: the column {empty!r} has no value, so there is nothing to fill in"
            )

    def _transform_pandas(self, df: Any) -> Any:
        for column, output in zip(self.columns, self.output_columns, strict=True):
            value, values = self.stats_[column], df[column]
            if str(values.dtype) == "category" and value not in values.cat.categories:
                values = values.cat.add_categories([value])
            elif values.dtype.kind in "iu" and int(value) != value and values.isna().any():
                values = values.astype("float64")
            df[output] = values.fillna(value) if not values.isna().all() else [value] * len(df)
        return df


def _most_frequent(counter: Any) -> Any:
    if not counter or not counter["values"]:
        return None
    most = max(counter["counts"])
    return min(value for value, count in zip(counter["values"], counter["counts"], strict=True) if count == most)


def _nan_is_null(table: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            column = table.column(place)
            table = table.set_column(place, field, pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column))
    return table
