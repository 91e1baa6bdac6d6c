"""Datasets of what is in memory already."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import shoal
from shoal.data._internal.api.arguments import positive
from shoal.data._internal.api.old_parallelism import takes_parallelism
from shoal.data._internal.blocks.build import array_of, table_of_batch, table_of_rows
from shoal.data._internal.blocks.combine import size_bytes, slice_rows
from shoal.data._internal.execution.physical import blocks_of
from shoal.data._internal.plan.operators import Blocks
from shoal.data.dataset import MaterializedDataset
from shoal.data.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_BLOCK_BYTES = 64 * 1024 * 1024


@takes_parallelism
def from_items(items: Sequence[Any], *, override_num_blocks: int | None = None) -> MaterializedDataset:
    """Makes a dataset of a list.

    Args:
        items: dicts become rows; other values the column `item`.
        override_num_blocks: into how many blocks; None to choose.

    Raises:
        InvalidArgumentError: (a ValueError) `items` is no list.

    Example:
        >>> import shoal
        >>> shoal.data.from_items([1, 2]).take_all()
        [{'item': 1}, {'item': 2}]
    """
    if isinstance(items, (str, bytes, dict)) or not hasattr(items, "__iter__"):
        raise InvalidArgumentError(f"items is {type(items).__name__}; give a list of rows or values")
    values = list(items)
    if values and all(isinstance(value, dict) for value in values):
        table = table_of_rows(values)
    elif values:
        table = pa.table({"item": array_of(values)})
    else:
        table = pa.table({})
    return _dataset(_divided([table], override_num_blocks))


def from_pandas(
    dfs: pd.DataFrame | Sequence[pd.DataFrame], override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Makes a dataset of one or several DataFrames; each is a block.

    Example:
        >>> import pandas, shoal
        >>> shoal.data.from_pandas(pandas.DataFrame({"a": [1, 2]})).count()
        2
    """
    frames = list(dfs) if isinstance(dfs, (list, tuple)) else [dfs]
    for frame in frames:
        if not hasattr(frame, "columns") or not hasattr(frame, "iloc"):
            raise InvalidArgumentError(f"from_pandas: {type(frame).__name__} is no DataFrame")
    return _dataset(_divided([table_of_batch(frame, "from_pandas") for frame in frames], override_num_blocks))


def from_numpy(ndarrays: np.ndarray[Any, Any] | Sequence[np.ndarray[Any, Any]]) -> MaterializedDataset:
    """Makes a dataset of one or several arrays, with the column `data`; each is a block, its first axis the rows.

    Example:
        >>> import numpy, shoal
        >>> shoal.data.from_numpy(numpy.ones((2, 3))).count()
        2
    """
    arrays = list(ndarrays) if isinstance(ndarrays, (list, tuple)) else [ndarrays]
    for array in arrays:
        if not hasattr(array, "shape") or array.ndim == 0:  # type: ignore[union-attr]
            raise InvalidArgumentError(f"from_numpy: {array!r} is no array with rows")
    return _dataset([pa.table({"data": array_of(array)}) for array in arrays])


def from_arrow(tables: Any, *, override_num_blocks: int | None = None) -> MaterializedDataset:
    """Makes a dataset of one or several Arrow tables (or what tables can be made of: record batches, serialized tables).

    Example:
        >>> import pyarrow, shoal
        >>> shoal.data.from_arrow(pyarrow.table({"a": [1, 2]})).count()
        2
    """
    given = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    blocks = []
    for table in given:
        if isinstance(table, (bytes, bytearray, memoryview, pa.Buffer)):
            with pa.ipc.open_stream(table) as reader:
                table = reader.read_all()
        blocks.append(table_of_batch(table, "from_arrow"))
    return _dataset(_divided(blocks, override_num_blocks))


def from_blocks(blocks: Sequence[Any]) -> MaterializedDataset:
    """Makes a dataset of blocks: Arrow tables or DataFrames."""
    return _dataset([table_of_batch(block, "from_blocks") for block in blocks])


def from_arrow_refs(tables: Any) -> MaterializedDataset:
    """Makes a dataset of references to Arrow tables. What is known of them is asked of tasks: they stay where they are."""
    refs = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    return _of_refs(refs)


def from_pandas_refs(dfs: Any) -> MaterializedDataset:
    """Makes a dataset of references to DataFrames."""
    refs = list(dfs) if isinstance(dfs, (list, tuple)) else [dfs]
    return _of_refs(refs)


def from_numpy_refs(ndarrays: Any) -> MaterializedDataset:
    """Makes a dataset of references to arrays, with the column `data`."""
    refs = list(ndarrays) if isinstance(ndarrays, (list, tuple)) else [ndarrays]
    return _of_refs(refs)


def _of_refs(refs: list[Any]) -> MaterializedDataset:
    for ref in refs:
        if not isinstance(ref, shoal.ObjectRef):
            raise InvalidArgumentError(f"{ref!r} is no reference; give what shoal.put or a task returned")
    convert = shoal.remote(num_returns=2)(_converted)
    pairs = [convert.remote(ref) for ref in refs]
    known = shoal.get([info for _, info in pairs])
    return MaterializedDataset(
        Blocks(
            tuple(block for block, _ in pairs),
            tuple(rows for rows, _, _ in known),
            tuple(size for _, size, _ in known),
            known[0][2] if known else None,
        )
    )


def _converted(value: Any) -> tuple[pa.Table, tuple[int, int, pa.Schema]]:
    """Runs in a task: the value as a block, and what is known of it."""
    import numpy as np

    table = pa.table({"data": array_of(value)}) if isinstance(value, np.ndarray) else table_of_batch(value, "from_refs")
    return table, (table.num_rows, size_bytes(table), table.schema)


def _dataset(tables: list[pa.Table]) -> MaterializedDataset:
    return MaterializedDataset(blocks_of(tables))


def _divided(tables: list[pa.Table], blocks: int | None) -> list[pa.Table]:
    """The same rows in so many tables, or in tables of moderate size."""
    from shoal.data._internal.blocks.combine import concat, split_bytes

    if blocks is None:
        return [
            piece for table in tables for piece in (split_bytes(table, _BLOCK_BYTES) if table.num_rows else [table])
        ]
    positive("override_num_blocks", blocks)
    whole = concat(tables) if len(tables) > 1 else tables[0]
    cuts = [whole.num_rows * part // blocks for part in range(blocks + 1)]
    return [slice_rows(whole, start, end - start) for start, end in itertools.pairwise(cuts)]
