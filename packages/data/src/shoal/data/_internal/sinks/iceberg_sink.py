"""Rows into a table of Apache Iceberg: tasks write data files, and one transaction, at the end, makes them visible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.sinks.conform import conformed
from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data.block import Block
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError, SchemaMismatchError

_MODES = (SaveMode.APPEND, SaveMode.OVERWRITE, SaveMode.UPSERT)


@dataclass(frozen=True)
class DataFiles:
    """What one task has written.

    Args:
        files: `pyiceberg.manifest.DataFile`s.
        keys: the columns that rows are joined by, where that is asked for.
    """

    files: tuple[Any, ...]
    keys: pa.Table | None


class IcebergSink(Datasink[DataFiles]):
    """Writes into a table that there is. Files of a write that failed stay, unseen, until orphans are removed.

    Args:
        table_identifier: namespace and name, with a dot between.
        catalog_kwargs: arguments of `pyiceberg.catalog.load_catalog`.
        snapshot_properties: kept with the snapshot.
        mode: APPEND, OVERWRITE, or UPSERT (replaces rows with the same keys, and adds the others).
        overwrite_filter: which rows OVERWRITE replaces, of pyiceberg or as a string; None for all.
        upsert_kwargs: `join_cols`, the keys of UPSERT; where they are not given, the table's identifier fields.
        overwrite_kwargs: other arguments of `pyiceberg.table.Transaction.delete`.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: pyiceberg is not installed.
    """

    def __init__(
        self,
        table_identifier: str,
        *,
        catalog_kwargs: Mapping[str, Any] | None = None,
        snapshot_properties: Mapping[str, str] | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
        overwrite_filter: Any = None,
        upsert_kwargs: Mapping[str, Any] | None = None,
        overwrite_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import pyiceberg  # noqa: F401  whether it is there
        except ImportError as error:
            raise ImportError('write_iceberg needs pyiceberg: pip install "shoal-data[iceberg]"') from error
        if not isinstance(table_identifier, str) or not table_identifier:
            raise InvalidArgumentError(
                f"write_iceberg: table_identifier is {table_identifier!r}; give 'namespace.table'"
            )
        names = {known.value for known in _MODES}
        if str(mode) not in names:
            raise InvalidArgumentError(f"write_iceberg: mode is {mode!r}; give one of {', '.join(sorted(names))}")
        self._mode = SaveMode(mode)
        if overwrite_filter is not None and self._mode is not SaveMode.OVERWRITE:
            raise InvalidArgumentError(
                f"write_iceberg: overwrite_filter is for mode='overwrite'; mode is {self._mode.value!r}"
            )
        options = dict(upsert_kwargs or {})
        self._join_columns: tuple[str, ...] = tuple(options.pop("join_cols", None) or ())
        if options:
            raise InvalidArgumentError(f"write_iceberg: upsert_kwargs has {min(options)!r}; it may have 'join_cols'")
        if upsert_kwargs and self._mode is not SaveMode.UPSERT:
            raise InvalidArgumentError(
                f"write_iceberg: upsert_kwargs is for mode='upsert'; mode is {self._mode.value!r}"
            )
        self._identifier = table_identifier
        self._catalog = dict(catalog_kwargs or {})
        self._properties = dict(snapshot_properties or {})
        self._overwrite_filter = overwrite_filter
        self._overwrite = dict(overwrite_kwargs or {})
        self._metadata: Any = None
        self._io: Any = None

    def _table(self) -> Any:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        try:
            return load_catalog(**self._catalog).load_table(self._identifier)
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            raise InvalidArgumentError(
                f"write_iceberg: there is no table {self._identifier!r} in the catalog ({error}). Make it with Catalog.create_table"
            ) from error

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        table = self._table()
        self._metadata = table.metadata
        self._io = table.io
        if self._mode is SaveMode.UPSERT:
            names = [field.name for field in table.schema().fields]
            if not self._join_columns:
                self._join_columns = tuple(sorted(table.schema().identifier_field_names()))
            if not self._join_columns:
                raise InvalidArgumentError(
                    f"write_iceberg: {self._identifier} has no identifier fields; give upsert_kwargs={{'join_cols': [...]}}"
                )
            for name in self._join_columns:
                if name not in names:
                    raise ColumnNotFoundError(name, names, "write_iceberg, join_cols")
        if schema is not None:
            conformed(schema.empty_table(), self._arrow_schema(), "write_iceberg")

    def _arrow_schema(self) -> pa.Schema:
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        return schema_to_pyarrow(self._metadata.schema(), include_field_ids=False)

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> DataFiles:
        # What pyiceberg calls it is not public; its public way to write also commits, which is for the driver alone.
        from pyiceberg.io.pyarrow import _dataframe_to_data_files

        table = concat(list(blocks))
        if not table.num_rows:
            return DataFiles((), None)
        schema = self._arrow_schema()
        table = conformed(table, schema, "write_iceberg").cast(schema)
        keys = table.select(list(self._join_columns)) if self._mode is SaveMode.UPSERT else None
        return DataFiles(tuple(_dataframe_to_data_files(self._metadata, table, self._io)), keys)

    def on_write_complete(self, write_result: WriteResult[DataFiles]) -> None:
        from pyiceberg.expressions import AlwaysTrue

        files = [file for written in write_result.write_returns for file in written.files]
        keys = [written.keys for written in write_result.write_returns if written.keys is not None]
        with self._table().transaction() as transaction:
            if self._mode is SaveMode.OVERWRITE:
                replaced = self._overwrite_filter if self._overwrite_filter is not None else AlwaysTrue()
                transaction.delete(replaced, snapshot_properties=self._properties, **self._overwrite)
            elif keys:
                transaction.delete(self._matching(pa.concat_tables(keys)), snapshot_properties=self._properties)
            if files:
                with transaction.update_snapshot(snapshot_properties=self._properties).fast_append() as append:
                    for file in files:
                        append.append_data_file(file)

    def _matching(self, keys: pa.Table) -> Any:
        """The condition for the rows that are replaced."""
        from pyiceberg.table.upsert_util import create_match_filter

        columns = list(self._join_columns)
        for name in columns:
            if keys.column(name).null_count:
                raise SchemaMismatchError(f"write_iceberg: the key {name!r} has nulls; rows to be upserted have keys")
        if keys.group_by(columns).aggregate([]).num_rows != keys.num_rows:
            raise InvalidArgumentError(
                f"write_iceberg: several rows have the same {columns}; rows to be upserted have keys of their own"
            )
        return create_match_filter(keys, columns)
