"""What all sinks of files promise, shown with Parquet and with formats of users."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, fs

from shoal.data._internal.sinks.datasink import Datasink, TaskContext, WriteResult, run_write_task
from shoal.data._internal.sinks.errors import FileWriteError
from shoal.data._internal.sinks.file_sink import FileSink
from shoal.data._internal.sinks.filename_provider import FilenameProvider
from shoal.data._internal.sinks.parquet_sink import ParquetSink
from shoal.data._internal.sinks.save_mode import SaveMode
from shoal.data.datasource.datasink import BlockBasedFileDatasink, RowBasedFileDatasink
from shoal.data.exceptions import InvalidArgumentError

WRITE_ID = "0123456789abcdef"
OTHER_ID = "fedcba9876543210"


def numbers(start: int, stop: int) -> pa.Table:
    return pa.table({"v": range(start, stop)})


def values(directory: Path) -> list[int]:
    """All rows of the visible files, in the order of the files' names."""
    files = sorted(path for path in directory.rglob("*.parquet") if not path.name.startswith("."))
    return [value for file in files for value in pq.read_table(file, partitioning=None)["v"].to_pylist()]


class FailingTexts(RowBasedFileDatasink):
    def __init__(self, path: Path, fail_at: int, **arguments: Any) -> None:
        super().__init__(path, file_format="txt", **arguments)
        self.fail_at = fail_at

    def write_row_to_file(self, row: dict[str, Any], file: Any) -> None:
        file.write(b"x" * 100)
        if row["v"] == self.fail_at:
            raise RuntimeError("at the row")


def test_names_derive_from_write_task_and_number(tmp_path, drive, all_files):
    drive(ParquetSink(tmp_path, max_rows_per_file=3), [[numbers(0, 5)], [numbers(5, 7), numbers(7, 8)]])
    assert all_files(tmp_path) == [
        f"{WRITE_ID}_000000_000000.parquet",
        f"{WRITE_ID}_000000_000001.parquet",
        f"{WRITE_ID}_000001_000000.parquet",
    ]
    assert values(tmp_path) == list(range(8))


def test_counts_and_returns(tmp_path, drive):
    result = drive(ParquetSink(tmp_path), [[numbers(0, 5), numbers(5, 6)], [numbers(6, 8)]])
    assert (result.num_rows, result.size_bytes) == (8, 64)
    assert [[file.path for file in files] for files in result.write_returns] == [
        [f"{WRITE_ID}_000000_000000.parquet"],
        [f"{WRITE_ID}_000001_000000.parquet"],
    ]


def test_append_leaves_other_writes_alone(tmp_path, drive):
    drive(ParquetSink(tmp_path), [[numbers(0, 2)]])
    drive(ParquetSink(tmp_path), [[numbers(2, 4)]], write_id=OTHER_ID)
    assert values(tmp_path) == [0, 1, 2, 3]


def test_the_same_write_again_replaces_its_files_and_removes_stale_ones(tmp_path, drive):
    drive(ParquetSink(tmp_path), [[numbers(9, 10)]], write_id=OTHER_ID)
    drive(ParquetSink(tmp_path, max_rows_per_file=1), [[numbers(0, 2)], [numbers(2, 4)]])
    assert len(values(tmp_path)) == 5
    drive(ParquetSink(tmp_path), [[numbers(0, 4)]])
    assert values(tmp_path) == [0, 1, 2, 3, 9]


def test_files_that_only_look_alike_are_not_stale(tmp_path, drive, all_files):
    foreign = [
        "w_000000.parquet",
        "w_000000_000001.csv",
        "xw_000000_000001.parquet",
        "w_000000_000001.parquet.bak",
        "w.parquet",
    ]
    for name in foreign:
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / "w_000000_000009.parquet").write_bytes(b"stale")
    drive(ParquetSink(tmp_path), [[numbers(0, 1)]], write_id="w")
    assert all_files(tmp_path) == sorted([*foreign, "w_000000_000000.parquet"])


