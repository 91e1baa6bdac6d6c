"""Numpy, images and Arrow IPC."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import ipc

from shoal.data._internal.blocks.build import array_of, table_of_rows
from shoal.data._internal.sinks.arrow_sink import ArrowSink
from shoal.data._internal.sinks.images_sink import ImagesSink
from shoal.data._internal.sinks.numpy_sink import NumpySink
from shoal.data.exceptions import ColumnNotFoundError, InvalidArgumentError


@pytest.mark.parametrize(
    "values",
    [
        np.arange(6),
        np.arange(12.0).reshape(2, 2, 3),
        np.array(["a", "éé"]),
        np.array([True, False]),
        np.array(["2020-01-01", "2021-01-01"], "datetime64[s]"),
        np.array([0.5, np.nan], "f4"),
    ],
)
def test_numpy_columns_come_back(tmp_path, drive, values):
    table = pa.table({"x": array_of(values), "other": range(len(values))})
    drive(NumpySink(tmp_path, column="x"), [[table, table]])
    (file,) = tmp_path.iterdir()
    read = np.load(file, allow_pickle=False)
    np.testing.assert_array_equal(read, np.concatenate([values, values]))
    assert read.dtype == values.dtype


@pytest.mark.parametrize(
    "column", [array_of([np.zeros(1), np.zeros(2)]), [[1], [2, 3]], ["a", None], [True, None], [{"a": 1}]]
)
def test_numpy_never_pickles(tmp_path, drive, column):
    with pytest.raises(InvalidArgumentError, match=r"'x'.*no array of one kind"):
        drive(NumpySink(tmp_path, column="x"), [[pa.table({"x": column})]])
    assert list(tmp_path.iterdir()) == []


def test_numpy_needs_the_column(tmp_path, drive):
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'data'"):
        NumpySink(tmp_path, column="date").on_write_start(pa.schema([("data", pa.int64())]))
    with pytest.raises(ColumnNotFoundError):
        drive(NumpySink(tmp_path, column="date"), [[pa.table({"data": [1]})]])
    with pytest.raises(InvalidArgumentError, match="column=3"):
        NumpySink(tmp_path, column=3)


def test_images_come_back(tmp_path, drive, all_files):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    drive(
        ImagesSink(tmp_path, "image"),
        [[pa.table({"image": array_of(pixels[:2])})], [pa.table({"image": array_of(pixels[2:])})]],
    )
    names = all_files(tmp_path)
    assert [name[17:] for name in names] == [
        "000000_000000_000000.png",
        "000000_000000_000001.png",
        "000001_000000_000000.png",
    ]
    for name, expected in zip(names, pixels, strict=True):
        with Image.open(tmp_path / name) as image:
            np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4)])
def test_image_shapes_and_formats(tmp_path, drive, shape):
    row = {"image": np.full(shape, 7, np.uint8)}
    drive(ImagesSink(tmp_path / "webp", "image", "webp"), [[table_of_rows([row])]])
    if shape[-1] != 4:
        drive(ImagesSink(tmp_path / "jpg", "image", "jpg"), [[table_of_rows([row])]])
    for path in tmp_path.rglob("*.*"):
        with Image.open(path) as image:
            assert image.size == (3, 2)


@pytest.mark.parametrize("value", [None, 3, np.zeros((2, 2, 3)), np.zeros((2, 2, 5), np.uint8), np.zeros(3, np.uint8)])
def test_values_that_are_no_images(tmp_path, drive, value):
    with pytest.raises(InvalidArgumentError, match=r"column 'image' has .*no image"):
        drive(ImagesSink(tmp_path, "image"), [[table_of_rows([{"image": value}])]])
    assert list(tmp_path.iterdir()) == []


def test_image_arguments(tmp_path, drive):
    with pytest.raises(InvalidArgumentError, match=r"file_format='gifff'.*png"):
        ImagesSink(tmp_path, "image", "gifff")
    with pytest.raises(ColumnNotFoundError, match="'image'"):
        ImagesSink(tmp_path, "imgae").on_write_start(pa.schema([("image", pa.int64())]))
    with pytest.raises(InvalidArgumentError, match="RGBA cannot be a jpeg file"):
        drive(ImagesSink(tmp_path, "image", "jpg"), [[table_of_rows([{"image": np.zeros((2, 2, 4), np.uint8)}])]])


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_arrow_files_come_back(tmp_path, drive, compression):
    first = pa.table(
        {"d": pa.array(["a", None]).dictionary_encode(), "t": array_of(np.zeros((2, 3))), "n": [[1], None]}
    )
    second = pa.table({"d": pa.array(["b", "a"]).dictionary_encode(), "t": array_of(np.ones((2, 3))), "n": [None, []]})
    drive(ArrowSink(tmp_path, compression=compression), [[first, second]])
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".arrow"
    with ipc.open_file(file) as reader:
        read = reader.read_all()
    assert read.schema.equals(first.schema)
    assert str(read.to_pylist()) == str(first.to_pylist() + second.to_pylist())


def test_arrow_errors(tmp_path, drive):
    with pytest.raises(InvalidArgumentError, match="compression='gzip'"):
        ArrowSink(tmp_path, compression="gzip")
    with pytest.raises(InvalidArgumentError, match="'x' holds Python objects"):
        drive(ArrowSink(tmp_path), [[table_of_rows([{"x": {1}}])]])
