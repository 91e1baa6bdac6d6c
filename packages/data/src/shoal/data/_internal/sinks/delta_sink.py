"""Rows into a table of Delta Lake: tasks write Parquet files, and one entry in the log, at the end, makes them visible."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

from shoal.data._internal.blocks.combine import concat, unify_schemas
from shoal.data._internal.sinks.conform import conformed
from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult
from shoal.data._internal.sinks.errors import naming_file
from shoal.data._internal.sinks.save_mode import SaveMode, checked_mode
from shoal.data.block import Block
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError, SchemaMismatchError

_NULL = "__HIVE_DEFAULT_PARTITION__"
_MOST_PARTITIONS = 10_000
_SCHEMA_MODES = ("merge", "error")


@dataclass(frozen=True)
class AddedFile:
    """A Parquet file that a task has written.

    Args:
        path: below the table.
        size_bytes: on the disk.
        rows: in it.
        partition: values of the columns that the table is partitioned by; the file does not have them.
    """

    path: str
    size_bytes: int
    rows: int
    partition: Mapping[str, str | None]


@dataclass(frozen=True)
class Added:
    """What one task has written; the schema is None if there were no rows."""

    files: tuple[AddedFile, ...]
    schema: pa.Schema | None


class DeltaSink(Datasink[Added]):
    """Writes a table, which is made where there is none. Files of a write that failed stay, unseen, until the table is vacuumed.

    Args:
        path: of the table, local or as a URI.
        mode: APPEND, OVERWRITE (the rows that are there are not in the next version), IGNORE, CREATE or ERROR.
        partition_by: columns whose values become directories; None for those of the table.
        storage_options: for the object store.
        schema_mode: 'merge' adds columns that the table does not have; 'error' makes them an error.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: deltalake is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mode: SaveMode | str = SaveMode.APPEND,
        partition_by: Sequence[str] | str | None = None,
        storage_options: Mapping[str, str] | None = None,
        schema_mode: str = "merge",
    ) -> None:
        try:
            import deltalake  # noqa: F401  whether it is there
        except ImportError as error:
            raise ImportError('write_delta needs deltalake: pip install "shoal-data[delta]"') from error
        if schema_mode not in _SCHEMA_MODES:
            raise InvalidArgumentError(f"write_delta: schema_mode is {schema_mode!r}; give 'merge' or 'error'")
        self._path = os.fspath(path)
        self._mode = checked_mode(mode)
        given = [partition_by] if isinstance(partition_by, str) else partition_by
        self._partition_by = tuple(given) if given is not None else None
        self._options = dict(storage_options) if storage_options is not None else None
        self._merges = schema_mode == "merge"
        self._table_schema: pa.Schema | None = None
        self._data_schema: pa.Schema | None = None
        self._skips = False

    @property
    def skips_write(self) -> bool:
        return self._skips

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        from deltalake import DeltaTable

        self._data_schema = schema
        if DeltaTable.is_deltatable(self._path, storage_options=self._options):
            self._skips = self._mode is SaveMode.IGNORE
            if self._mode in (SaveMode.CREATE, SaveMode.ERROR):
                raise InvalidArgumentError(
                    f"write_delta: mode is {self._mode.name}, and there is a table at {self._path} already. Use mode='append', "
                    "'overwrite' or 'ignore'"
                )
            table = DeltaTable(self._path, storage_options=self._options)
            self._table_schema = _arrow_schema(table)
            partitioned = tuple(table.metadata().partition_columns)
            if self._partition_by is not None and self._partition_by != partitioned:
                raise InvalidArgumentError(
                    f"write_delta: partition_by={list(self._partition_by)}, and the table at {self._path} is partitioned by "
                    f"{list(partitioned)}; leave it out"
                )
            self._partition_by = partitioned
        if schema is not None:
            self._check(schema)
        if "://" not in self._path:
            os.makedirs(self._path, exist_ok=True)

    def _check(self, schema: pa.Schema) -> None:
        """Raises what can be told of columns and types."""
        for name in self._partition_by or ():
            if name not in schema.names:
                raise ColumnNotFoundError(name, schema.names, "write_delta, partition_by")
        self._target(schema)

    def _target(self, schema: pa.Schema) -> pa.Schema:
        """The schema that rows of such a schema are written with: the table's, and new columns."""
        known = self._table_schema if self._table_schema is not None else pa.schema([])
        fields = list(known)
        for field in schema:
            if field.name in known.names:
                continue
            if known.names and not self._merges:
                raise SchemaMismatchError(
                    f"write_delta: the table has no column {field.name!r}, and schema_mode is 'error'. Give schema_mode='merge', or leave "
                    f"the column out with drop_columns. The table's columns: {', '.join(map(repr, known.names))}"
                )
            if not pa.types.is_null(field.type):  # a column of nulls gets its type when there are values
                fields.append(pa.field(field.name, _delta_type(field)))
        return pa.schema(fields)

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> Added:
        table = concat(list(blocks))
        if not table.num_rows:
            return Added((), None)
        self._check(table.schema)
        untyped = [field.name for field in table.schema if pa.types.is_null(field.type)]
        schema = self._target(table.schema)
        table = conformed(
            table.drop_columns([name for name in untyped if name not in schema.names]), schema, "write_delta"
        )
        return Added(tuple(self._written(table, ctx)), schema)

    def _written(self, table: pa.Table, ctx: TaskContext) -> list[AddedFile]:
        by = pa.schema([table.schema.field(name) for name in self._partition_by or ()])
        files: list[AddedFile] = []

        def visit(written: Any) -> None:
            parts = [part.partition("=") for part in written.path.strip("/").split("/")[:-1]]
            values = {unquote(name): None if value == _NULL else unquote(value) for name, _, value in parts}
            files.append(AddedFile(written.path.strip("/"), written.size, written.metadata.num_rows, values))

        with naming_file(self._path):
            ds.write_dataset(
                table,
                base_dir="",
                filesystem=self._filesystem(),
                format="parquet",
                partitioning=ds.partitioning(by, flavor="hive") if by.names else None,
                # An attempt of a task that is run again must not write into files of the one before.
                basename_template=f"part-{ctx.task_index:05}-{ctx.write_id}-{uuid.uuid4().hex[:8]}-{{i}}.parquet",
                existing_data_behavior="overwrite_or_ignore",
                create_dir="://" not in self._path,
                max_partitions=_MOST_PARTITIONS,
                file_visitor=visit,
            )
        return files

    def _filesystem(self) -> fs.FileSystem:
        if "://" not in self._path:
            return fs.SubTreeFileSystem(os.path.abspath(self._path), fs.LocalFileSystem())
        from deltalake.fs import DeltaStorageHandler

        return fs.PyFileSystem(DeltaStorageHandler(self._path, self._options))

    def on_write_complete(self, write_result: WriteResult[Added]) -> None:
        from deltalake import DeltaTable, Schema
        from deltalake.transaction import AddAction, create_table_with_add_actions

        schemas = [added.schema for added in write_result.write_returns if added.schema is not None]
        known = self._table_schema
        if known is not None:
            schemas.insert(0, known)
        elif not schemas and self._data_schema is not None:
            schemas.append(self._target(self._data_schema))
        if not schemas:
            raise InvalidArgumentError(
                f"write_delta: there is no table at {self._path}, and the dataset has neither rows nor columns to make one of"
            )
        schema = unify_schemas(schemas)
        now = int(time.time() * 1000)
        actions: list[Any] = [
            AddAction(
                file.path, file.size_bytes, dict(file.partition), now, True, json.dumps({"numRecords": file.rows})
            )
            for added in write_result.write_returns
            for file in added.files
        ]
        by = list(self._partition_by or ())
        if known is None:
            create_table_with_add_actions(
                self._path, Schema.from_arrow(schema), actions, "error", by, storage_options=self._options
            )
            return
        table = DeltaTable(self._path, storage_options=self._options)
        new = [field for field in schema if field.name not in known.names]
        if new:
            table.alter.add_columns(list(Schema.from_arrow(pa.schema(new)).fields))
        mode = "overwrite" if self._mode is SaveMode.OVERWRITE else "append"
        if actions or mode == "overwrite":
            table.create_write_transaction(actions, mode, Schema.from_arrow(schema), by)


def _arrow_schema(table: Any) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def _delta_type(field: pa.Field) -> pa.DataType:
    """The type of a new column. Delta has no unsigned numbers, and times in microseconds.

    Raises:
        SchemaMismatchError: it has nothing like that.
    """
    from deltalake import Schema

    kind = _widened(field.type)
    try:
        made = pa.schema(Schema.from_arrow(pa.schema([pa.field(field.name, kind)])).to_arrow())
    except Exception as error:  # it raises a plain Exception for types that it does not know
        raise SchemaMismatchError(
            f"write_delta: column {field.name!r} is {field.type}, and Delta Lake has no such type. Convert it to numbers, strings, "
            "times or lists before"
        ) from error
    found: pa.DataType = made.field(0).type
    return found


def _widened(kind: pa.DataType) -> pa.DataType:
    wider = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.int64()}
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz is not None else None)
    if pa.types.is_dictionary(kind):
        return _widened(kind.value_type)
    return wider.get(kind, kind)
