"""ORC files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import orc

from shoal.data._internal.sources.orc import ORCSource
from shoal.data.exceptions import FileReadError

Read = Callable[..., pa.Table]


def test_files(tmp_path: Path, read: Read) -> None:
    table = pa.table({"x": range(100_000), "s": ["a", None] * 50_000})
    orc.write_table(table, tmp_path / "a.orc", stripe_size=10_000)
    assert read(ORCSource(tmp_path)).equals(table)


def test_what_is_none(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.orc").write_text("no")
    with pytest.raises(FileReadError, match=r"a\.orc cannot be read as ORC"):
        read(ORCSource(tmp_path))
