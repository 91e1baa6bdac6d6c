"""Bytes of what URIs name, from a real server and from files."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.expressions import download, pyarrow_udf


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of the folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_files_and_urls(tmp_path: Path, served: str) -> None:
    pytest.importorskip("aiohttp", reason="fsspec needs it for http")
    (tmp_path / "a.bin").write_bytes(b"alpha")
    uris = [str(tmp_path / "a.bin"), f"file://{tmp_path}/a.bin", f"{served}/a.bin", None]
    rows = shoal.data.from_items([{"uri": uri} for uri in uris]).with_column("bytes", download("uri")).take_all()
    assert [row["bytes"] for row in rows] == [b"alpha", b"alpha", b"alpha", None]


def test_what_cannot_be_read_is_null_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    missing = str(tmp_path / "missing.bin")
    rows = shoal.data.from_items([{"uri": missing}]).with_column("bytes", download("uri")).take_all()
    assert rows == [{"uri": missing, "bytes": None}]
    assert "missing.bin" in caplog.text


def test_a_column_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="uri_column_name"):
        download("")


def test_functions_of_arrow() -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    @pyarrow_udf(return_dtype=pa.int64())
    def add_one(numbers):  # type: ignore[no-untyped-def]
        return pc.add(numbers, 1)

    from shoal.data.expressions import col

    assert shoal.data.range(3).with_column("next", add_one(col("id"))).sum("next") == 6
