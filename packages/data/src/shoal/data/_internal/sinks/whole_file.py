"""Formats that need all rows of a file at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa


class WholeFileEncoder:
    """Writes a file with one call.

    Args:
        write_file: gets the rows and the stream.
        stream: to write to.
    """

    def __init__(self, write_file: Callable[[pa.Table, Any], None], stream: Any) -> None:
        self._write_file = write_file
        self._stream = stream

    def write(self, table: pa.Table) -> None:
        """Writes the rows."""
        self._write_file(table, self._stream)

    def close(self) -> None:
        """Nothing is left to be written."""

    def abandon(self) -> None:
        """Nothing is left to be written."""
