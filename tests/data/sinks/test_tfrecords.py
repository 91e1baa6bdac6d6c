"""TFRecord files: what is written, and what is read, against each other and against Google's protobuf library."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.sinks.tf_example import examples_of
from shoal.data._internal.sinks.tfrecords_sink import TFRecordsSink
from shoal.data._internal.sources.tf_example_decoding import MalformedExample, features_of
from shoal.data._internal.sources.tfrecords import TFRecordsSource, feature_kinds, read_tfrecords, tfrecords_schema
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, InvalidArgumentError, SchemaMismatchError

pytest.importorskip("google_crc32c")

# One record: {"a": 1}, as TensorFlow's TFRecordWriter writes it.
EXAMPLE = bytes.fromhex("0a0c0a0a0a01611205" + "1a030a0101")


def framed(*examples: bytes) -> bytes:
    import google_crc32c

    def masked(content: bytes) -> bytes:
        crc = google_crc32c.value(content)
        return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32)

    return b"".join(
        (head := struct.pack("<Q", len(example))) + masked(head) + example + masked(example) for example in examples
    )


def read_file(path: Path, tf_schema: Any = None) -> pa.Table:
    with path.open("rb") as stream:
        return pa.concat_tables(read_tfrecords(stream, str(path), feature_kinds(tf_schema)))


def read_bytes(content: bytes, tf_schema: Any = None) -> list[pa.Table]:
    return list(read_tfrecords(io.BytesIO(content), "file", feature_kinds(tf_schema)))


def written(directory: Path, drive: Any, table: pa.Table, **arguments: Any) -> Path:
    drive(TFRecordsSink(directory, **arguments), [[table]])
    (file,) = directory.iterdir()
    assert file.suffix == ".tfrecords"
    return file


@pytest.fixture(scope="module")
def message_class() -> Any:
    """`tf.train.Example`, made by Google's library from a description of its own."""
    pytest.importorskip("google.protobuf")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="t", syntax="proto3")

    def message(parent: Any, name: str, *fields: tuple[str, int, int, str | None, bool]) -> Any:
        made = parent.add(name=name)
        for field, number, kind, type_name, repeated in fields:
            made.field.add(
                name=field,
                number=number,
                type=kind,
                type_name=type_name,
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
            )
        return made

    message(file.message_type, "BytesList", ("value", 1, kinds.TYPE_BYTES, None, True))
    message(file.message_type, "FloatList", ("value", 1, kinds.TYPE_FLOAT, None, True))
    message(file.message_type, "Int64List", ("value", 1, kinds.TYPE_INT64, None, True))
    feature = message(
        file.message_type,
        "Feature",
        ("bytes_list", 1, kinds.TYPE_MESSAGE, ".t.BytesList", False),
        ("float_list", 2, kinds.TYPE_MESSAGE, ".t.FloatList", False),
        ("int64_list", 3, kinds.TYPE_MESSAGE, ".t.Int64List", False),
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message(
        file.message_type, "Features", ("feature", 1, kinds.TYPE_MESSAGE, ".t.Features.FeatureEntry", True)
    )
    entry = message(
        features.nested_type,
        "FeatureEntry",
        ("key", 1, kinds.TYPE_STRING, None, False),
        ("value", 2, kinds.TYPE_MESSAGE, ".t.Feature", False),
    )
    entry.options.map_entry = True
    message(file.message_type, "Example", ("features", 1, kinds.TYPE_MESSAGE, ".t.Features", False))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Example"))


def test_bytes_are_those_of_tensorflow(tmp_path, drive):
    assert list(examples_of(pa.table({"a": [1]}), None)) == [EXAMPLE]
    assert written(tmp_path, drive, pa.table({"a": [1]})).read_bytes() == framed(EXAMPLE)


def test_values_come_back(tmp_path, drive):
    table = pa.table(
        {
            "i": [1, -1, 2**63 - 1],
            "u": pa.array([1, 2, 3], pa.uint8()),
            "f": [0.5, None, float("inf")],
            "b": [True, False, None],
            "s": ["é", "", None],
            "raw": [b"\xff", b"", b"x" * 1000],
            "ints": [[1, 2, -3], [], None],
            "texts": [["a"], ["b", "c"], []],
            "c": pa.array(["x", "y", "x"]).dictionary_encode(),
        }
    )
    read = read_file(written(tmp_path, drive, table))
    assert read.to_pydict() == {
        "i": [1, -1, 2**63 - 1],
        "u": [1, 2, 3],
        "f": [0.5, None, float("inf")],
        "b": [1, 0, None],
        "s": ["é".encode(), b"", None],
        "raw": [b"\xff", b"", b"x" * 1000],
        "ints": [[1, 2, -3], [], []],
        "texts": [[b"a"], [b"b", b"c"], []],
        "c": [b"x", b"y", b"x"],
    }
    assert read.schema.field("f").type == pa.float32()
    assert read.schema.field("i").type == pa.int64()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ints=st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40), min_size=1, max_size=4),
    floats=st.lists(st.lists(st.floats(width=32), max_size=5), min_size=4, max_size=4),
    texts=st.lists(st.lists(st.binary(max_size=200), max_size=3), min_size=4, max_size=4),
)
def test_both_directions_agree_with_protobuf(message_class, ints, floats, texts):
    rows = len(ints)
    table = pa.table(
        {
            "ints": pa.array(ints, pa.list_(pa.int64())),
            "floats": pa.array(floats[:rows], pa.list_(pa.float32())),
            "é": pa.array(texts[:rows], pa.list_(pa.binary())),
        }
    )
    examples = list(examples_of(table, None))
    for example, row in zip(examples, table.to_pylist(), strict=True):
        message = message_class.FromString(example)
        assert list(message.features.feature["ints"].int64_list.value) == row["ints"]
        np.testing.assert_array_equal(list(message.features.feature["floats"].float_list.value), row["floats"])
        assert list(message.features.feature["é"].bytes_list.value) == row["é"]
    kinds = {"ints": "int", "floats": "float", "é": "bytes"}
    foreign = framed(*(message_class.FromString(example).SerializeToString() for example in examples))
    (read,) = read_bytes(foreign, kinds)
    assert str(read.to_pylist()) == str(table.to_pylist())


