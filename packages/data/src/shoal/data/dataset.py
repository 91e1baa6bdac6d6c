"""Datasets: what users of shoal.data hold in their hands."""

from __future__ import annotations

from shoal.data._internal.api.aggregating import Aggregating
from shoal.data._internal.api.arranging import Arranging
from shoal.data._internal.api.converting import Converting
from shoal.data._internal.api.describing import Describing
from shoal.data._internal.api.handing_over import HandingOver
from shoal.data._internal.api.splitting import Splitting
from shoal.data._internal.api.transforming import Transforming
from shoal.data._internal.api.writing_tables import WritingTables
from shoal.data.schema import Schema

__all__ = ["Dataset", "MaterializedDataset", "Schema"]


class Dataset(Transforming, Arranging, Splitting, Aggregating, Describing, Converting, HandingOver, WritingTables):
    """A lazy, immutable collection of rows. Made by `shoal.data.range`, `from_…` and `read_…`; runs when it is consumed.

    Example:
        >>> import shoal
        >>> ds = shoal.data.range(1000).filter(expr="id % 2 == 0").map(lambda row: {"x": row["id"] ** 2})
        >>> ds.take(2)
        [{'x': 0}, {'x': 4}]
    """


class MaterializedDataset(Dataset):
    """A dataset whose blocks exist."""
