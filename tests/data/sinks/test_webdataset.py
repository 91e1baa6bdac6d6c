"""WebDataset: what is written, and what is read."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sinks.webdataset_sink import WebDatasetSink
from shoal.data._internal.sources.webdataset import WebDatasetReader, WebDatasetSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError

WRITE_ID = "0123456789abcdef"


def tar_of(members: list[tuple[str, bytes]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, value in members:
            member = tarfile.TarInfo(name)
            member.size = len(value)
            tar.addfile(member, io.BytesIO(value))
    return content.getvalue()


def rows_of(content: bytes, **arguments: Any) -> list[dict[str, Any]]:
    return [row for table in WebDatasetReader(**arguments).read(io.BytesIO(content), "x.tar") for row in to_rows(table)]


def written(directory: Path, drive: Any, *blocks: pa.Table, **arguments: Any) -> bytes:
    drive(WebDatasetSink(directory, **arguments), [blocks])
    (file,) = directory.iterdir()
    assert file.suffix == ".tar"
    return file.read_bytes()


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def sample() -> dict[str, Any]:
    return {
        "__key__": "a/1",
        "txt": "é",
        "cls": 7,
        "json": {"x": [1, None]},
        "npy": np.arange(6.0).reshape(2, 3),
        "png": np.full((2, 3, 3), 9, np.uint8),
        "seg.png": np.full((2, 3), 1, np.uint8),
        "mp": {"m": 1},
        "bin": b"\xff",
    }


def test_rows_come_back(tmp_path, drive):
    second = {**sample(), "__key__": "a/2", "png": np.zeros((4, 4, 3), np.uint8), "txt": None}
    content = written(tmp_path, drive, table_of_rows([sample()]), table_of_rows([second]))
    first, other = rows_of(content)
    assert first.pop("__url__") == "x.tar"
    np.testing.assert_equal(first, sample())
    assert other["txt"] is None
    assert other["png"].shape == (4, 4, 3)


def test_the_members_are_of_their_formats(tmp_path, drive):
    content = members(written(tmp_path, drive, table_of_rows([sample()])))
    assert sorted(content) == [
        "a/1.bin",
        "a/1.cls",
        "a/1.json",
        "a/1.mp",
        "a/1.npy",
        "a/1.png",
        "a/1.seg.png",
        "a/1.txt",
    ]
    assert (content["a/1.txt"], content["a/1.cls"], content["a/1.mp"]) == ("é".encode(), b"7", b"\x81\xa1m\x01")
    assert json.loads(content["a/1.json"]) == {"x": [1, None]}
    with Image.open(io.BytesIO(content["a/1.png"])) as image:
        assert image.size == (3, 2)


def test_keys_are_made_where_there_are_none_and_two_runs_are_alike(tmp_path, drive):
    blocks = [pa.table({"txt": ["x", "y"]}), pa.table({"txt": ["z"]})]
    content = written(tmp_path / "a", drive, *blocks)
    assert list(members(content)) == [f"{WRITE_ID}_000000_{row:09}.txt" for row in range(3)]
    assert written(tmp_path / "b", drive, *blocks) == content


def test_encoders(tmp_path, drive):
    table = pa.table({"__key__": ["k"], "txt": ["x"]})

    def shout(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "txt": row["txt"] + "!", "cls": 3}

    assert members(written(tmp_path / "list", drive, table, encoder=[shout, True])) == {"k.txt": b"x!", "k.cls": b"3"}
    assert members(written(tmp_path / "none", drive, table, encoder=None)) == {"k.txt": b"x"}
    with pytest.raises(InvalidArgumentError, match="column 'cls' has '3' of the type int"):
        drive(WebDatasetSink(tmp_path / "bad", encoder=shout), [[table]])
    assert not (tmp_path / "bad").exists()
    with pytest.raises(InvalidArgumentError, match="encoder='gzip'"):
        WebDatasetSink(tmp_path, encoder="gzip")
    with pytest.raises(InvalidArgumentError, match=r"column 'png' has .*no image"):
        drive(WebDatasetSink(tmp_path / "bad"), [[pa.table({"png": [3]})]])


def test_a_large_file_in_batches(tmp_path, drive, monkeypatch):
    monkeypatch.setattr("shoal.data._internal.sinks.table_file_sink._BATCH_BYTES", 1)
    monkeypatch.setattr("shoal.data._internal.sources.webdataset._ROWS_AT_ONCE", 2)
    content = written(tmp_path, drive, *(pa.table({"cls": [number]}) for number in range(5)))
    tables = list(WebDatasetReader().read(io.BytesIO(content), "x.tar"))
    assert [table["cls"].to_pylist() for table in tables] == [[0, 1], [2, 3], [4]]


def test_selecting_and_renaming():
    content = tar_of([("1.a.txt", b"x"), ("1.jpg", b"raw"), ("2.a.txt", b"y"), ("other", b"no extension")])
    plain = {"decoder": None}
    assert rows_of(content, **plain) == [
        {"__key__": "1", "__url__": "x.tar", "a.txt": b"x", "jpg": b"raw"},
        {"__key__": "2", "__url__": "x.tar", "a.txt": b"y", "jpg": None},
    ]
    assert [row["__key__"] for row in rows_of(content, fileselect=["*.jpg"], **plain)] == ["1"]
    assert [row["__key__"] for row in rows_of(content, fileselect=lambda name: name == "2.a.txt", **plain)] == ["2"]
    assert [set(row) for row in rows_of(content, suffixes=[".jpg"], **plain)] == [{"__key__", "__url__", "jpg"}]
    assert [set(row) for row in rows_of(content, suffixes="*.txt", **plain)] == [{"__key__", "__url__", "a.txt"}] * 2
    renamed = rows_of(content, filerename=[lambda name: name.replace(".a", ""), str.upper], decoder=None)
    assert [row.get("TXT") for row in renamed] == [b"x", b"y"]


def test_decoders():
    picture = io.BytesIO()
    Image.new("L", (3, 2), 5).save(picture, "png")
    content = tar_of([("1.png", picture.getvalue()), ("1.pkl", b"\x80\x04K\x07."), ("1.cls", b" 3\n")])
    (row,) = rows_of(content)
    assert row["png"].tolist() == [[5] * 3] * 2
    assert row["pkl"] == b"\x80\x04K\x07."
    assert row["cls"] == 3
    assert rows_of(content, allow_pickle=True)[0]["pkl"] == 7
    assert isinstance(rows_of(content, decoder="PIL")[0]["png"], Image.Image)
    (row,) = rows_of(content, decoder=[True, lambda sample: {"__key__": sample["__key__"], "twice": sample["cls"] * 2}])
    assert row == {"__key__": "1", "twice": 6}
    with pytest.raises(InvalidArgumentError, match="decoder='jpeg'"):
        WebDatasetReader(decoder="jpeg")


def test_expanding_json():
    content = tar_of([("1.json", b'{"a": 1, "b": [2]}')])
    for decoder in (True, None):
        (row,) = rows_of(content, expand_json=True, decoder=decoder)
        assert (row["a"], list(row["b"])) == (1, [2])
    with pytest.raises(FileReadError, match="'txt' as a field"):
        rows_of(tar_of([("1.txt", b"x"), ("1.json", b'{"txt": 1}')]), expand_json=True)
    with pytest.raises(FileReadError, match="no object"):
        rows_of(tar_of([("1.txt", b"x")]), expand_json=True)


def test_bad_files_are_errors_that_name_file_and_sample():
    with pytest.raises(FileReadError, match=r"x\.tar: the members with the key '1' do not follow"):
        rows_of(tar_of([("1.txt", b""), ("2.txt", b""), ("1.cls", b"1")]))
    with pytest.raises(FileReadError, match=r"x\.tar: there are two members '1\.txt'"):
        rows_of(tar_of([("1.txt", b""), ("1.txt", b"")]))
    with pytest.raises(FileReadError, match=r"x\.tar: 'png' of the sample '1' cannot be decoded"):
        rows_of(tar_of([("1.png", b"no image")]))
    for content in (b"no tar" * 200, tar_of([("1.txt", b"x" * 5000)])[:2000]):
        with pytest.raises(FileReadError, match=r"x\.tar: this is no tar file"):
            rows_of(content)


def test_the_source_reads_files_in_order(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.tar").write_bytes(tar_of([(f"{number}.cls", str(number).encode())]))
    source = WebDatasetSource(tmp_path, suffixes=["cls"])
    assert (source.name, source.schema(), source.num_rows()) == ("WebDataset", None, None)
    for parallelism in (1, 3, 9):
        tasks = pickle.loads(pickle.dumps(source.read_tasks(parallelism)))
        assert len(tasks) <= parallelism
        assert [value for task in tasks for table in task() for value in table["cls"].to_pylist()] == [0, 1, 2, 3]


def test_compressed_tars_are_read():
    import gzip

    assert rows_of(gzip.compress(tar_of([("1.txt", b"x")])))[0]["txt"] == "x"


def test_images_of_other_kinds_of_values(tmp_path, drive):
    table = pa.table({"jpg": array_of(np.full((1, 8, 8, 3), 100, np.uint8))})
    content = members(written(tmp_path, drive, table, encoder="png"))
    with Image.open(io.BytesIO(next(iter(content.values())))) as image:
        assert image.format == "PNG"
