"""Datasets of numbers and of sources of the program's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.data._internal.api.arguments import compute_of, not_negative, positive
from shoal.data._internal.api.old_parallelism import takes_parallelism
from shoal.data._internal.plan.operators import Read
from shoal.data._internal.sources.datasource import Datasource, DatasourceSource
from shoal.data._internal.sources.ranges import RangeSource
from shoal.data._internal.sources.source import Source
from shoal.data.context import DataContext
from shoal.data.dataset import Dataset
from shoal.data.exceptions import InvalidArgumentError


@takes_parallelism
def range(n: int, *, concurrency: int | None = None, override_num_blocks: int | None = None) -> Dataset:  # noqa: A001  Ray's name
    """Makes a dataset of the numbers 0 to n - 1, in the column `id`.

    Args:
        n: how many rows.
        concurrency: most tasks that make them at a time.
        override_num_blocks: in how many blocks; None to choose.

    Raises:
        InvalidArgumentError: (a ValueError) a number that cannot be.

    Example:
        >>> import shoal
        >>> shoal.data.range(3).take_all()
        [{'id': 0}, {'id': 1}, {'id': 2}]
    """
    return reading(RangeSource(not_negative("n", n)), override_num_blocks, concurrency)


@takes_parallelism
def range_tensor(
    n: int, *, shape: Sequence[int] = (1,), concurrency: int | None = None, override_num_blocks: int | None = None
) -> Dataset:
    """Makes a dataset of tensors, each filled with its row's number, in the column `data`.

    Args:
        n: how many rows.
        shape: of each tensor.
        concurrency: most tasks that make them at a time.
        override_num_blocks: in how many blocks; None to choose.
    """
    sizes = tuple(positive("shape", size) for size in shape)
    return reading(RangeSource(not_negative("n", n), sizes), override_num_blocks, concurrency)


def reading(
    source: Source,
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Makes a dataset of a source; checks what all readers take.

    Args:
        source: where the rows come from.
        override_num_blocks: read tasks; None to choose.
        concurrency: most such tasks at a time.
        ray_remote_args: options of the tasks, and so are `options`.
    """
    if not isinstance(source, Source):
        raise InvalidArgumentError(f"{source!r} is no source")
    blocks = positive("override_num_blocks", override_num_blocks) if override_num_blocks is not None else None
    compute = compute_of(False, None, concurrency, {**(ray_remote_args or {}), **options})
    return Dataset(Read(source, blocks, compute))


@takes_parallelism
def read_datasource(
    datasource: Datasource,
    *,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **read_args: Any,
) -> Dataset:
    """Reads from a source of the program's own.

    Args:
        datasource: extends `shoal.data.Datasource`.
        concurrency: most tasks that read at a time.
        override_num_blocks: read tasks that are asked of it; None to choose.
        ray_remote_args: options of those tasks, and so are `num_cpus`, `num_gpus`, `memory` (bytes) and `resources` in `read_args`.

    Raises:
        InvalidArgumentError: (a ValueError) it is no datasource.
    """
    source = DatasourceSource(datasource, DataContext.get_current())
    return reading(source, override_num_blocks, concurrency, ray_remote_args, **read_args)
