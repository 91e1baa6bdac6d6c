"""What the sources of all formats that are read file by file have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.data._internal.blocks.combine import concat
from shoal.data._internal.sources import files
from shoal.data._internal.sources.binary import BinarySource
from shoal.data._internal.sources.csv import CSVSource
from shoal.data._internal.sources.files import limited, merged
from shoal.data._internal.sources.partitioning import Partitioning
from shoal.data._internal.sources.text import TextSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError, SchemaMismatchError

Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        (tmp_path / f"k={number % 2}").mkdir(exist_ok=True)
        (tmp_path / f"k={number % 2}" / f"{number}.txt").write_text(f"{number}\n" * (number + 1))
    return tmp_path


@pytest.mark.parametrize("parallelism", [1, 2, 5, 50])
def test_rows_keep_their_order_however_they_are_divided(folder: Path, rows: Rows, parallelism: int) -> None:
    source = TextSource(folder)
    assert len(source.read_tasks(parallelism)) == min(parallelism, 5)
    assert [row["text"] for row in rows(source, parallelism)] == list("0" + "222" + "44444" + "11" + "3333")


def test_metadata(folder: Path) -> None:
    source = BinarySource(folder)
    assert source.num_rows() == 5
    assert source.size_bytes() == 2 * (1 + 2 + 3 + 4 + 5)
    tasks = source.read_tasks(2)
    assert [path for task in tasks for path in task.metadata.input_files] == source.input_files()
    assert sum(task.metadata.num_rows or 0 for task in tasks) == 5
    assert TextSource(folder).num_rows() is None


def test_limits(folder: Path, rows: Rows) -> None:
    assert [task.metadata.input_files for task in BinarySource(folder).read_tasks(5, 2)] == [
        [f"{folder}/k=0/0.txt"],
        [f"{folder}/k=0/2.txt"],
    ]
    assert [row["text"] for row in rows(TextSource(folder), 1, 3)] == ["0", "2", "2"]
    assert rows(TextSource(folder), 1, 0) == []


def test_a_limit_opens_no_more_files_than_it_needs(folder: Path, rows: Rows) -> None:
    for name in ("k=1/1.txt", "k=1/3.txt"):
        (folder / name).unlink()
        (folder / name).symlink_to(folder / "nowhere")
    source = TextSource([folder / "k=0", folder / "k=0" / "0.txt"])
    for path in source.input_files()[1:]:
        if os.path.exists(path) and not path.endswith("0.txt"):
            Path(path).write_bytes(b"\xff")
    assert rows(source, 1, 1) == [{"text": "0"}]


def test_columns_of_paths(folder: Path, rows: Rows) -> None:
    source = TextSource(folder, include_paths=True, partitioning=Partitioning("hive", field_types={"k": int}))
    assert source.schema() == pa.schema([("text", pa.string()), ("k", pa.int64()), ("path", pa.string())])
    assert rows(source, 1)[-1] == {"text": "3", "k": 1, "path": f"{folder}/k=1/3.txt"}


def test_a_column_of_the_file_stays(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "k=1").mkdir()
    (tmp_path / "k=1" / "a.csv").write_text("k,path\n2,x\n")
    assert rows(CSVSource(tmp_path)) == [{"k": 2, "path": "x"}]
    with pytest.raises(SchemaMismatchError, match=r"a\.csv has a column 'path'"):
        rows(CSVSource(tmp_path, include_paths=True))


def test_files_that_differ(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,a\n")
    (tmp_path / "b.csv").write_text("x,z\n1.5,b\n")
    assert rows(CSVSource(tmp_path), 1) == [{"x": 1.0, "y": "a", "z": None}, {"x": 1.5, "y": None, "z": "b"}]
    (tmp_path / "c.csv").write_text("x\ntext\n")
    with pytest.raises(SchemaMismatchError, match=r"c\.csv.*'x'.*double.*string"):
        rows(CSVSource(tmp_path), 1)


def test_files_that_cannot_be_read(folder: Path, caplog: pytest.LogCaptureFixture, rows: Rows) -> None:
    (folder / "k=0" / "2.txt").write_bytes(b"fine\n\xff\n")
    with pytest.raises(FileReadError, match=r"2\.txt.*utf-8"):
        rows(TextSource(folder))
    [task] = TextSource(folder, on_error="skip").read_tasks(1)
    assert [row["text"] for table in task() for row in table.to_pylist()] == list("0" + "44444" + "11" + "3333")
    assert task.read_fn.skipped_files == [f"{folder}/k=0/2.txt"]  # type: ignore[attr-defined]
    assert "2.txt" in caplog.text
    source = BinarySource(folder, on_error="skip")
    assert source.num_rows() is None
    (folder / "k=0" / "2.txt").unlink()
    assert len(rows(source)) == 4
    with pytest.raises(InvalidArgumentError, match="on_error=None"):
        TextSource(folder, on_error=None)  # type: ignore[arg-type]


def test_compressed_files(tmp_path: Path, rows: Rows) -> None:
    for name, codec in (("a.txt.gz", "gzip"), ("b.txt.zst", "zstd"), ("c.dat", "bz2")):
        with pa.CompressedOutputStream(str(tmp_path / name), codec) as file:
            file.write(f"{codec}\n".encode())
    assert rows(TextSource([tmp_path / "a.txt.gz", tmp_path / "b.txt.zst"])) == [{"text": "gzip"}, {"text": "zstd"}]
    assert rows(TextSource(tmp_path / "c.dat", arrow_open_stream_args={"compression": "bz2"})) == [{"text": "bz2"}]
    (tmp_path / "a.txt.gz").write_bytes(b"not gzip")
    with pytest.raises(FileReadError, match=r"a\.txt\.gz"):
        rows(TextSource(tmp_path / "a.txt.gz"))
    with pytest.raises(InvalidArgumentError, match="arrow_open_stream_args="):
        rows(TextSource(tmp_path / "c.dat", arrow_open_stream_args={"speed": 3}))


def _pieces(sizes: list[int]) -> Iterator[pa.Table]:
    for number, size in enumerate(sizes):
        yield pa.table({"n": np.full(size, number)})


def test_tables_are_neither_small_nor_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_FEW_BYTES", 80)
    monkeypatch.setattr(files, "_MOST_BYTES", 800)
    sizes = [1, 2, 3, 0, 50, 9, 1000, 4]
    found = list(merged(_pieces(sizes)))
    assert concat(found) == concat(list(_pieces(sizes)))
    assert max(table.num_rows for table in found) <= 100
    assert [table.num_rows for table in found] == [56, 9, *[100] * 10, 4]
    assert list(merged(iter([]))) == []


def test_no_table_is_asked_for_beyond_a_limit() -> None:
    def tables() -> Iterator[pa.Table]:
        yield pa.table({"n": [1, 2]})
        yield pa.table({"n": [3, 4]})
        raise AssertionError("nobody needs it")

    assert concat(list(limited(tables(), 3)))["n"].to_pylist() == [1, 2, 3]
    assert concat(list(limited(tables(), 4)))["n"].to_pylist() == [1, 2, 3, 4]
