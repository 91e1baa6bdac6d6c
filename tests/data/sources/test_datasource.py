"""Sources that users write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shoal.data._internal.sources.datasource import DatasourceSource
from shoal.data.block import BlockMetadata
from shoal.data.datasource import Datasource, FileBasedDatasource, Partitioning, ReadTask
from shoal.data.exceptions import BatchTypeError, FileReadError, InvalidArgumentError

Rows = Callable[..., list[dict[str, Any]]]

BLOCKS: list[Any] = [
    pa.table({"x": [0, 1]}),
    pa.record_batch({"x": [2]}),
    pd.DataFrame({"x": [3, 4]}),
    {"x": np.array([5])},
]


class NumbersDatasource(Datasource):
    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        assert data_context == "settings"
        half = [BLOCKS[:2], BLOCKS[2:]]
        return [ReadTask(lambda blocks=blocks: blocks, BlockMetadata(3, 24)) for blocks in half]

    def estimate_inmemory_data_size(self) -> int:
        return 48


def test_blocks_of_all_kinds(rows: Rows) -> None:
    source = DatasourceSource(NumbersDatasource(), "settings")  # type: ignore[arg-type]
    assert source.name == "Numbers"
    assert source.size_bytes() == 48
    assert source.supports_distributed_reads
    assert rows(source) == [{"x": number} for number in range(6)]
    assert rows(source, 2, 2) == [{"x": 0}, {"x": 1}, {"x": 3}, {"x": 4}]
    assert [task.metadata.num_rows for task in source.read_tasks(2)] == [3, 3]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: type(block).__name__)
def test_a_block_alone_and_an_old_signature(rows: Rows, block: Any) -> None:
    class Old(Datasource):
        def get_read_tasks(self, parallelism: int) -> list[ReadTask]:  # type: ignore[override]
            return [ReadTask(lambda: block, BlockMetadata(1, 8))] * parallelism

    assert len(rows(DatasourceSource(Old()), 2)) in {2, 4}
    assert DatasourceSource(Old()).size_bytes() is None


def test_mistakes(rows: Rows) -> None:
    class Mistaken(Datasource):
        def __init__(self, *tasks: Any) -> None:
            self.tasks = tasks

        def get_read_tasks(
            self, parallelism: int, per_task_row_limit: Any = None, data_context: Any = None
        ) -> list[Any]:
            return list(self.tasks)

    with pytest.raises(BatchTypeError, match="get_read_tasks returns ReadTasks"):
        DatasourceSource(Mistaken(3)).read_tasks(1)
    with pytest.raises(BatchTypeError, match="read task of Mistaken gives 3"):
        rows(DatasourceSource(Mistaken(ReadTask(lambda: 3, BlockMetadata(1, 1)))))  # type: ignore[arg-type,return-value]
    with pytest.raises(BatchTypeError, match=r"read task of Mistaken.*'x'"):
        rows(DatasourceSource(Mistaken(ReadTask(lambda: ["x"], BlockMetadata(1, 1)))))  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidArgumentError, match="datasource='csv'"):
        DatasourceSource("csv")  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="Datasource has to override get_read_tasks"):
        DatasourceSource(Datasource()).read_tasks(1)


class IniDatasource(FileBasedDatasource):
    _FILE_EXTENSIONS = ("ini",)

    def _read_stream(self, f: Any, path: str) -> Iterator[Any]:
        for line in f.read().decode().splitlines():
            key, value = line.split("=")
            yield {"key": [key], "value": [value]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for year in (2023, 2024):
        (tmp_path / str(year)).mkdir()
        (tmp_path / str(year) / "a.ini").write_text(f"year={year}\nlast={year - 1}")
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def test_files_of_a_format_of_ones_own(folder: Path, rows: Rows) -> None:
    datasource = IniDatasource(folder, partitioning=Partitioning("dir", field_names=["folder"]), include_paths=True)
    source = DatasourceSource(datasource)
    assert source.name == "Ini"
    assert len(datasource.input_files()) == 2
    assert source.size_bytes() == 2 * 19
    assert rows(source, 2)[2:] == [
        {"key": "year", "value": "2024", "folder": "2024", "path": f"{folder}/2024/a.ini"},
        {"key": "last", "value": "2023", "folder": "2024", "path": f"{folder}/2024/a.ini"},
    ]
    assert len(rows(source, 2, 1)) == 2
    assert not IniDatasource(f"local://{folder}").supports_distributed_reads


def test_a_task_knows_its_own_files_only(folder: Path) -> None:
    import pickle

    first, _ = IniDatasource(folder).get_read_tasks(2)
    assert b"2024" not in pickle.dumps(first)


def test_errors_name_the_file(folder: Path, rows: Rows) -> None:
    (folder / "2024" / "a.ini").write_text("no pair")
    with pytest.raises(ValueError, match="not enough values") as caught:
        rows(DatasourceSource(IniDatasource(folder)))
    assert caught.value.__notes__ == [f"while IniDatasource read {folder}/2024/a.ini"]
    with pytest.raises(FileReadError, match="extensions ini"):
        IniDatasource(folder / "notes.txt")
    with pytest.raises(NotImplementedError, match="override _read_stream"):
        rows(DatasourceSource(FileBasedDatasource(folder)))


def test_files_may_be_opened_in_another_way(folder: Path, rows: Rows) -> None:
    class Backwards(IniDatasource):
        def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> Any:
            assert open_args == {"buffer_size": 64}
            return filesystem.open_input_file(path)

        def _read_stream(self, f: Any, path: str) -> Iterator[Any]:
            f.seek(f.size() - 4)
            yield {"end": [f.read()]}

    source = DatasourceSource(Backwards(folder, open_stream_args={"buffer_size": 64}))
    assert rows(source) == [{"end": b"2022"}, {"end": b"2023"}]
