"""Columns put together into one of vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.data.exceptions import BatchTypeError, ColumnNotFoundError
from shoal.data.preprocessors.preprocessor import Preprocessor, checked_columns

_logger = logging.getLogger("shoal.data")


class Concatenator(Preprocessor):
    """One column of vectors in the place of columns of numbers, and of vectors with `flatten`.

    Args:
        columns: which, in the order of the vector.
        output_column_name: of the result.
        dtype: of numpy, of the result; None for one that holds all.
        raise_if_missing: True: a column that is not there is an error; False: it is left out, with a warning in the log.
        flatten: True to take columns of vectors as so many numbers.
    """

    _is_fittable = False

    def __init__(
        self,
        columns: Sequence[str],
        output_column_name: str = "concat_out",
        dtype: Any = None,
        raise_if_missing: bool = False,
        flatten: bool = False,
    ) -> None:
        self.columns = checked_columns(columns)
        self.output_column_name = output_column_name
        self.dtype = dtype
        self.raise_if_missing = raise_if_missing
        self.flatten = flatten

    def _transformed(self, batch: Any) -> Any:
        missing = [column for column in self.columns if column not in batch]
        if missing and self.raise_if_missing:
            raise ColumnNotFoundError(missing[0], list(batch), "Concatenator")
        if missing:
            _logger.warning("Concatenator: there is no column %s; it is left out", ", ".join(map(repr, missing)))
        return self._transform_numpy(batch)

    def _transform_numpy(self, np_data: dict[str, Any]) -> dict[str, Any]:
        there = [column for column in self.columns if column in np_data]
        parts = []
        for column in there:
            values = np.asarray(np_data[column])
            if values.dtype == object and self.flatten:
                values = np.stack([np.ravel(value) for value in values]) if len(values) else values.reshape(0, 0)
            if values.dtype.kind not in "biufc":
                raise BatchTypeError(f"Concatenator: the column {column!r} has the type {values.dtype}, and no numbers")
            if values.ndim > 1 and not self.flatten:
                raise BatchTypeError(
                    f"Concatenator: the column {column!r} has vectors; pass flatten=True to take their numbers"
                )
            parts.append(values.reshape(len(values), -1))
        made = {name: values for name, values in np_data.items() if name not in there}
        vectors = np.concatenate(parts, axis=1) if parts else np.zeros((0, 0))
        made[self.output_column_name] = vectors.astype(self.dtype) if self.dtype is not None else vectors
        return made

    def get_output_columns(self) -> list[str]:
        return [self.output_column_name]

    def _batch_format(self) -> Any:
        return "numpy"
