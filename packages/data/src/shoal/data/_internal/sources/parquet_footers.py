"""Footers of Parquet files: read once, when they are needed, and no more of them than that."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from shoal.data._internal.sources.files import READ_FAULTS
from shoal.data.exceptions import FileReadError

_AT_ONCE = 16
_FIXED_BYTES = {"BOOLEAN": 0.125, "INT32": 4.0, "FLOAT": 4.0, "INT64": 8.0, "DOUBLE": 8.0, "INT96": 8.0}
_OFFSET_BYTES = 4


@dataclass(frozen=True)
class RowGroup:
    """A row group.

    Args:
        number: in its file.
        num_rows: of it.
        coded_bytes: of all columns, as they are coded in the file, before compression.
    """

    number: int
    num_rows: int
    coded_bytes: int


class Footer:
    """The footer of a file.

    Args:
        fragment: the file, as Arrow's datasets have it, with its footer.
    """

    def __init__(self, fragment: ds.ParquetFileFragment) -> None:
        self._fragment = fragment
        self.metadata: pq.FileMetaData = fragment.metadata
        self.num_rows: int = self.metadata.num_rows

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns."""
        return plain_schema(self._fragment.physical_schema)

    def row_groups(self, condition: pc.Expression | None = None) -> list[RowGroup]:
        """Returns the row groups that may have rows for which a condition is true: statistics tell.

        Args:
            condition: over the columns of the file; None for all row groups.
        """
        numbers: Sequence[int] = range(self.metadata.num_row_groups)
        if condition is not None:
            # Where Arrow cannot compare these types, evaluating the condition will tell whether anything can.
            with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
                numbers = [group.id for group in self._fragment.subset(filter=condition).row_groups]
        return [self._row_group(number) for number in numbers]

    def _row_group(self, number: int) -> RowGroup:
        group = self.metadata.row_group(number)
        return RowGroup(number, group.num_rows, group.total_byte_size)

    def memory_ratio(self, columns: frozenset[str] | None) -> float:
        """Returns about how many bytes these columns take in memory for each byte that all columns take in the file, before compression.

        Args:
            columns: at the top of the schema; None for all.
        """
        for number in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(number)
            if group.total_byte_size and group.num_rows:
                leaves = [group.column(place) for place in range(group.num_columns)]
                return sum(map(_memory_bytes, (leaf for leaf in leaves if _is_chosen(leaf, columns)))) / float(
                    group.total_byte_size
                )
        return 1.0


class Footers:
    """The footers of files. Picklable, but then forgets what it has read.

    Args:
        filesystem: that the files are in.
    """

    def __init__(self, filesystem: fs.FileSystem) -> None:
        self._filesystem = filesystem
        self._known: dict[str, Footer | FileReadError] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}

    def of(self, path: str) -> Footer:
        """Returns the footer of a file.

        Raises:
            FileReadError: if it has none.
        """
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = _read_footer(self._filesystem, path)
        if isinstance(found, FileReadError):
            raise found
        return found

    def read(self, paths: Sequence[str]) -> None:
        """Reads the footers of these files, several at a time."""
        missing = [path for path in paths if path not in self._known]
        # One after the other on a disk of this machine: a thread takes longer to start than a footer to read.
        if len(missing) < 2 or isinstance(self._filesystem, fs.LocalFileSystem):
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(missing)), "footers") as pool:
            for path, footer in zip(
                missing, pool.map(lambda path: _read_footer(self._filesystem, path), missing), strict=True
            ):
                self._known[path] = footer


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Returns the same columns without what Parquet and pandas note about them."""
    return pa.schema([(field.name, field.type) for field in schema])


def _read_footer(filesystem: fs.FileSystem, path: str) -> Footer | FileReadError:
    try:
        fragment = ds.ParquetFileFormat().make_fragment(path, filesystem)
        fragment.ensure_complete_metadata()
        return Footer(fragment)
    except READ_FAULTS as error:
        return FileReadError(f"{path} cannot be read as Parquet: {error}")


def _is_chosen(leaf: pq.ColumnChunkMetaData, columns: frozenset[str] | None) -> bool:
    # A name may have dots itself; one column too many does not matter for an estimate.
    return columns is None or leaf.path_in_schema in columns or leaf.path_in_schema.split(".")[0] in columns


def _memory_bytes(leaf: pq.ColumnChunkMetaData) -> float:
    """About how many bytes a column takes in memory."""
    fixed = _FIXED_BYTES.get(leaf.physical_type)
    if fixed is not None:
        return fixed * float(leaf.num_values)
    coded = float(leaf.total_uncompressed_size)
    if leaf.physical_type == "BYTE_ARRAY":
        coded += _OFFSET_BYTES * leaf.num_values
        statistics = leaf.statistics
        if statistics is not None and statistics.has_min_max and leaf.has_dictionary_page:
            # A dictionary has each value once, memory each time.
            length = (len(statistics.min_raw) + len(statistics.max_raw)) / 2
            coded = max(coded, (length + _OFFSET_BYTES) * leaf.num_values)
    return coded
