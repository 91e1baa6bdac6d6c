"""A dataset as something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import shoal
from shoal.data._internal.api.arguments import not_negative
from shoal.data._internal.api.consuming import Consuming
from shoal.data._internal.blocks.convert import to_batch, to_numpy

if TYPE_CHECKING:
    from shoal.data.block import RefBundle


class Converting(Consuming):
    """Part of `Dataset`."""

    def to_pandas(self, limit: int | None = None) -> Any:
        """Returns all rows as one DataFrame.

        Args:
            limit: most rows that there may be; None for any number.

        Raises:
            ValueError: there are more than `limit`.
        """
        if limit is not None:
            count: int = self.count()
            if count > not_negative("limit", limit):
                raise ValueError(
                    f"to_pandas: the dataset has {count} rows, more than limit={limit}; use limit(), or a larger limit"
                )
        table = self._as_table()
        if table is None:
            import pandas as pd

            return pd.DataFrame()
        return to_batch(table, "pandas")

    def to_pandas_refs(self) -> list[Any]:
        """Returns references to DataFrames, one a block."""
        return [shoal.put(to_batch(table, "pandas")) for table in self._tables()]

    def to_numpy_refs(self, *, column: str | None = None) -> list[Any]:
        """Returns references, one a block: to dicts of arrays, or to the array of one column."""
        if column is not None:
            dataset: Any = self
            return [shoal.put(to_numpy(table.column(0))) for table in dataset.select_columns([column])._tables()]
        return [shoal.put(to_batch(table, "numpy")) for table in self._tables()]

    def to_arrow_refs(self) -> list[Any]:
        """Returns references to Arrow tables, one a block."""
        blocks = [bundle.block for bundle in self._bundles()]
        return [block if isinstance(block, shoal.ObjectRef) else shoal.put(block) for block in blocks]

    def iter_internal_ref_bundles(self) -> Iterator[RefBundle]:
        """Runs the dataset, and yields its blocks as they come, in order: references, without the data."""
        from shoal.data.block import BlockMetadata, RefBundle

        for bundle in self._bundles():
            ref = bundle.block if isinstance(bundle.block, shoal.ObjectRef) else shoal.put(bundle.block)
            yield RefBundle(((ref, BlockMetadata(bundle.rows, bundle.size)),))

    def get_internal_block_refs(self) -> list[Any]:
        """Returns references to the blocks."""
        return self.to_arrow_refs()

    def to_tf(
        self,
        feature_columns: Any,
        label_columns: Any,
        *,
        additional_columns: Any = None,
        prefetch_batches: int = 1,
        batch_size: int = 1,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        feature_type_spec: Any = None,
        label_type_spec: Any = None,
        additional_type_spec: Any = None,
    ) -> Any:
        """Returns a tf.data.Dataset of (features, labels), or with `additional_columns` of three; see `DataIterator.to_tf`."""
        return self.iterator().to_tf(
            feature_columns,
            label_columns,
            additional_columns=additional_columns,
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
            feature_type_spec=feature_type_spec,
            label_type_spec=label_type_spec,
            additional_type_spec=additional_type_spec,
        )
