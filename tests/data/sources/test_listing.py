"""Which files are found, and in which order."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest

from shoal.data._internal.sources.errors import FilesNotFoundError
from shoal.data._internal.sources.listing import FileSet, FileShuffleConfig
from shoal.data._internal.sources.partitioning import Partitioning, PathPartitionFilter
from shoal.data.exceptions import FileReadError, InvalidArgumentError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.csv",
        "a.csv",
        "deep/er/c.csv",
        "deep/d.CSV",
        "deep/e.csv.gz",
        "notes.txt",
        ".hidden.csv",
        "_SUCCESS",
        "_temporary/f.csv",
        ".git/g.csv",
        "_k=1/h.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def _names(folder: Path, *paths: str, **arguments: Any) -> list[str]:
    found = FileSet.found([f"{folder}/{path}" for path in paths], **arguments)
    return [str(Path(file.path).relative_to(folder)) for file in found.files]


def test_directories_at_any_depth_without_what_is_hidden(folder: Path) -> None:
    everything = ["_k=1/h.csv", "a.csv", "b.csv", "deep/d.CSV", "deep/e.csv.gz", "deep/er/c.csv", "notes.txt"]
    assert _names(folder, "") == everything
    assert _names(folder, "", file_extensions=["csv"]) == [name for name in everything if name.lower().endswith(".csv")]
    assert _names(folder, "deep", file_extensions=[".CSV", "csv.gz"]) == [
        "deep/d.CSV",
        "deep/e.csv.gz",
        "deep/er/c.csv",
    ]


def test_paths_keep_the_order_in_which_they_are_given(folder: Path) -> None:
    assert _names(folder, "notes.txt", "deep/er", "a.csv", "a.csv") == ["notes.txt", "deep/er/c.csv", "a.csv", "a.csv"]


def test_a_hidden_file_that_is_named_is_read(folder: Path) -> None:
    assert _names(folder, ".hidden.csv") == [".hidden.csv"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("[a].csv", ["a.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        (".*.csv", [".hidden.csv"]),
        ("deep/*", ["deep/d.CSV", "deep/e.csv.gz", "deep/er/c.csv"]),
        ("*/er/*.csv", ["deep/er/c.csv"]),
        ("**/*.csv", ["_k=1/h.csv", "a.csv", "b.csv", "deep/er/c.csv"]),
        ("**/c.csv", ["deep/er/c.csv"]),
        ("deep/**", ["deep/d.CSV", "deep/e.csv.gz", "deep/er/c.csv"]),
    ],
)
def test_patterns(folder: Path, pattern: str, names: list[str]) -> None:
    assert _names(folder, pattern) == names


def test_a_name_with_the_characters_of_a_pattern(folder: Path) -> None:
    (folder / "odd[1]*.csv").write_text("")
    assert _names(folder, "odd[1]*.csv") == ["odd[1]*.csv"]


def test_other_file_systems() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("/listing/b.csv", "/listing/x/a.csv"):
        memory.pipe(name, b"x")
    for found in (
        FileSet.found("memory://listing"),
        FileSet.found("/listing/**/*.csv", filesystem=memory),
        FileSet.found("memory://listing/*"),
    ):
        assert [file.path.strip("/") for file in found.files] == ["listing/b.csv", "listing/x/a.csv"]
        assert [file.size_bytes for file in found.files] == [1, 1]


def test_missing_paths(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such file"):
        _names(folder, "a.csv", "nowhere")
    with pytest.raises(FileReadError):
        _names(folder, "nowhere")
    assert _names(folder, "a.csv", "nowhere", ignore_missing_paths=True) == ["a.csv"]
    with pytest.raises(FilesNotFoundError, match="there are no files"):
        _names(folder, "nowhere", ignore_missing_paths=True)


def test_nothing_found_says_what_was_looked_for(folder: Path) -> None:
    with pytest.raises(FilesNotFoundError, match=r"/\*\.parquet: there are no files\.$"):
        _names(folder, "*.parquet")
    with pytest.raises(FilesNotFoundError, match=r"with the extensions parquet, pq\. There are 7 others"):
        _names(folder, "", file_extensions=["parquet", "pq"])
    with pytest.raises(FilesNotFoundError, match="that partition_filter lets pass"):
        _names(folder, "", partition_filter=PathPartitionFilter.of(lambda values: False))


def test_columns_in_paths(tmp_path: Path) -> None:
    for name in ("year=2023/a.csv", "year=2024/kind=b%2Fc/a.csv", "year=__HIVE_DEFAULT_PARTITION__/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = FileSet.found(tmp_path, partitioning=Partitioning("hive", field_types={"year": int}))
    assert [file.values for file in found.files] == [
        {"year": 2023},
        {"year": 2024, "kind": "b/c"},
        {"year": None},
    ]
    assert found.value_fields.names == ["year", "kind"]
    assert [str(kind) for kind in found.value_fields.types] == ["int64", "string"]
    late = PathPartitionFilter.of(lambda values: values["year"] == "2024")
    assert len(FileSet.found(tmp_path, partition_filter=late).files) == 1


def test_plain_directories_count_from_where_is_read(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    kinds = Partitioning("dir", field_names=["kind"])
    for path in (tmp_path, f"{tmp_path}/*/*.png", f"{tmp_path}/*"):
        assert [file.values for file in FileSet.found(path, partitioning=kinds).files] == [
            {"kind": "cat"},
            {"kind": "dog"},
        ]
    kinds = Partitioning("dir", field_names=["kind"], base_dir=str(tmp_path))
    assert FileSet.found(tmp_path / "dog" / "1.png", partitioning=kinds).files[0].values == {"kind": "dog"}


def test_shuffled_orders(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.csv").touch()

    def order(found: FileSet) -> list[str]:
        return [Path(file.path).stem for file in found.in_order().files]

    plain = FileSet.found(tmp_path)
    assert order(plain) == sorted(order(plain))
    fixed = FileSet.found(tmp_path, shuffle=FileShuffleConfig(7, reseed_after_execution=False))
    assert order(fixed) == order(fixed) == order(pickle.loads(pickle.dumps(fixed)))
    assert sorted(order(fixed)) == order(plain) != order(fixed)
    # Written down, so that another release does not give another order.
    assert order(fixed)[:6] == ["09", "00", "02", "15", "03", "14"]
    changing = FileSet.found(tmp_path, shuffle=FileShuffleConfig(7))
    again = FileSet.found(tmp_path, shuffle=FileShuffleConfig(7))
    runs = [order(changing) for _ in range(3)]
    assert runs == [order(again) for _ in range(3)]
    assert runs[0] != runs[1] != runs[2]
    free = FileSet.found(tmp_path, shuffle="files")
    assert order(free) != order(free)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"shuffle": "rows"}, "shuffle='rows'"),
        ({"file_extensions": "csv"}, "file_extensions='csv'"),
        ({"file_extensions": []}, "None to read all"),
        ({"partitioning": "hive"}, "partitioning='hive'"),
        ({"partition_filter": lambda values: True}, "partition_filter="),
    ],
)
def test_arguments(folder: Path, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        _names(folder, "", **arguments)


def test_a_seed_is_a_number() -> None:
    with pytest.raises(InvalidArgumentError, match="seed='x'"):
        FileShuffleConfig("x")  # type: ignore[arg-type]
