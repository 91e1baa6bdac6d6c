from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.blocks.convert import to_rows
from shoal.data._internal.sinks.filename_provider import FilenameProvider
from shoal.data._internal.sinks.parquet_sink import ParquetSink
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError, SchemaMismatchError


def only_file(directory: Path) -> Path:
    (file,) = directory.iterdir()
    return file


def everything() -> pa.Table:
    return pa.table(
        {
            "i": pa.array([1, None], pa.int8()),
            "f": [float("nan"), None],
            "s": ["é" * 100_000, None],
            "b": [b"\xff", None],
            "l": [[1, None], None],
            "m": [{"a": [{"x": 1}]}, None],
            "d": pa.array(["a", None]).dictionary_encode(),
            "t": pa.array([datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None]),
            "n": pa.nulls(2),
            "e": pa.array([decimal.Decimal("1.50"), None]),
            "tensor": array_of(np.arange(12).reshape(2, 2, 3)),
            "ragged": array_of([np.zeros((1, 2)), np.ones((2, 2))]),
        }
    )


def test_all_types_come_back(tmp_path, drive):
    drive(ParquetSink(tmp_path), [[everything()]])
    back = pq.read_table(only_file(tmp_path))
    assert back.schema.equals(everything().schema)
    for read, expected in zip(to_rows(back), to_rows(everything()), strict=True):
        np.testing.assert_equal(read, expected)


def test_blocks_of_a_task_get_one_schema(tmp_path, drive):
    blocks = [pa.table({"a": pa.nulls(1)}), pa.table({"a": [1], "b": ["x"]}), pa.table({"a": [1.5]})]
    drive(ParquetSink(tmp_path), [blocks])
    assert pq.read_table(only_file(tmp_path)).to_pydict() == {"a": [None, 1.0, 1.5], "b": [None, "x", None]}
    with pytest.raises(SchemaMismatchError, match="'a'"):
        drive(ParquetSink(tmp_path), [[pa.table({"a": [1]}), pa.table({"a": ["x"]})]])


def test_large_tasks_are_written_as_they_come(tmp_path, drive, monkeypatch):
    monkeypatch.setattr("shoal.data._internal.sinks.table_file_sink._BATCH_BYTES", 64)
    narrow, fits, wider = (
        pa.table({"a": range(10)}),
        pa.table({"a": pa.array([1], pa.int8())}),
        pa.table({"a": [0.5] * 10, "b": ["x"] * 10}),
    )
    drive(ParquetSink(tmp_path), [[narrow, fits, narrow, wider]])
    first, second = (pq.ParquetFile(path) for path in sorted(tmp_path.iterdir()))
    with first, second:
        assert first.read()["a"].to_pylist() == [*range(10), 1, *range(10)]
        assert [first.metadata.row_group(index).num_rows for index in range(first.num_row_groups)] == [10, 11]
        assert second.read().equals(wider)


def test_row_group_size_is_kept_across_blocks(tmp_path, drive, monkeypatch):
    monkeypatch.setattr("shoal.data._internal.sinks.table_file_sink._BATCH_BYTES", 1)
    blocks = [pa.table({"a": range(start, start + 3)}) for start in range(0, 30, 3)]
    drive(ParquetSink(tmp_path, arrow_parquet_args={"row_group_size": 4}, max_rows_per_file=18), [blocks])
    sizes = []
    for path in sorted(tmp_path.iterdir()):
        metadata = pq.read_metadata(path)
        sizes.append([metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)])
    assert sizes == [[4, 4, 4, 4, 2], [4, 4, 4]]


def test_arguments_reach_the_writer(tmp_path, drive):
    schema = pa.schema([("v", pa.float32()), ("w", pa.int16())])
    arguments = {"compression": "zstd", "use_dictionary": False}
    sink = ParquetSink(
        tmp_path, arrow_parquet_args=arguments, arrow_parquet_args_fn=lambda: {"schema": schema, "compression": "gzip"}
    )
    drive(sink, [[pa.table({"w": [1], "v": [2]})]])
    file = only_file(tmp_path)
    assert pq.read_schema(file).equals(schema)
    assert pq.read_metadata(file).row_group(0).column(0).compression == "GZIP"


