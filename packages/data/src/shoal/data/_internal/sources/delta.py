"""Tables of Delta Lake: which files belong to a version, says the log; they are read as Parquet."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from shoal.data._internal.sources.shares import even_shares
from shoal.data._internal.sources.source import ReadTask, Source
from shoal.data.block import BlockMetadata
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError

if TYPE_CHECKING:
    from shoal.data.expressions import Expr

_ROWS_A_TABLE = 1 << 20


@dataclass(frozen=True)
class DeltaFile:
    """A file of a table.

    Args:
        fragment: a `pyarrow.dataset.Fragment`; it knows the values of the columns that the file does not have because it is partitioned by
            them.
        rows: None where the log does not tell.
        size_bytes: on the disk.
    """

    fragment: Any
    rows: int | None
    size_bytes: int


@dataclass(frozen=True)
class _Scan:
    """What is read of each file."""

    whole: pa.Schema
    columns: tuple[str, ...]
    include_paths: bool
    predicate: Any
    arguments: Mapping[str, Any]

    def schema(self) -> pa.Schema:
        fields = [self.whole.field(name) for name in self.columns if name in self.whole.names]
        return pa.schema([*fields, pa.field("path", pa.string())] if self.include_paths else fields)


class DeltaSource(Source):
    """One version of a table.

    Args:
        path: of the table, local or as a URI.
        version: its number, or a time; None for the latest.
        storage_options: for the object store.
        filesystem: of pyarrow, to read the files with; None for that of deltalake.
        columns: just these; None for all.
        shuffle: 'files' for the files in an order of chance, or something with a `seed` for it.
        include_paths: adds the column `path`.
        arrow_parquet_args: arguments of `pyarrow.dataset.Fragment.scanner`.

    Raises:
        FileReadError: (an OSError) there is no such table, or no such version.
        ColumnNotFoundError: a column of `columns` is not there.
        ImportError: deltalake is not installed.
    """

    name = "Delta"

    def __init__(
        self,
        path: str | os.PathLike[str],
        version: int | str | datetime.datetime | None = None,
        *,
        storage_options: Mapping[str, str] | None = None,
        filesystem: Any = None,
        columns: Sequence[str] | None = None,
        shuffle: Any = None,
        include_paths: bool = False,
        arrow_parquet_args: Mapping[str, Any] | None = None,
    ) -> None:
        table = _opened(os.fspath(path), version, storage_options)
        dataset = table.to_pyarrow_dataset(filesystem=filesystem)
        known = {entry["path"]: entry for entry in pa.table(table.get_add_actions(flatten=True)).to_pylist()}
        self._files = [
            DeltaFile(fragment, entry.get("num_records"), entry.get("size_bytes") or 0)
            for fragment in dataset.get_fragments()
            for entry in (known.get(fragment.path, {}),)
        ]
        if shuffle is not None:
            self._files = _shuffled(self._files, shuffle)
        whole = dataset.schema.remove_metadata()
        for column in columns or ():
            if column not in whole.names:
                raise ColumnNotFoundError(column, whole.names, "read_delta")
        kept = tuple(columns) if columns is not None else tuple(whole.names)
        self._scan = _Scan(whole, kept, include_paths, None, dict(arrow_parquet_args or {}))

    def schema(self) -> pa.Schema:
        return self._scan.schema()

    def num_rows(self) -> int | None:
        counts = [file.rows for file in self._files]
        return sum(count or 0 for count in counts) if None not in counts and self._scan.predicate is None else None

    def size_bytes(self) -> int:
        """As on the disk."""
        return sum(file.size_bytes for file in self._files)

    def input_files(self) -> list[str]:
        return [file.fragment.path for file in self._files]

    def with_columns(self, columns: list[str]) -> DeltaSource:
        kept = tuple(name for name in columns if name in self._scan.whole.names)
        return self._with(
            replace(self._scan, columns=kept, include_paths=self._scan.include_paths and "path" in columns)
        )

    def with_filter(self, predicate: Expr) -> DeltaSource | None:
        condition = predicate.to_pyarrow()
        if condition is None or not predicate.columns() <= set(self._scan.whole.names):
            return None
        before = self._scan.predicate
        return self._with(replace(self._scan, predicate=condition if before is None else before & condition))

    def _with(self, scan: _Scan) -> DeltaSource:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _scan=scan)
        return other

    def read_tasks(self, parallelism: int, row_limit: int | None = None) -> list[ReadTask]:
        files = self._files
        if row_limit is not None and self._scan.predicate is None:
            files = _first(files, row_limit)
        if not files:
            return [ReadTask(partial(_nothing, self.schema()), BlockMetadata(0, 0), self.schema())]
        tasks = []
        for share in even_shares(files, lambda file: file.size_bytes, parallelism):
            counts = [file.rows for file in share]
            rows = sum(count or 0 for count in counts) if None not in counts and self._scan.predicate is None else None
            metadata = BlockMetadata(
                rows, sum(file.size_bytes for file in share), input_files=[file.fragment.path for file in share]
            )
            tasks.append(ReadTask(partial(_read, share, self._scan), metadata, self.schema(), row_limit))
        return tasks


def _opened(path: str, version: Any, storage_options: Mapping[str, str] | None) -> Any:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError
    except ImportError as error:
        raise ImportError('read_delta needs deltalake: pip install "shoal-data[delta]"') from error
    if version is not None and (isinstance(version, bool) or not isinstance(version, (int, str, datetime.datetime))):
        raise InvalidArgumentError(
            f"read_delta: version is {version!r}; give a number, a time (as datetime or in ISO 8601), or None for the latest"
        )
    options = dict(storage_options) if storage_options is not None else None
    try:
        if version is None or isinstance(version, int):
            return DeltaTable(path, version=version, storage_options=options)
        table = DeltaTable(path, storage_options=options)
        table.load_as_version(version)
        return table
    except TableNotFoundError as error:
        raise FileReadError(f"{path}: there is no Delta table: {error}") from error
    except (DeltaError, ValueError) as error:  # ValueError: of what is no time
        raise FileReadError(f"{path}: version {version!r} of the Delta table cannot be read: {error}") from error


def _shuffled(files: list[DeltaFile], shuffle: Any) -> list[DeltaFile]:
    if shuffle != "files" and not hasattr(shuffle, "seed"):
        raise InvalidArgumentError(
            f"read_delta: shuffle is {shuffle!r}; give 'files', FileShuffleConfig(seed), or None"
        )
    order = np.random.default_rng(getattr(shuffle, "seed", None)).permutation(len(files))
    return [files[place] for place in order]


def _first(files: list[DeltaFile], rows: int) -> list[DeltaFile]:
    """As many files as are needed for so many rows."""
    for number, file in enumerate(files):
        if file.rows is None:
            return files
        rows -= file.rows
        if rows <= 0:
            return files[: number + 1]
    return files


def _nothing(schema: pa.Schema) -> Iterator[pa.Table]:
    yield schema.empty_table()


def _read(files: Sequence[DeltaFile], scan: _Scan) -> Iterator[pa.Table]:
    made = False
    for file in files:
        fragment = file.fragment
        try:
            scanner = fragment.scanner(
                schema=scan.whole,
                columns=[name for name in scan.columns if name in scan.whole.names],
                filter=scan.predicate,
                **{"batch_size": _ROWS_A_TABLE, **scan.arguments},
            )
            for batch in scanner.to_batches():
                if not batch.num_rows:
                    continue
                made = True
                table = pa.Table.from_batches([batch])
                if scan.include_paths:
                    table = table.append_column("path", pa.array([fragment.path] * table.num_rows, pa.string()))
                yield table
        except (OSError, pa.ArrowInvalid) as error:
            raise FileReadError(f"{fragment.path} of the Delta table cannot be read: {error}") from error
    if not made:
        yield scan.schema().empty_table()
