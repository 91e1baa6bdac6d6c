"""Images."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import shoal
from shoal.data._internal.sources.images import ImagesSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError

Rows = Callable[..., list[dict[str, Any]]]
Read = Callable[..., pa.Table]


def _save(path: Path, *shape: int) -> np.ndarray[Any, Any]:
    pixels = np.random.default_rng(sum(shape)).integers(0, 255, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_images_of_one_size(tmp_path: Path, read: Read, rows: Rows) -> None:
    images = [_save(tmp_path / f"{number}.png", 6, 4, 3) for number in range(3)]
    source = ImagesSource(tmp_path)
    assert read(source).schema.field("image").type == pa.fixed_shape_tensor(pa.uint8(), [6, 4, 3])
    assert all(np.array_equal(row["image"], image) for row, image in zip(rows(source), images, strict=True))
    assert source.num_rows() == 3


def test_images_of_several_sizes_and_modes(tmp_path: Path, rows: Rows, read: Read) -> None:
    images = [_save(tmp_path / "a.png", 6, 4, 3), _save(tmp_path / "b.png", 2, 3, 4), _save(tmp_path / "c.bmp", 5, 5)]
    found = [row["image"] for row in rows(ImagesSource(tmp_path), 1)]
    assert all(np.array_equal(one, other) for one, other in zip(found, images, strict=True))
    alike = ImagesSource(tmp_path, size=(8, 10), mode="RGB")
    assert read(alike).schema.field("image").type == pa.fixed_shape_tensor(pa.uint8(), [8, 10, 3])
    assert alike.size_bytes() == 3 * 8 * 10 * 3
    assert rows(ImagesSource(tmp_path, size=(8, 10), mode="L"))[0]["image"].shape == (8, 10)


def test_palettes(tmp_path: Path, rows: Rows) -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putdata([0, 1, 1, 0])
    image.save(tmp_path / "a.png")
    [row] = rows(ImagesSource(tmp_path, size=(4, 4)))
    assert row["image"].shape == (4, 4, 3)
    assert row["image"][0, 0].tolist() == [255, 0, 0]


def test_what_is_no_image(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(FileReadError, match=r"a\.png cannot be read as an image"):
        rows(ImagesSource(tmp_path))
    _save(tmp_path / "a.png", 60, 40, 3)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    with pytest.raises(FileReadError, match=r"a\.png cannot be read as an image"):
        rows(ImagesSource(tmp_path))
    for size in ((0, 1), (1,), 3, (1.5, 2), "ab"):
        with pytest.raises(InvalidArgumentError, match="size="):
            ImagesSource(tmp_path, size=size)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="mode='colour'"):
        ImagesSource(tmp_path, mode="colour")


def test_arguments_for_opening_under_either_name(tmp_path: Path) -> None:
    pixels = _save(tmp_path / "a.png", 6, 4, 3)
    (tmp_path / "a.png.gz").write_bytes(gzip.compress((tmp_path / "a.png").read_bytes()))
    packed = str(tmp_path / "a.png.gz")
    for arguments in (
        {"arrow_open_file_args": {"compression": "gzip"}},
        {"arrow_open_stream_args": {"compression": "gzip"}},
    ):
        (row,) = shoal.data.read_images(packed, file_extensions=None, **arguments).take_all()  # type: ignore[arg-type]
        assert np.array_equal(row["image"], pixels)
    with pytest.raises(InvalidArgumentError, match="no_such_argument"):
        shoal.data.read_images(packed, file_extensions=None, arrow_open_file_args={"no_such_argument": 1}).take_all()
    with pytest.raises(InvalidArgumentError, match="give one of them"):
        shoal.data.read_images(packed, arrow_open_file_args={"a": 1}, arrow_open_stream_args={"b": 1})
