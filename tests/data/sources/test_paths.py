"""Paths and URIs."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
from pyarrow import fs

from shoal.data._internal.sources.paths import is_local_only, resolve_paths
from shoal.data.exceptions import InvalidArgumentError


def test_local_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    there = f"{tmp_path}/a b"
    for path in ("a b", "./a b", Path("a b"), "~/a b", there, f"file://{tmp_path}/a%20b", f"local://{there}"):
        filesystem, plain = resolve_paths(path)
        assert isinstance(filesystem, fs.LocalFileSystem)
        assert plain == [there]
    assert resolve_paths(["a", f"file://{tmp_path}/b", Path("c")])[1] == [f"{tmp_path}/{name}" for name in "abc"]
    assert is_local_only([f"local://{there}"])
    assert not is_local_only(there)


def test_uris_of_an_object_store() -> None:
    options = "?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    filesystem, plain = resolve_paths([f"s3://key:secret@bucket/a folder/*.csv{options}"])
    assert isinstance(filesystem, fs.S3FileSystem)
    assert plain == ["bucket/a folder/*.csv"]
    assert filesystem.region == "us-east-1"
    assert resolve_paths(["s3://bucket/a/", "s3://bucket/b?.csv"], filesystem)[1] == ["bucket/a", "bucket/b?.csv"]


def test_fsspec() -> None:
    for filesystem, plain in (
        resolve_paths("memory://folder/a.csv"),
        resolve_paths("folder/a.csv", fsspec.filesystem("memory")),
    ):
        assert isinstance(filesystem, fs.PyFileSystem)
        assert plain[0].strip("/") == "folder/a.csv"
    assert isinstance(resolve_paths("a", fsspec.filesystem("file"))[0], fs.LocalFileSystem)


def test_paths_of_several_file_systems_are_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'a\.csv'.*'memory://b\.csv'.*different file systems"):
        resolve_paths(["a.csv", "memory://b.csv"])


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        ([], "at least one"),
        ("", "empty"),
        ([" "], "empty"),
        (3, "not a int"),
        ([3], "not a int"),
        (b"a", "not a bytes"),
        ("nosuch://x", "nosuch"),
    ],
)
def test_what_is_no_path(paths: object, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        resolve_paths(paths)  # type: ignore[arg-type]


def test_what_is_no_file_system() -> None:
    with pytest.raises(InvalidArgumentError, match=r"filesystem='s3'.*not a str"):
        resolve_paths("a", "s3")
