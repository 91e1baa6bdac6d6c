"""Bytes of what URIs name."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from shoal.data._internal.expressions.nodes import ColumnExpr, Expr

_THREADS = 16
_logger = logging.getLogger("shoal.data")


class DownloadExpr(Expr):
    """The bytes that each URI of a column names; null where there is no URI, or nothing can be read there (the log tells why).

    Args:
        uri_column_name: the column.
        filesystem: of pyarrow, for paths without a scheme; None for local ones.
    """

    def __init__(self, uri_column_name: str, filesystem: Any = None) -> None:
        self.uri_column_name = uri_column_name
        self.filesystem = filesystem
        self._column = ColumnExpr(uri_column_name)

    def _value(self, table: pa.Table) -> Any:
        uris = self._column.evaluate(table).to_pylist()
        with ThreadPoolExecutor(_THREADS) as threads:
            contents = list(threads.map(self._read, uris))
        return pa.array(contents, pa.large_binary())

    def _read(self, uri: str | None) -> bytes | None:
        if uri is None:
            return None
        try:
            if self.filesystem is None and "://" in uri and not uri.startswith("file://"):
                import fsspec

                with fsspec.open(uri, "rb") as stream:
                    return bytes(stream.read())
            from pyarrow import fs

            filesystem, path = self.filesystem or fs.LocalFileSystem(), uri.removeprefix("file://")
            with filesystem.open_input_stream(path, compression=None) as stream:
                return bytes(stream.read())
        except (OSError, ValueError, ImportError, pa.ArrowException) as error:
            _logger.warning("download: %s cannot be read, its row is null: %s", uri, error)
            return None

    def children(self) -> tuple[Expr, ...]:
        return (self._column,)

    def over(self, children: tuple[Expr, ...]) -> Expr:
        [column] = children
        return DownloadExpr(column.name, self.filesystem)

    def get_type(self, schema: pa.Schema) -> pa.DataType:
        return pa.large_binary()

    def __repr__(self) -> str:
        return f"download({self.uri_column_name!r})"