def test_a_short_write_id_never_removes_files_that_a_provider_named(tmp_path, drive, all_files):
    class Named(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"part_{task_index}_{write_uuid}.parquet"

    (tmp_path / "other_a_table.parquet").write_bytes(b"mine")
    drive(ParquetSink(tmp_path, filename_provider=Named()), [[numbers(0, 1)]], write_id="a")
    assert all_files(tmp_path) == ["other_a_table.parquet", "part_0_a_000000.parquet"]
    (tmp_path / f"part_7_{WRITE_ID}_000000.parquet").write_bytes(b"stale")
    drive(ParquetSink(tmp_path, filename_provider=Named()), [[numbers(0, 1)]], write_id=WRITE_ID)
    assert f"part_7_{WRITE_ID}_000000.parquet" not in all_files(tmp_path)


def test_empty_blocks_and_datasets_write_nothing(tmp_path, drive):
    drive(ParquetSink(tmp_path / "out"), [[numbers(0, 0)], []])
    assert not (tmp_path / "out").exists()
    (tmp_path / "kept").mkdir()
    drive(ParquetSink(tmp_path / "kept"), [[numbers(0, 0)]])
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize("mode", ["create", SaveMode.ERROR])
def test_error_modes_raise_before_any_task(tmp_path, drive, mode):
    drive(ParquetSink(tmp_path, mode=mode), [[numbers(0, 2)]])
    sink = ParquetSink(tmp_path, mode=mode)
    sink.set_write_id(WRITE_ID)
    with pytest.raises(InvalidArgumentError, match=r"there are files already .*overwrite"):
        sink.on_write_start(None)
    assert values(tmp_path) == [0, 1]


def test_ignore_writes_nothing_where_there_are_files(tmp_path, drive, all_files):
    sink = ParquetSink(tmp_path, mode="ignore")
    assert drive(sink, [[numbers(0, 2)]]) is not None
    again = ParquetSink(tmp_path, mode="ignore")
    assert drive(again, [[numbers(5, 9)]], write_id=OTHER_ID) is None
    assert again.skips_write
    assert again.write([numbers(5, 9)], TaskContext(0, OTHER_ID)) == []
    again.on_write_complete(WriteResult(0, 0, []))
    assert all_files(tmp_path) == [f"{WRITE_ID}_000000_000000.parquet"]


def test_overwrite_replaces_everything_at_the_end_only(tmp_path, drive, all_files):
    (tmp_path / "old" / "deep").mkdir(parents=True)
    pq.write_table(numbers(100, 103), tmp_path / "old" / "deep" / "a.parquet")
    (tmp_path / "_SUCCESS").touch()
    sink = ParquetSink(tmp_path, mode="overwrite", partition_cols=["k"])
    sink.set_write_id(WRITE_ID)
    sink.on_write_start(None)
    table = pa.table({"k": ["old", "new"], "v": [1, 2]})
    results = [run_write_task(sink, [table], TaskContext(index, WRITE_ID)) for index in range(2)]
    assert values(tmp_path) == [100, 101, 102]
    sink.on_write_complete(WriteResult.combine(*results))
    assert sorted(values(tmp_path)) == [1, 1, 2, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k=new", "k=old"]
    assert len(all_files(tmp_path)) == 4


def test_overwrite_that_fails_keeps_the_old_files(tmp_path, drive, all_files):
    drive(ParquetSink(tmp_path), [[numbers(0, 3)]], write_id=OTHER_ID)

    def broken() -> Any:
        yield numbers(5, 6)
        raise RuntimeError("in the second block")

    with pytest.raises(RuntimeError, match="second block"):
        drive(ParquetSink(tmp_path, mode="overwrite"), [[numbers(3, 5)], broken()])
    assert all_files(tmp_path) == [f"{OTHER_ID}_000000_000000.parquet"]
    assert values(tmp_path) == [0, 1, 2]


def test_a_failed_task_leaves_no_file_and_a_finished_one_keeps_its_own(tmp_path, drive, all_files):
    with pytest.raises(RuntimeError, match="at the row"):
        drive(FailingTexts(tmp_path / "out", fail_at=3), [[numbers(0, 2)], [numbers(2, 6)]])
    assert all_files(tmp_path / "out") == [f"{WRITE_ID}_000000_000000_00000{row}.txt" for row in range(2)]
    with pytest.raises(RuntimeError, match="at the row"):
        drive(FailingTexts(tmp_path / "first", fail_at=0), [[numbers(0, 2)]])
    assert not (tmp_path / "first").exists()


def test_interrupts_clean_up_too(tmp_path, all_files):
    def interrupted() -> Any:
        yield numbers(0, 10)
        assert len(all_files(tmp_path)) == 10  # hidden, but there
        raise KeyboardInterrupt

    sink = ParquetSink(tmp_path, max_rows_per_file=1)
    with pytest.raises(KeyboardInterrupt):
        sink.write(interrupted(), TaskContext(0, WRITE_ID))
    assert all_files(tmp_path) == []


PROGRAM = """
import sys, time
import pyarrow as pa
from shoal.data._internal.sinks.datasink import TaskContext, run_write_task
from shoal.data._internal.sinks.parquet_sink import ParquetSink

def blocks():
    yield pa.table({"v": [4, 5]})
    print("half", flush=True)
    time.sleep(60)

sink = ParquetSink(sys.argv[1], max_rows_per_file=1, mode=sys.argv[2])
sink.set_write_id(sys.argv[3])
sink.on_write_start(None)
run_write_task(sink, [pa.table({"v": [0, 1]})], TaskContext(0, sys.argv[3]))
run_write_task(sink, blocks(), TaskContext(1, sys.argv[3]))
"""


@pytest.mark.parametrize("mode", ["append", "ignore", "error", "overwrite"])
def test_a_killed_job_leaves_whole_files_and_its_next_run_writes_each_row_once(tmp_path, drive, all_files, mode):
    directory = tmp_path / "out"
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(directory), mode, WRITE_ID],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    with writer, writer.stdout:
        assert writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
    assert values(directory) == ([] if mode == "overwrite" else [0, 1])
    assert any(name.startswith(".") and name.endswith(".tmp") for name in all_files(directory))
    drive(ParquetSink(directory, mode=mode), [[numbers(0, 4)], [numbers(4, 8)]])
    assert values(directory) == list(range(8))
    assert all_files(directory) == [f"{WRITE_ID}_00000{task}_000000.parquet" for task in range(2)]
    if mode in {"ignore", "error"}:
        # Now it is complete, so it counts as something that is there.
        again = ParquetSink(directory, mode=mode)
        if mode == "ignore":
            assert drive(again, [[numbers(0, 1)]]) is None
        else:
            with pytest.raises(InvalidArgumentError):
                drive(again, [[numbers(0, 1)]])


def test_an_attempt_that_died_does_not_disturb_the_next_one(tmp_path, drive, all_files):
    sink = ParquetSink(tmp_path)
    sink.set_write_id(WRITE_ID)
    sink.on_write_start(None)
    blocks = iter([numbers(0, 2)])

    def slow() -> Any:
        yield next(blocks)
        second = run_write_task(sink, [numbers(0, 2)], TaskContext(0, WRITE_ID))
        assert second.num_rows == 2

    first = run_write_task(sink, slow(), TaskContext(0, WRITE_ID))
    sink.on_write_complete(first)
    assert values(tmp_path) == [0, 1]
    assert len(all_files(tmp_path)) == 1


def test_disk_full_names_the_file(tmp_path):
    # No file may grow beyond 64 KiB: the same error path as a full disk, from the kernel.
    program = """
    import resource, signal, sys
    import numpy as np, pyarrow as pa
    from shoal.data._internal.sinks.datasink import TaskContext
    from shoal.data._internal.sinks.errors import FileWriteError
    from shoal.data._internal.sinks.parquet_sink import ParquetSink
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
    noise = pa.table({"v": np.random.default_rng(0).random(100_000)})
    try:
        ParquetSink(sys.argv[1]).write([noise], TaskContext(0, "w"))
    except FileWriteError as error:
        print(error.path, error.errno)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.stdout.split() == [str(tmp_path / "w_000000_000000.parquet"), "27"], done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_no_space_gives_advice(tmp_path):
    error = FileWriteError("/x", "No space left on device", 28)
    assert str(error) == "/x cannot be written: No space left on device. Free some space, or write to another disk."
    assert isinstance(error, OSError)
    assert error.errno == 28


def test_user_formats_by_block_and_by_row(tmp_path, drive, all_files):
    class Tables(BlockBasedFileDatasink):
        def __init__(self, path: Path) -> None:
            super().__init__(path, file_format="csv", min_rows_per_file=10)

        def write_block_to_file(self, block: Any, file: Any) -> None:
            csv.write_csv(block.to_arrow(), file)

    sink = Tables(tmp_path / "blocks")
    assert sink.min_rows_per_write == 10
    assert sink.get_name() == "Tables"
    drive(sink, [[numbers(0, 2), numbers(2, 3)]])
    (file,) = (tmp_path / "blocks").iterdir()
    assert file.read_text() == '"v"\n0\n1\n2\n'
    drive(FailingTexts(tmp_path / "rows", fail_at=-1), [[numbers(0, 2)]])
    assert all_files(tmp_path / "rows") == [f"{WRITE_ID}_000000_000000_00000{row}.txt" for row in range(2)]


def test_compression_is_that_of_the_final_name_or_as_asked(tmp_path, drive):
    class Zipped(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"{write_uuid}_{task_index}_{{i}}.txt.gz"

    drive(FailingTexts(tmp_path / "name", -1, filename_provider=Zipped()), [[numbers(0, 1)]])
    drive(FailingTexts(tmp_path / "asked", -1, open_stream_args={"compression": "gzip"}), [[numbers(0, 1)]])
    for directory in ("name", "asked"):
        (file,) = (tmp_path / directory).iterdir()
        assert file.read_bytes()[:2] == b"\x1f\x8b"
        with pa.input_stream(file, compression="gzip") as stream:
            assert stream.read() == b"x" * 100


class Constant(FilenameProvider):
    def get_filename_for_block(self, block: Any, write_uuid: str, task_index: int, block_index: int) -> str:
        return f"{write_uuid}.parquet"


def test_names_that_come_twice_are_an_error(tmp_path, drive):
    with pytest.raises(InvalidArgumentError, match="comes twice in task 0"):
        drive(ParquetSink(tmp_path / "a", max_rows_per_file=1, filename_provider=Constant()), [[numbers(0, 2)]])
    with pytest.raises(InvalidArgumentError, match="index of the task"):
        drive(ParquetSink(tmp_path / "b", filename_provider=Constant()), [[numbers(0, 1)], [numbers(1, 2)]])


@pytest.mark.parametrize("name", ["", "a/b", "..", None, 3])
def test_names_that_are_none_are_an_error(tmp_path, drive, name):
    class Odd(FilenameProvider):
        def get_filename_for_row(self, *arguments: Any, **named: Any) -> Any:
            return name

    sink = FailingTexts(tmp_path, -1, filename_provider=Odd())
    with pytest.raises(InvalidArgumentError, match="no name of a file"):
        sink.write([numbers(0, 1)], TaskContext(0, WRITE_ID))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"path": ""}, "path=''"),
        ({"path": 3}, "path=3"),
        ({"path": "nosuch://bucket/x"}, "nosuch"),
        ({"path": "https://example.com/x"}, "can only be read"),
        ({"mode": "replace"}, "mode='replace'.*'append'"),
        ({"mode": SaveMode.UPSERT}, "write_iceberg"),
        ({"path": "/", "mode": "overwrite"}, "everything"),
        ({"filesystem": object()}, "filesystem="),
        ({"filename_provider": "x"}, "FilenameProvider"),
        ({"arrow_open_stream_args": {"compresion": "gzip"}}, "compresion"),
        ({"max_rows_per_file": 0}, "max_rows_per_file=0"),
        ({"min_rows_per_file": 2.5}, "min_rows_per_file=2.5"),
        ({"min_rows_per_file": True}, "min_rows_per_file=True"),
        ({"min_rows_per_file": 9, "max_rows_per_file": 3}, "more than max_rows_per_file=3"),
        ({"min_bytes_per_file": 9, "max_rows_per_file": 3}, "bytes or rows"),
    ],
)
def test_bad_arguments_are_errors_at_once(tmp_path, arguments, text):
    with pytest.raises(InvalidArgumentError, match=text):
        ParquetSink(**{"path": tmp_path, **arguments})


@pytest.mark.parametrize("write_id", ["", "a/b", ".x", "x" * 129, 7])
def test_bad_write_ids(tmp_path, write_id):
    with pytest.raises(InvalidArgumentError, match="write_id="):
        ParquetSink(tmp_path).set_write_id(write_id)


def test_paths_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="this is a file"):
        ParquetSink(tmp_path / "file").on_write_start(None)
    with pytest.raises(InvalidArgumentError, match="try_create_dir is False"):
        ParquetSink(tmp_path / "none", try_create_dir=False).on_write_start(None)
    with pytest.raises(FileWriteError, match="file/below"):
        ParquetSink(tmp_path / "file" / "below").on_write_start(None)
    sink = ParquetSink("/proc/nothing/here")
    with pytest.raises(FileWriteError, match="/proc/nothing/here"):
        sink.on_write_start(None)


def test_paths_are_those_of_the_driver(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ParquetSink("out").path == str(tmp_path / "out")
    assert ParquetSink("~/out").path == os.path.expanduser("~/out")
    assert ParquetSink(f"file://{tmp_path}/out/").path == str(tmp_path / "out")
    assert ParquetSink("out").supports_distributed_writes
    local = ParquetSink(f"local://{tmp_path}/out")
    assert local.path == str(tmp_path / "out")
    assert not local.supports_distributed_writes


def test_fsspec_and_subtree_file_systems(tmp_path, drive):
    import fsspec

    drive(ParquetSink(tmp_path / "a", filesystem=fsspec.filesystem("file")), [[numbers(0, 2)]])
    assert values(tmp_path / "a") == [0, 1]
    below = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    drive(ParquetSink("b", filesystem=below, partition_cols=["k"]), [[pa.table({"k": [1], "v": [2]})]])
    assert values(tmp_path / "b") == [2]
    memory = fsspec.filesystem("memory")
    drive(ParquetSink("memory://c", max_rows_per_file=1), [[numbers(0, 2)]])
    assert sorted(name.rpartition("/")[2] for name in memory.ls("/c", detail=False)) == [
        f"{WRITE_ID}_000000_00000{number}.parquet" for number in range(2)
    ]


def test_a_sink_of_ones_own_needs_only_write(drive):
    class Count(Datasink[int]):
        def write(self, blocks: Any, ctx: TaskContext) -> int:
            return sum(block.num_rows for block in blocks)

    sink = Count()
    sink.set_write_id("w")
    sink.on_write_start(None)
    result = run_write_task(sink, [numbers(0, 3), numbers(3, 4)], TaskContext(0, "w"))
    assert (result.num_rows, result.write_returns) == (4, [4])
    assert (sink.min_rows_per_write, sink.min_bytes_per_write, sink.supports_distributed_writes) == (None, None, True)
    sink.on_write_complete(result)
    sink.on_write_failed(ValueError())
    assert sink.get_name() == "Count"
    assert ParquetSink("x").get_name() == "Parquet"
    assert isinstance(ParquetSink("x"), FileSink)