def test_lists_that_are_not_packed_and_unknown_fields_are_read():
    ints = b"\x08\x05\x08\x07\x0a\x02\x01\x02"  # 5, 7, then 1 and 2 packed
    floats = b"\x0d" + struct.pack("<f", 0.5)
    unknown = b"\x7a\x01x" + b"\x79" + b"8bytes!!" + b"\x70\x01"

    def entry(name: bytes, feature: bytes) -> bytes:
        value = bytes([10, len(name)]) + name + bytes([18, len(feature)]) + feature
        return bytes([10, len(value)]) + value

    features = entry(b"i", b"\x1a" + bytes([len(ints)]) + ints) + entry(b"f", b"\x12\x05" + floats) + unknown
    decoded = features_of(unknown + bytes([10, len(features)]) + features)
    assert decoded["i"].values.tolist() == [5, 7, 1, 2]
    assert decoded["f"].values.tolist() == [0.5]


@settings(deadline=None, max_examples=200)
@given(position=st.integers(0, len(EXAMPLE) - 1), byte=st.integers(0, 255), cut=st.integers(0, len(EXAMPLE)))
def test_malformed_messages_never_crash(position, byte, cut):
    changed = bytearray(EXAMPLE)
    changed[position] = byte
    for example in (bytes(changed), EXAMPLE[:cut]):
        with contextlib.suppress(MalformedExample):
            features_of(example)


def test_tensors_are_messages_that_tensorflow_parses(tmp_path, drive):
    table = pa.table({"t": array_of(np.arange(6, dtype=np.float32).reshape(1, 2, 3))})
    (value,) = read_file(written(tmp_path, drive, table))["t"].to_pylist()
    # TensorProto: dtype = 1 (DT_FLOAT), tensor_shape = 2 {dim {size: 2} dim {size: 3}}, tensor_content = 4
    assert (
        value == bytes.fromhex("0801" + "1208" + "12020802" + "12020803" + "2218") + np.arange(6, dtype="<f4").tobytes()
    )


def test_scalars_become_lists_where_one_row_has_more(tmp_path, drive):
    blocks = framed(*examples_of(pa.table({"x": [[1], [2, 3], [], None], "y": [[1], [2], [], None]}), None))
    (table,) = read_bytes(blocks)
    assert table.to_pydict() == {"x": [[1], [2, 3], [], []], "y": [1, 2, None, None]}


def test_a_file_has_one_schema_however_it_is_cut(monkeypatch):
    monkeypatch.setattr("shoal.data._internal.sources.tfrecords._RECORDS_AT_ONCE", 2)
    examples = [
        *examples_of(pa.table({"a": [1, 2, 3]}), None),
        *examples_of(pa.table({"a": [[4, 5]], "b": ["x"]}), None),
    ]
    tables = read_bytes(framed(*examples))
    assert [table.num_rows for table in tables] == [2, 2]
    assert pa.concat_tables(tables).to_pydict() == {"a": [[1], [2], [3], [4, 5]], "b": [None, None, None, b"x"]}


