"""Rows into a Lance dataset: tasks write fragments, and one commit, at the end, makes them visible."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.sinks.conform import conformed
from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult
from shoal.data._internal.sinks.save_mode import SaveMode, checked_mode
from shoal.data.block import Block
from shoal.data.exceptions import InvalidArgumentError, SchemaMismatchError


@dataclass(frozen=True)
class Written:
    """What one task has written; the schema is None if there were no rows."""

    fragments: tuple[Any, ...]
    schema: pa.Schema | None


class LanceSink(Datasink[Written]):
    """Writes a dataset in the Lance format. Fragments of a write that failed stay, unseen, until old versions are cleaned up.

    Args:
        uri: of the dataset.
        schema: of what is written; None for that of the dataset, of what is there, or of the first rows.
        mode: CREATE or ERROR (there may be none yet), APPEND, OVERWRITE or IGNORE.
        min_rows_per_file: rows that are gathered for a task.
        max_rows_per_file: rows after which another file begins.
        data_storage_version: of the files; None for Lance's default.
        storage_options: for the object store.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
        ImportError: pylance is not installed.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        schema: pa.Schema | None = None,
        mode: SaveMode | str = SaveMode.CREATE,
        min_rows_per_file: int = 1024 * 1024,
        max_rows_per_file: int = 64 * 1024 * 1024,
        data_storage_version: str | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        try:
            import lance  # noqa: F401  whether it is there
        except ImportError as error:
            raise ImportError('write_lance needs pylance: pip install "shoal-data[lance]"') from error
        for name, rows in (("min_rows_per_file", min_rows_per_file), ("max_rows_per_file", max_rows_per_file)):
            if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
                raise InvalidArgumentError(f"write_lance: {name} is {rows!r}; give a whole number >= 1")
        if min_rows_per_file > max_rows_per_file:
            raise InvalidArgumentError(
                f"write_lance: min_rows_per_file={min_rows_per_file} is more than max_rows_per_file={max_rows_per_file}"
            )
        if schema is not None and not isinstance(schema, pa.Schema):
            raise InvalidArgumentError(f"write_lance: schema is {schema!r}; give a pyarrow.Schema")
        self._uri = os.fspath(uri)
        self._mode = checked_mode(mode)
        self._schema = schema
        self._min_rows = min_rows_per_file
        self._max_rows = max_rows_per_file
        self._storage_version = data_storage_version
        self._options = dict(storage_options) if storage_options is not None else None
        self._version: int | None = None
        self._skips = False

    @property
    def skips_write(self) -> bool:
        return self._skips

    @property
    def min_rows_per_write(self) -> int:
        return self._min_rows

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        present = self._present()
        if present is not None:
            self._skips = self._mode is SaveMode.IGNORE
            if self._mode in (SaveMode.CREATE, SaveMode.ERROR):
                raise InvalidArgumentError(
                    f"write_lance: mode is {self._mode.name}, and there is a dataset at {self._uri} already. Use mode='append', "
                    "'overwrite' or 'ignore'"
                )
            self._version = present.version
            if self._mode is SaveMode.APPEND:
                self._schema = present.schema
        if self._schema is None and schema and not any(pa.types.is_null(field.type) for field in schema):
            self._schema = schema

    def _present(self) -> Any:
        import lance

        try:
            return lance.dataset(self._uri, storage_options=self._options)
        except (ValueError, OSError) as error:
            if "not found" in str(error):
                return None
            raise

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> Written:
        from lance.fragment import write_fragments

        table = concat(list(blocks))
        if not table.num_rows:
            return Written((), None)
        schema = self._schema if self._schema is not None else table.schema
        fragments = write_fragments(
            conformed(table, schema, "write_lance"),
            self._uri,
            schema=schema,
            mode=self._mode.value if self._version is not None else "create",
            max_rows_per_file=self._max_rows,
            data_storage_version=self._storage_version,
            storage_options=self._options,
        )
        return Written(tuple(fragments), schema)

    def on_write_complete(self, write_result: WriteResult[Written]) -> None:
        from lance import LanceDataset, LanceOperation

        fragments = [fragment for written in write_result.write_returns for fragment in written.fragments]
        schema = self._common_schema(write_result)
        if self._mode is SaveMode.APPEND and self._version is not None:
            if not fragments:
                return
            operation: Any = LanceOperation.Append(fragments)
        else:
            operation = LanceOperation.Overwrite(schema, fragments)
        LanceDataset.commit(self._uri, operation, read_version=self._version, storage_options=self._options)

    def _common_schema(self, write_result: WriteResult[Written]) -> pa.Schema:
        schemas = [written.schema for written in write_result.write_returns if written.schema is not None]
        first = self._schema if self._schema is not None else next(iter(schemas), None)
        if first is None:
            raise InvalidArgumentError(
                f"write_lance: there is nothing to write to {self._uri}, neither rows nor columns; give schema"
            )
        other = next((schema for schema in schemas if not schema.equals(first)), None)
        if other is not None:
            raise SchemaMismatchError(
                f"write_lance: blocks have different columns or types: {first.to_string()!r} and {other.to_string()!r}. Give schema"
            )
        return first
