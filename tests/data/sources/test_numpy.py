"""Files of numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shoal.data._internal.blocks.convert import to_numpy
from shoal.data._internal.sources.numpy import NumpySource
from shoal.data.exceptions import FileReadError, InvalidArgumentError

Read = Callable[..., pa.Table]
Rows = Callable[..., list[dict[str, Any]]]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(10),
        np.arange(24, dtype=np.float32).reshape(4, 3, 2),
        np.asfortranarray(np.arange(12).reshape(4, 3)),
        np.array(["a", "bcd"]),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
        np.zeros((0, 3)),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
@pytest.mark.parametrize("piece", [1, 50, 1 << 20])
def test_arrays(tmp_path: Path, read: Read, array: np.ndarray[Any, Any], piece: int) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shoal.data._internal.sources.numpy._PIECE_BYTES", piece)
        found = to_numpy(read(NumpySource(tmp_path))["data"])
    assert np.array_equal(found, array)


def test_a_single_value_is_a_row(tmp_path: Path, rows: Rows) -> None:
    np.save(tmp_path / "a.npy", np.float64(1.5))
    assert rows(NumpySource(tmp_path)) == [{"data": 1.5}]


def test_several_arrays(tmp_path: Path, rows: Rows) -> None:
    np.savez(tmp_path / "a.npz", np.arange(2))
    assert rows(NumpySource(tmp_path)) == [{"data": 0}, {"data": 1}]
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(2), y=np.array(["a", "b"]))
    assert rows(NumpySource(tmp_path)) == [{"x": 0, "y": "a"}, {"x": 1, "y": "b"}]
    np.savez(tmp_path / "a.npz", x=np.arange(2), y=np.arange(3))
    with pytest.raises(FileReadError, match=r"a\.npz.*'x': 2, 'y': 3"):
        rows(NumpySource(tmp_path))


def test_objects_only_where_they_are_allowed(tmp_path: Path, rows: Rows) -> None:
    np.save(tmp_path / "a.npy", np.array([{"k": 1}, "x"], object), allow_pickle=True)
    with pytest.raises(FileReadError, match=r"a\.npy.*Pass allow_pickle=True"):
        rows(NumpySource(tmp_path))
    assert rows(NumpySource(tmp_path, allow_pickle=True)) == [{"data": {"k": 1}}, {"data": "x"}]


@pytest.mark.parametrize("content", [b"", b"no", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x05\x00{'a'}"])
def test_what_is_no_array(tmp_path: Path, rows: Rows, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FileReadError, match=r"a\.npy cannot be read as numpy arrays"):
        rows(NumpySource(tmp_path))


def test_a_file_that_ends_early(tmp_path: Path, rows: Rows) -> None:
    np.save(tmp_path / "a.npy", np.arange(10))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-20])
    with pytest.raises(FileReadError, match="ends after 7 of 10 rows"):
        rows(NumpySource(tmp_path))
    with pytest.raises(InvalidArgumentError, match="'dtype'"):
        NumpySource(tmp_path, numpy_load_args={"dtype": int})
