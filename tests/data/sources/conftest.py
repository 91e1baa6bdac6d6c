"""A driver for sources without a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from shoal import cloudpickle
from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sources.source import Source


def _tables(source: Source, parallelism: int = 2, row_limit: int | None = None) -> list[pa.Table]:
    # Sources and tasks travel, as in a cluster.
    source = pickle.loads(cloudpickle.dumps(source))
    tasks = source.read_tasks(parallelism, row_limit)
    return [table for task in tasks for table in pickle.loads(cloudpickle.dumps(task))()]


def _read(source: Source, parallelism: int = 2, row_limit: int | None = None) -> pa.Table:
    return concat(_tables(source, parallelism, row_limit))


def _rows(source: Source, parallelism: int = 2, row_limit: int | None = None) -> list[dict[str, Any]]:
    return [row for table in _tables(source, parallelism, row_limit) for row in to_rows(table)]


@pytest.fixture(scope="session")
def tables() -> Callable[..., list[pa.Table]]:
    """What the tasks of a source give: `tables(source, parallelism=2, row_limit=None)`."""
    return _tables


@pytest.fixture(scope="session")
def read() -> Callable[..., pa.Table]:
    """As `tables`, in one table."""
    return _read


@pytest.fixture(scope="session")
def rows() -> Callable[..., list[dict[str, Any]]]:
    """As `tables`, as rows."""
    return _rows