def test_stream_compression_is_that_of_the_columns(tmp_path, drive):
    drive(ParquetSink(tmp_path, arrow_open_stream_args={"compression": "gzip"}), [[pa.table({"v": [1]})]])
    assert pq.read_metadata(only_file(tmp_path)).row_group(0).column(0).compression == "GZIP"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"arrow_parquet_args": {"compresion": "gzip"}}, "'compresion'.*Did you mean 'compression'"),
        ({"arrow_parquet_args": {"row_group_size": 0}}, "row_group_size=0"),
        ({"arrow_parquet_args": {"partitioning_flavor": "hive"}}, "partition_cols"),
        ({"partition_cols": "k", "arrow_parquet_args": {"partitioning_flavor": "x"}}, "'hive'"),
        ({"partition_cols": ["k", "k"]}, "named twice"),
        ({"partition_cols": [3]}, "3 is none"),
        ({"min_bytes_per_file": -1}, "min_bytes_per_file=-1"),
    ],
)
def test_bad_arguments(tmp_path, arguments, text):
    with pytest.raises(InvalidArgumentError, match=text):
        ParquetSink(tmp_path, **arguments)


def test_what_parquet_cannot_hold_is_an_error_that_names_the_column(tmp_path, drive):
    with pytest.raises(InvalidArgumentError, match="'x' holds Python objects"):
        drive(ParquetSink(tmp_path), [[table_of_rows([{"x": {1, 2}}])]])
    with pytest.raises(InvalidArgumentError, match="no columns"):
        drive(ParquetSink(tmp_path), [[table_of_rows([{}, {}])]])
    with pytest.raises(InvalidArgumentError, match="same columns"):
        schema = pa.schema([("y", pa.int64())])
        drive(ParquetSink(tmp_path, arrow_parquet_args={"schema": schema}), [[pa.table({"x": [1]})]])
    assert list(tmp_path.iterdir()) == []


def test_files_of_earlier_writes_are_not_replaced_by_chance(tmp_path, drive):
    class Named(FilenameProvider):
        def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
            return f"part-{task_index}"

    with pytest.raises(InvalidArgumentError, match="id of the write"):
        drive(ParquetSink(tmp_path, filename_provider=Named()), [[pa.table({"v": [1]})]])
    drive(ParquetSink(tmp_path, filename_provider=Named(), mode="overwrite"), [[pa.table({"v": [1]})]])
    assert only_file(tmp_path).name == "part-0_000000.parquet"


def test_rows_and_bytes_per_file_are_for_the_bundling(tmp_path):
    assert ParquetSink(tmp_path, min_rows_per_file=5, max_rows_per_file=5).min_rows_per_write == 5
    assert ParquetSink(tmp_path, min_bytes_per_file=1 << 20).min_bytes_per_write == 1 << 20


def test_partitions_keep_the_order_of_rows(tmp_path, drive):
    first = pa.table({"k": ["b", None, "a", "b"], "v": [1, 2, 3, 4]})
    second = pa.table({"k": pa.array(["a", "b"]).dictionary_encode(), "v": [5, 6]})
    drive(
        ParquetSink(tmp_path, partition_cols="k"), [[first, second.set_column(0, "k", second["k"].cast(pa.string()))]]
    )
    read = {path.name: pq.read_table(path, partitioning=None).to_pydict() for path in tmp_path.iterdir()}
    assert read == {"k=b": {"v": [1, 4, 6]}, "k=a": {"v": [3, 5]}, "k=__HIVE_DEFAULT_PARTITION__": {"v": [2]}}


