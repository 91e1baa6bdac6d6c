"""A worker's part of a dataset as a table, for libraries that want all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.train.context import get_dataset_shard
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import pandas as pd


def features_and_labels(name: str, label_column: str) -> tuple[pd.DataFrame, pd.Series]:
    """Returns the columns of this worker's rows without the label, and the label.

    Args:
        name: of the dataset.
        label_column: by its name.

    Raises:
        InvalidArgumentError: (a ValueError) the dataset has no such column.
        KeyError: the trainer has no such dataset.
    """
    table = get_dataset_shard(name).materialize().to_pandas()
    if label_column not in table.columns:
        columns = ", ".join(map(repr, table.columns))
        raise InvalidArgumentError(
            f"label_column is {label_column!r}; the dataset {name!r} has {columns}: give one of these"
        )
    return table.drop(columns=[label_column]), table[label_column]
