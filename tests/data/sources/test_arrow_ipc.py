"""Arrow's own formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sources.arrow_ipc import ArrowSource
from shoal.data.exceptions import FileReadError

Read = Callable[..., pa.Table]


def test_files_streams_and_feather(tmp_path: Path, read: Read) -> None:
    table = pa.table({"x": [1, 2], "t": array_of(np.zeros((2, 3))), "n": [[1], None]})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table, 1)
    with pa.ipc.new_stream(str(tmp_path / "b.arrows"), table.schema) as stream:
        stream.write(table)
    feather.write_feather(table, tmp_path / "c.feather", "lz4")
    for name in ("a.arrow", "b.arrows", "c.feather"):
        assert read(ArrowSource(tmp_path / name)).equals(table)
    assert read(ArrowSource(tmp_path), 3).num_rows == 6


def test_a_file_without_rows(tmp_path: Path, read: Read) -> None:
    feather.write_feather(pa.table({"x": pa.array([], pa.int8())}), tmp_path / "a.feather")
    assert read(ArrowSource(tmp_path)).schema == pa.schema([("x", pa.int8())])


@pytest.mark.parametrize("content", [b"", b"no", b"ARROW1", b"ARROW1\0\0" + b"\0" * 50])
def test_what_is_neither(tmp_path: Path, read: Read, content: bytes) -> None:
    (tmp_path / "a.arrow").write_bytes(content)
    with pytest.raises(FileReadError, match=r"a\.arrow cannot be read as Arrow IPC"):
        read(ArrowSource(tmp_path))
