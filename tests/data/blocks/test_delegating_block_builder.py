"""The builder that Ray's guide to datasources uses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shoal.data._internal.delegating_block_builder import DelegatingBlockBuilder
from shoal.data.exceptions import BatchTypeError


def test_rows_batches_and_blocks_keep_their_order() -> None:
    builder = DelegatingBlockBuilder()
    assert builder.build().num_rows == 0
    builder.add({"x": 1})
    builder.add({"x": 2})
    builder.add_batch(pd.DataFrame({"x": [3]}))
    builder.add({"x": 4})
    builder.add_block(pa.table({"x": [5, 6]}))
    assert builder.num_rows() == 6
    assert builder.build().to_pydict() == {"x": [1, 2, 3, 4, 5, 6]}
    assert builder.build().num_rows == 6


def test_arrays_in_rows() -> None:
    builder = DelegatingBlockBuilder()
    builder.add({"image": np.zeros((2, 2, 3), np.uint8)})
    assert builder.build().num_rows == 1
    with pytest.raises(BatchTypeError):
        builder.add_batch(3)
