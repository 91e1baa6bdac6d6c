"""Columns of tensors that a file keeps as plain bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.blocks.tensors import fixed_shaped
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError


@dataclass(frozen=True)
class ToTensors:
    """Makes tensors of columns of bytes (`array.tobytes()`, in C order). A function of Arrow tables.

    Args:
        columns: to (type of the numbers, shape).
    """

    columns: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]

    @staticmethod
    def checked(columns: Mapping[str, tuple[Any, Sequence[int]]]) -> ToTensors:
        """Returns it. Raises InvalidArgumentError."""
        try:
            return ToTensors(
                {name: (np.dtype(kind), tuple(map(int, shape))) for name, (kind, shape) in columns.items()}
            )
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidArgumentError(
                f"tensor_column_schema is {columns!r}; give a dict of column names to (dtype, shape): {error}"
            ) from error

    def __call__(self, table: pa.Table) -> pa.Table:
        for name, (kind, shape) in self.columns.items():
            if name not in table.column_names:
                raise ColumnNotFoundError(name, table.column_names, "tensor_column_schema")
            column = table.column(name).cast(pa.large_binary())
            rows = np.zeros((len(column), *shape), kind)
            for place, value in enumerate(column):
                if value.is_valid:
                    rows[place] = _tensor(name, value.as_py(), kind, shape)
            gone = np.asarray(column.is_null())
            tensors = fixed_shaped(pa.array(rows.reshape(-1)), shape, len(column), gone)
            table = table.set_column(table.schema.get_field_index(name), name, tensors)
        return table


def _tensor(name: str, data: bytes, kind: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        return np.frombuffer(data, kind).reshape(shape)
    except ValueError as error:
        raise InvalidArgumentError(
            f"tensor_column_schema: {len(data)} bytes of column {name!r} are no tensor of {kind} of the shape {shape}: {error}"
        ) from error
