"""Sinks on an object store: a real HTTP server that speaks S3."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from shoal.data._internal.blocks.build import array_of
from shoal.data._internal.sinks.csv_sink import CSVSink
from shoal.data._internal.sinks.datasink import TaskContext, WriteResult, run_write_task
from shoal.data._internal.sinks.errors import FileWriteError
from shoal.data._internal.sinks.images_sink import ImagesSink
from shoal.data._internal.sinks.parquet_sink import ParquetSink
from shoal.data.exceptions import InvalidArgumentError

WRITE_ID = "0123456789abcdef"
OTHER_ID = "fedcba9876543210"


def numbers(start: int, stop: int) -> pa.Table:
    return pa.table({"v": range(start, stop)})


def objects(s3: fs.S3FileSystem, directory: str) -> list[str]:
    found = s3.get_file_info(fs.FileSelector(directory, recursive=True, allow_not_found=True))
    return sorted(info.path.removeprefix(f"{directory}/") for info in found if info.is_file)


def values(s3: fs.S3FileSystem, directory: str) -> list[int]:
    names = [name for name in objects(s3, directory) if not name.startswith(".")]
    return [
        value
        for name in names
        for value in pq.read_table(f"{directory}/{name}", filesystem=s3, partitioning=None)["v"].to_pylist()
    ]


def test_parquet_with_partitions(s3, drive):
    table = pa.table({"k": ["a b", None, "a b"], "v": [1, 2, 3]})
    drive(ParquetSink("s3://bucket/partitions/", filesystem=s3, partition_cols=["k"]), [[table], [table]])
    assert objects(s3, "bucket/partitions") == [
        "k=__HIVE_DEFAULT_PARTITION__/" + f"{WRITE_ID}_000000_000001.parquet",
        "k=__HIVE_DEFAULT_PARTITION__/" + f"{WRITE_ID}_000001_000001.parquet",
        "k=a%20b/" + f"{WRITE_ID}_000000_000000.parquet",
        "k=a%20b/" + f"{WRITE_ID}_000001_000000.parquet",
    ]
    assert values(s3, "bucket/partitions") == [2, 2, 1, 3, 1, 3]


def test_large_files_go_through_the_disk(s3, drive, monkeypatch):
    monkeypatch.setattr("shoal.data._internal.sinks.task_files._SPOOL_BYTES", 1 << 10)
    noise = pa.table({"v": np.random.default_rng(0).integers(0, 2**60, 1_000_000)})
    drive(ParquetSink("bucket/large", filesystem=s3), [[noise]])
    assert pq.read_table("bucket/large", filesystem=s3).equals(noise)


def test_text_and_images(s3, drive):
    drive(CSVSink("bucket/csv", filesystem=s3, arrow_open_stream_args={"compression": "gzip"}), [[numbers(0, 2)]])
    (name,) = objects(s3, "bucket/csv")
    with s3.open_input_stream(f"bucket/csv/{name}", compression="gzip") as stream:
        assert stream.read() == b'"v"\n0\n1\n'
    drive(
        ImagesSink("bucket/png", "image", filesystem=s3),
        [[pa.table({"image": array_of(np.zeros((2, 3, 3), np.uint8))})]],
    )
    assert len(objects(s3, "bucket/png")) == 2


def test_the_same_write_again_replaces_its_objects(s3, drive):
    drive(ParquetSink("bucket/again", filesystem=s3, max_rows_per_file=1), [[numbers(0, 2)], [numbers(2, 4)]])
    drive(ParquetSink("bucket/again", filesystem=s3), [[numbers(4, 5)]], write_id=OTHER_ID)
    drive(ParquetSink("bucket/again", filesystem=s3), [[numbers(0, 4)]])
    assert values(s3, "bucket/again") == [0, 1, 2, 3, 4]


def test_a_failed_task_leaves_no_object(s3, drive):
    def broken() -> Any:
        yield numbers(0, 3)
        assert len(objects(s3, "bucket/failed")) == 2  # what is complete is there
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        drive(ParquetSink("bucket/failed", filesystem=s3, max_rows_per_file=1), [[numbers(0, 1)], [numbers(0, 0)]])
        drive(ParquetSink("bucket/failed", filesystem=s3, max_rows_per_file=2), [[numbers(0, 1)], broken()])
    assert objects(s3, "bucket/failed") == [f"{WRITE_ID}_000000_000000.parquet"]


def test_overwrite_shows_the_old_objects_until_the_end(s3, drive):
    drive(ParquetSink("bucket/over", filesystem=s3), [[numbers(0, 3)]], write_id=OTHER_ID)
    sink = ParquetSink("bucket/over", filesystem=s3, mode="overwrite")
    sink.set_write_id(WRITE_ID)
    sink.on_write_start(None)
    results = [run_write_task(sink, [numbers(index, index + 1)], TaskContext(index, WRITE_ID)) for index in (5, 6)]
    assert values(s3, "bucket/over") == [0, 1, 2]
    sink.on_write_complete(WriteResult.combine(*results))
    assert values(s3, "bucket/over") == [5, 6]
    assert objects(s3, "bucket/over") == [f"{WRITE_ID}_00000{index}_000000.parquet" for index in (5, 6)]


def test_overwrite_that_fails_keeps_the_old_objects(s3, drive):
    drive(ParquetSink("bucket/kept", filesystem=s3), [[numbers(0, 3)]])

    def broken() -> Any:
        yield numbers(5, 6)
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        drive(ParquetSink("bucket/kept", filesystem=s3, mode="overwrite"), [[numbers(3, 5)], broken()])
    assert objects(s3, "bucket/kept") == [f"{WRITE_ID}_000000_000000.parquet"]
    assert values(s3, "bucket/kept") == [0, 1, 2]


PROGRAM = """
import pickle, sys, time
import pyarrow as pa
from shoal.data._internal.sinks.datasink import TaskContext, run_write_task

