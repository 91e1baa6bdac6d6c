"""A dataset in the hands of another library."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pyarrow as pa

from shoal.data._internal.api.consuming import Consuming
from shoal.data._internal.blocks.convert import to_batch
from shoal.data.exceptions import InvalidArgumentError


class HandingOver(Consuming):
    """Part of `Dataset`. All rows are handed over in the memory of this process."""

    def to_dask(self, meta: Any = None, verify_meta: bool = True) -> Any:
        """Returns a Dask DataFrame with a partition for each block.

        Args:
            meta: an empty DataFrame with the columns and types; None for those of the first block.
            verify_meta: whether Dask compares the partitions with it.

        Raises:
            ImportError: dask is not installed.
        """
        try:
            dask: Any = import_module("dask")
            dd: Any = import_module("dask.dataframe")
        except ImportError as error:
            raise ImportError('to_dask needs dask: pip install "shoal-data[dask]"') from error
        tables = list(self._tables()) or [self._whole()]
        frames = [to_batch(table, "pandas") for table in tables]
        parts = [dask.delayed(frame) for frame in frames]
        return dd.from_delayed(parts, meta=frames[0].iloc[:0] if meta is None else meta, verify_meta=verify_meta)

    def to_modin(self) -> Any:
        """Returns a Modin DataFrame.

        Raises:
            ImportError: modin is not installed.
        """
        try:
            import modin.pandas
        except ImportError as error:
            raise ImportError('to_modin needs modin: pip install "shoal-data[modin]"') from error
        return modin.pandas.DataFrame(to_batch(self._whole(), "pandas"))

    def to_spark(self, spark: Any) -> Any:
        """Returns a Spark DataFrame.

        Args:
            spark: a `pyspark.sql.SparkSession`, of Spark 4 or later.

        Raises:
            InvalidArgumentError: (a ValueError) it is no such session, or the dataset has no columns.
        """
        if not hasattr(spark, "createDataFrame"):
            raise InvalidArgumentError(f"to_spark: spark is {type(spark).__name__}; give a pyspark.sql.SparkSession")
        table = self._whole()
        if not table.num_columns:
            raise InvalidArgumentError("to_spark: the dataset has no columns, and Spark makes no DataFrame of that")
        return spark.createDataFrame(table)

    def to_daft(self) -> Any:
        """Returns a Daft DataFrame.

        Raises:
            ImportError: daft is not installed.
        """
        try:
            import daft
        except ImportError as error:
            raise ImportError('to_daft needs daft: pip install "shoal-data[daft]"') from error
        return daft.from_arrow(self._whole())

    def _whole(self) -> pa.Table:
        """All rows; a table without columns where none are known."""
        table = self._as_table()
        return table if table is not None else pa.table({})
