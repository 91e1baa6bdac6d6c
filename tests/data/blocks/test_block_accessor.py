"""The public way to look into a block."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shoal.data._internal.blocks.build import table_without_columns
from shoal.data.block import BlockAccessor, BlockExecStats, BlockMetadata
from shoal.data.exceptions import BatchTypeError, ColumnNotFoundError, InvalidArgumentError

TABLE = pa.table({"x": [1, 2, 3], "s": ["a", "b", "c"]})


def test_reading() -> None:
    block = BlockAccessor.for_block(TABLE)
    assert block.num_rows() == 3
    assert block.schema() == TABLE.schema
    assert block.size_bytes() == TABLE.nbytes
    assert block.to_arrow() is block.to_block() is TABLE
    assert block.to_pandas()["x"].tolist() == [1, 2, 3]
    assert next(block.iter_rows()) == {"x": 1, "s": "a"}
    array = block.to_numpy("x")
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [1, 2, 3]
    assert list(block.to_numpy(["s"])) == ["s"]
    assert list(block.to_numpy()) == ["x", "s"]
    assert list(block.to_batch_format("default")) == ["x", "s"]
    assert isinstance(block.to_batch_format("pandas"), pd.DataFrame)
    stats = BlockExecStats(wall_time_s=1.0)
    assert block.get_metadata(["f"], stats) == BlockMetadata(3, TABLE.nbytes, stats, ["f"])


def test_frames_and_dicts_are_blocks_too() -> None:
    assert BlockAccessor.for_block(pd.DataFrame({"x": [1]})).to_arrow().to_pydict() == {"x": [1]}
    assert BlockAccessor.batch_to_block({"x": np.arange(2)}).to_pydict() == {"x": [0, 1]}
    with pytest.raises(BatchTypeError, match=r"BlockAccessor\.for_block"):
        BlockAccessor.for_block(3)


@pytest.mark.parametrize("copy", [False, True])
def test_slices(copy: bool) -> None:
    block = BlockAccessor.for_block(TABLE)
    piece = block.slice(1, 2, copy=copy)
    assert piece.to_pydict() == {"x": [2], "s": ["b"]}
    same_memory = piece["x"].chunk(0).buffers()[1].address == TABLE["x"].chunk(0).buffers()[1].address
    assert same_memory is not copy
    assert block.slice(2, 9, copy=copy).num_rows == 1
    assert block.slice(0, 0, copy=copy).num_rows == 0
    assert BlockAccessor.for_block(table_without_columns(3)).slice(1, 3, copy=copy).num_rows == 2


def test_rows_are_taken() -> None:
    block = BlockAccessor.for_block(TABLE)
    assert block.take([2, 0, 2])["s"].to_pylist() == ["c", "a", "c"]
    assert block.take([]).num_rows == 0
    assert BlockAccessor.for_block(table_without_columns(3)).take([0, 0]).num_rows == 2


def test_what_is_not_there() -> None:
    block = BlockAccessor.for_block(TABLE)
    with pytest.raises(ColumnNotFoundError, match="'y'"):
        block.to_numpy("y")
    for index in (3, -1):
        with pytest.raises(InvalidArgumentError, match=f"no row {index}"):
            block.take([index])
    for start, end in ((-1, 2), (2, 1)):
        with pytest.raises(InvalidArgumentError, match="slice"):
            block.slice(start, end)
    with pytest.raises(InvalidArgumentError, match="batch_format='x'"):
        block.to_batch_format("x")