def blocks():
    yield pa.table({"v": [4, 5, 6]})
    print("half", flush=True)
    time.sleep(60)

sink = pickle.loads(bytes.fromhex(sys.argv[1]))
sink.set_write_id(sys.argv[2])
sink.on_write_start(None)
run_write_task(sink, [pa.table({"v": [0, 1]})], TaskContext(0, sys.argv[2]))
run_write_task(sink, blocks(), TaskContext(1, sys.argv[2]))
"""


@pytest.mark.parametrize("mode", ["append", "ignore"])
def test_a_killed_job_leaves_whole_objects_and_its_next_run_writes_each_row_once(s3, drive, mode):
    import pickle

    sink = ParquetSink(f"bucket/killed-{mode}", filesystem=s3, max_rows_per_file=2, mode=mode)
    command = [sys.executable, "-c", PROGRAM, pickle.dumps(sink).hex(), WRITE_ID]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer, writer.stdout:
        assert writer.stdout.readline() == "half\n"
        writer.send_signal(signal.SIGKILL)
    assert values(s3, f"bucket/killed-{mode}") == [0, 1, 4, 5]
    drive(ParquetSink(f"bucket/killed-{mode}", filesystem=s3, mode=mode), [[numbers(0, 4)], [numbers(4, 8)]])
    assert values(s3, f"bucket/killed-{mode}") == list(range(8))
    assert len(objects(s3, f"bucket/killed-{mode}")) == 2


def test_modes(s3, drive):
    drive(ParquetSink("bucket/modes", filesystem=s3, mode="error"), [[numbers(0, 1)]])
    with pytest.raises(InvalidArgumentError, match="there are files already"):
        drive(ParquetSink("bucket/modes", filesystem=s3, mode="create"), [[numbers(0, 1)]])
    assert drive(ParquetSink("bucket/modes", filesystem=s3, mode="ignore"), [[numbers(1, 2)]]) is None
    assert values(s3, "bucket/modes") == [0]


def test_a_bucket_that_does_not_exist_is_named(s3, drive):
    with pytest.raises(FileWriteError, match=r"no-bucket/out/\S+\.parquet cannot be written"):
        drive(ParquetSink("no-bucket/out", filesystem=s3), [[numbers(0, 1)]])