def test_directories_without_names(tmp_path, drive):
    sink = ParquetSink(tmp_path, partition_cols=["y", "m"], arrow_parquet_args={"partitioning_flavor": None})
    drive(sink, [[pa.table({"y": [2020, 2021], "m": ["a/b", "c"], "v": [1, 2]})]])
    assert sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet")) == [
        "2020/a%2Fb",
        "2021/c",
    ]


@pytest.mark.parametrize("name", ["a=b", "a/b", "a%20b", "a b"])
def test_names_of_partition_columns_come_back(tmp_path, drive, name):
    drive(ParquetSink(tmp_path, partition_cols=[name]), [[pa.table({name: [7], "v": [1]})]])
    assert ds.dataset(tmp_path, partitioning="hive").to_table().to_pydict() == {"v": [1], name: [7]}


def test_values_never_lead_out_of_the_directory(tmp_path, drive):
    table = pa.table({"k": ["../../x", "..", "."], "v": [1, 2, 3]})
    drive(ParquetSink(tmp_path / "hive", partition_cols=["k"]), [[table]])
    assert sorted(path.name for path in (tmp_path / "hive").iterdir()) == ["k=.", "k=..", "k=..%2F..%2Fx"]
    bare = {"partition_cols": ["k"], "arrow_parquet_args": {"partitioning_flavor": None}}
    with pytest.raises(InvalidArgumentError, match=r"'k' has the value '\.\.'"):
        drive(ParquetSink(tmp_path / "bare", **bare), [[table]])
    assert not (tmp_path / "bare").exists()


def test_many_partitions_do_not_need_many_open_files(tmp_path, drive, monkeypatch):
    monkeypatch.setattr("shoal.data._internal.sinks.table_file_sink._OPEN_PARTITIONS", 2)
    block = pa.table({"k": [0, 1, 2, 3, 0], "v": range(5)})
    drive(ParquetSink(tmp_path, partition_cols=["k"]), [[block, block]])
    assert len(list((tmp_path / "k=0").iterdir())) == 2
    assert sorted(pq.read_table(tmp_path)["v"].to_pylist()) == sorted([*range(5)] * 2)


def test_partition_columns_are_checked_before_any_task(tmp_path):
    sink = ParquetSink(tmp_path / "out", partition_cols=["yaer"])
    with pytest.raises(ColumnNotFoundError, match=r"write_parquet\(partition_cols=\).*Did you mean 'year'"):
        sink.on_write_start(pa.schema([("year", pa.int64()), ("v", pa.int64())]))
    assert not (tmp_path / "out").exists()
    for kind in (pa.list_(pa.int64()), pa.binary(), pa.fixed_shape_tensor(pa.int8(), [2])):
        with pytest.raises(InvalidArgumentError, match="'yaer' has the type"):
            sink.on_write_start(pa.schema([("yaer", kind), ("v", pa.int64())]))
    with pytest.raises(InvalidArgumentError, match="no other columns"):
        sink.on_write_start(pa.schema([("yaer", pa.int64())]))


KEYS = st.one_of(
    st.lists(
        st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=8),
    st.lists(st.one_of(st.none(), st.floats(width=32)), min_size=1, max_size=8),
    st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=8),
    st.lists(st.one_of(st.none(), st.dates()), min_size=1, max_size=8),
    st.lists(st.datetimes(), min_size=1, max_size=8),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=KEYS, name=st.sampled_from(["k", "a b", "é"]))
def test_partitions_are_those_of_pyarrow(tmp_path_factory, drive, keys, name):
    table = pa.table({name: keys, "v": range(len(keys))})
    ours, theirs = tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("theirs")
    drive(ParquetSink(ours, partition_cols=[name]), [[table]])
    ds.write_dataset(table, theirs, format="parquet", partitioning=[name], partitioning_flavor="hive")

    def rows(directory: Path) -> dict[str, list[int]]:
        return {path.name: pq.read_table(path, partitioning=None)["v"].to_pylist() for path in directory.iterdir()}

    assert rows(ours) == rows(theirs)
