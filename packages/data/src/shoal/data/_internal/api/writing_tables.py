"""Writing datasets to databases and to tables that keep versions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from shoal.data._internal.api.writing import Writing
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data.exceptions import InvalidArgumentError

Path = str | os.PathLike[str]


class WritingTables(Writing):
    """Part of `Dataset`."""

    def write_sql(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Runs a SQL statement for each row, over any driver of Python's DB-API 2.0.

        Each task has a connection and a transaction of its own, which it commits at its end: when the write fails, the rows of tasks that
        had ended are there, and no others. A task whose worker dies after the commit, and before it could tell, is run again: where that
        matters, let a key of the table, or the statement, keep rows from being there twice.

        Args:
            sql: the statement, with a placeholder for each column, in their order.
            connection_factory: returns a new connection; called in the tasks, and once before.
            ray_remote_args: options of the tasks that write.
            concurrency: most such tasks at a time; databases in a file, such as SQLite's, take one at a time.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be.
            Exception: errors of the driver are raised as they are, with a note that has the statement and the row.

        Example:
            >>> import shoal, sqlite3, tempfile
            >>> file = tempfile.mkdtemp() + "/numbers.db"
            >>> with sqlite3.connect(file) as connection:
            ...     _ = connection.execute("CREATE TABLE number (id INTEGER)")
            >>> shoal.data.range(3).write_sql("INSERT INTO number VALUES (?)", lambda: sqlite3.connect(file))
            >>> shoal.data.read_sql("SELECT * FROM number", lambda: sqlite3.connect(file)).count()
            3
        """
        from shoal.data._internal.sinks.sql_sink import SqlSink

        sink = SqlSink(sql, connection_factory)
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_delta(
        self,
        path: Path,
        *,
        catalog: Any = None,
        mode: SaveMode | str = SaveMode.APPEND,
        partition_by: Sequence[str] | str | None = None,
        storage_options: Mapping[str, str] | None = None,
        schema_mode: str = "merge",
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes into a Delta Lake table, which is made where there is none; all rows become visible at once. Needs `shoal-data[delta]`.

        Args:
            path: of the table, local or as a URI.
            catalog: is not supported: name the table by its path.
            mode: APPEND, OVERWRITE (earlier versions stay), IGNORE, CREATE or ERROR.
            partition_by: columns whose values become directories; None for those of the table.
            storage_options: for the object store.
            schema_mode: 'merge' adds columns that the table does not have; 'error' makes them an error.
            ray_remote_args: options of the tasks that write.
            concurrency: most such tasks at a time.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be, or there is a table already, and `mode` does not allow that.
            ColumnNotFoundError: a partition column is not there.
            SchemaMismatchError: a column does not fit the table, or Delta Lake has no such type.
            ImportError: deltalake is not installed.
        """
        from shoal.data._internal.sinks.delta_sink import DeltaSink

        _no_catalog("write_delta", catalog, "path")
        sink = DeltaSink(
            path, mode=mode, partition_by=partition_by, storage_options=storage_options, schema_mode=schema_mode
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_iceberg(
        self,
        table_identifier: str,
        catalog_kwargs: Mapping[str, Any] | None = None,
        catalog: Any = None,
        snapshot_properties: Mapping[str, str] | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
        overwrite_filter: Any = None,
        upsert_kwargs: Mapping[str, Any] | None = None,
        overwrite_kwargs: Mapping[str, Any] | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes into an Apache Iceberg table that there is; all rows become visible at once. Needs `shoal-data[iceberg]`.

        Args:
            table_identifier: namespace and name, with a dot between.
            catalog_kwargs: arguments of `pyiceberg.catalog.load_catalog`.
            catalog: is not supported: give `catalog_kwargs`.
            snapshot_properties: kept with the snapshot.
            mode: APPEND, OVERWRITE, or UPSERT (replaces rows with the same keys, and adds the others).
            overwrite_filter: which rows OVERWRITE replaces, of pyiceberg or in its SQL; None for all.
            upsert_kwargs: `join_cols`, the keys of UPSERT; where they are not given, the table's identifier fields.
            overwrite_kwargs: other arguments of `pyiceberg.table.Transaction.delete`.
            ray_remote_args: options of the tasks that write.
            concurrency: most such tasks at a time.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be, there is no such table, or keys of UPSERT come twice.
            SchemaMismatchError: a column does not fit the table.
            ImportError: pyiceberg is not installed.
        """
        from shoal.data._internal.sinks.iceberg_sink import IcebergSink

        _no_catalog("write_iceberg", catalog, "catalog_kwargs")
        sink = IcebergSink(
            table_identifier,
            catalog_kwargs=catalog_kwargs,
            snapshot_properties=snapshot_properties,
            mode=mode,
            overwrite_filter=overwrite_filter,
            upsert_kwargs=upsert_kwargs,
            overwrite_kwargs=overwrite_kwargs,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)

    def write_lance(
        self,
        path: Path,
        *,
        schema: pa.Schema | None = None,
        mode: SaveMode | str = SaveMode.CREATE,
        min_rows_per_file: int = 1024 * 1024,
        max_rows_per_file: int = 64 * 1024 * 1024,
        data_storage_version: str | None = None,
        storage_options: Mapping[str, str] | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes a Lance dataset; all rows become visible at once. Needs `shoal-data[lance]`.

        Args:
            path: of the dataset, local or as a URI.
            schema: of what is written; None for that of this dataset.
            mode: CREATE (there may be none yet), APPEND, OVERWRITE (earlier versions stay), IGNORE or ERROR.
            min_rows_per_file: rows that are gathered for a task.
            max_rows_per_file: rows after which another file begins.
            data_storage_version: of the files; None for Lance's default.
            storage_options: for the object store.
            ray_remote_args: options of the tasks that write.
            concurrency: most such tasks at a time.

        Raises:
            InvalidArgumentError: (a ValueError) an argument cannot be, or there is a dataset already, and `mode` does not allow that.
            SchemaMismatchError: blocks do not fit the schema, or one another.
            ImportError: pylance is not installed.
        """
        from shoal.data._internal.sinks.lance_sink import LanceSink

        sink = LanceSink(
            path,
            schema=schema,
            mode=mode,
            min_rows_per_file=min_rows_per_file,
            max_rows_per_file=max_rows_per_file,
            data_storage_version=data_storage_version,
            storage_options=storage_options,
        )
        self.write_datasink(sink, ray_remote_args=ray_remote_args, concurrency=concurrency)


def _no_catalog(where: str, catalog: Any, instead: str) -> None:
    if catalog is not None:
        raise InvalidArgumentError(
            f"{where}: catalog is {catalog!r}, and such catalogs are not supported; give {instead}"
        )
