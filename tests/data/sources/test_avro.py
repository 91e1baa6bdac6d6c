"""Reading Avro files that fastavro wrote."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.data.exceptions import FileReadError

fastavro = pytest.importorskip("fastavro", reason="needs fastavro")

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "reading",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def write(path: Path, rows: list[dict[str, Any]], codec: str = "null") -> None:
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, rows, codec=codec)


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_records_are_rows(tmp_path: Path, codec: str) -> None:
    rows = [{"id": n, "name": None if n == 1 else f"n{n}", "tags": ["a"] * n, "at": NOON} for n in range(3)]
    write(tmp_path / "a.avro", rows, codec)
    write(tmp_path / "b.avro", rows[:1], codec)
    assert shoal.data.read_avro(tmp_path).take_all() == [*rows, rows[0]]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.avro").write_bytes(b"Obj\x01 and no more")
    with pytest.raises(FileReadError, match=r"bad\.avro cannot be read as Avro"):
        shoal.data.read_avro(tmp_path).take_all()


def test_a_damaged_file_is_passed_over_on_request(tmp_path: Path) -> None:
    write(tmp_path / "a.avro", [{"id": 1, "name": "x", "tags": [], "at": NOON}])
    (tmp_path / "bad.avro").write_bytes(b"nothing of the kind")
    assert [row["id"] for row in shoal.data.read_avro(tmp_path, on_error="skip").take_all()] == [1]
