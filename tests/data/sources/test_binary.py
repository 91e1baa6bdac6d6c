"""Files as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from shoal.data._internal.sources.binary import BinarySource


def test_bytes_of_each_file(tmp_path: Path, rows: Callable[..., list[dict[str, Any]]]) -> None:
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8bnot really")
    (tmp_path / "c.bin").write_bytes(bytes(range(256)))
    source = BinarySource(tmp_path)
    assert source.schema() == pa.schema([("bytes", pa.binary())])
    assert [row["bytes"] for row in rows(source)] == [b"", b"\x1f\x8bnot really", bytes(range(256))]
    assert source.num_rows() == 3


def test_many_small_files_make_few_tables(tmp_path: Path, tables: Callable[..., list[pa.Table]]) -> None:
    for number in range(100):
        (tmp_path / f"{number:03}").write_bytes(b"x")
    assert [table.num_rows for table in tables(BinarySource(tmp_path), 2)] == [50, 50]