def test_schemas(tmp_path, drive):
    feature = SimpleNamespace
    schema = SimpleNamespace(feature=[feature(name="a", type=2), feature(name="b", type=3), feature(name="c", type=1)])
    assert feature_kinds(schema) == {"a": "int", "b": "float", "c": "bytes"}
    table = pa.table({"a": [1, None], "b": pa.nulls(2), "c": ["x", "y"]})
    file = written(tmp_path, drive, table, tf_schema=schema)
    assert read_file(file, schema).to_pydict() == {"a": [[1], []], "b": [[], []], "c": [[b"x"], [b"y"]]}
    assert tfrecords_schema(feature_kinds(schema)).field("b").type == pa.list_(pa.float32())
    assert read_file(file, schema).schema.equals(tfrecords_schema(feature_kinds(schema)))
    with pytest.raises(InvalidArgumentError, match="'a' has the type 'integer'"):
        TFRecordsSink(tmp_path, tf_schema={"a": "integer"})
    with pytest.raises(InvalidArgumentError, match="tf_schema=3"):
        feature_kinds(3)
    with pytest.raises(ColumnNotFoundError, match="'b'"):
        drive(TFRecordsSink(tmp_path, tf_schema={"a": "int"}), [[table]])
    with pytest.raises(InvalidArgumentError, match="'a' has the type int64, which is int"):
        drive(TFRecordsSink(tmp_path, tf_schema={"a": "float", "b": "float", "c": "bytes"}), [[table]])
    with pytest.raises(SchemaMismatchError, match=r"tfrecords: .*'b'"):
        read_file(file, {"a": "int"})
    with pytest.raises(SchemaMismatchError, match=r"'a' has values of the kind 'int' where 'float'"):
        read_file(file, {"a": "float", "b": "int", "c": "bytes"})
    mixed = framed(*examples_of(pa.table({"a": [1]}), None), *examples_of(pa.table({"a": ["x"]}), None))
    with pytest.raises(SchemaMismatchError, match="file: feature 'a'"):
        read_bytes(mixed)


@pytest.mark.parametrize("values", [[{"a": 1}], [[[1]]]])
def test_types_that_features_do_not_have(tmp_path, drive, values):
    with pytest.raises(InvalidArgumentError, match="column 'x' has the type"):
        drive(TFRecordsSink(tmp_path), [[pa.table({"x": values})]])
    with pytest.raises(InvalidArgumentError, match="column 'x' has the type"):
        drive(TFRecordsSink(tmp_path), [[table_of_rows([{"x": {1}}])]])


def test_damaged_files_are_errors_that_name_file_and_record():
    whole = framed(EXAMPLE, EXAMPLE)
    half = len(whole) // 2
    for damaged, text in [
        (whole[:-1], "record 1 cannot be read: the file ends within its 14 bytes"),
        (whole[: half + 5], "record 1 cannot be read: the file ends within its length"),
        (whole[: half + 15] + b"\x00" + whole[half + 16 :], "record 1 cannot be read: its checksum is wrong"),
        (b"\x1f\x8b" + whole, "record 0 cannot be read: the checksum of its length is wrong"),
        (framed(b"\xff"), "record 0 cannot be read: it is no tf.train.Example"),
    ]:
        with pytest.raises(FileReadError, match=f"file: {text}"):
            read_bytes(damaged)
    assert read_bytes(b"") == []


def test_the_source_lists_and_reads(tmp_path, drive):
    drive(TFRecordsSink(tmp_path / "out"), [[pa.table({"a": [number]})] for number in range(5)])
    (tmp_path / "out" / "other.txt").touch()
    (tmp_path / "out" / ".hidden.tfrecords").touch()
    source = pickle.loads(pickle.dumps(TFRecordsSource([str(tmp_path / "out")])))
    assert len(source.input_files()) == 5
    assert source.size_bytes() == sum(os.path.getsize(path) for path in source.input_files())
    tasks = source.read_tasks(2)
    assert [len(task.metadata.input_files) for task in tasks] in ([2, 3], [3, 2])
    assert [value for task in tasks for table in task() for value in table["a"].to_pylist()] == [0, 1, 2, 3, 4]
    assert TFRecordsSource(tmp_path, {"a": "int"}).schema() == pa.schema([("a", pa.list_(pa.int64()))])


def test_the_source_says_what_is_missing(tmp_path):
    with pytest.raises(FileReadError, match="none: there is no such file"):
        TFRecordsSource(tmp_path / "none")
    (tmp_path / "x.tfrecord").touch()
    with pytest.raises(FileReadError, match="no files with the extensions"):
        TFRecordsSource(tmp_path)
    assert TFRecordsSource([tmp_path, tmp_path / "none"], file_extensions=None, ignore_missing_paths=True).read_tasks(4)
    with pytest.raises(InvalidArgumentError, match="nosuch"):
        TFRecordsSource("nosuch://x")
    with pytest.raises(InvalidArgumentError, match="at least one"):
        TFRecordsSource([])


def test_compressed_files(tmp_path, drive):
    drive(TFRecordsSink(tmp_path, arrow_open_stream_args={"compression": "gzip"}), [[pa.table({"a": [1]})]])
    (task,) = TFRecordsSource(tmp_path, arrow_open_stream_args={"compression": "gzip"}).read_tasks(1)
    assert [table.to_pydict() for table in task()] == [{"a": [1]}]


def test_records_without_features():
    (table,) = read_bytes(framed(b"", b""))
    assert (table.num_rows, table.num_columns) == (2, 0)
