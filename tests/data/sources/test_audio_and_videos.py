"""Sound and moving pictures in files that soundfile and PyAV wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.data.exceptions import FileReadError, InvalidArgumentError


def write_sound(path: Path, channels: int, rate: int) -> np.ndarray[Any, Any]:
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile")
    samples = np.linspace(-0.5, 0.5, 300 * channels, dtype=np.float32).reshape(300, channels)
    soundfile.write(path, samples, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return samples.T


def write_video(path: Path, frames: int, height: int = 32, width: int = 48) -> None:
    av = pytest.importorskip("av", reason="needs av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(frames):
            picture = np.full((height, width, 3), 20 * number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_channels_of_samples(tmp_path: Path, channels: int) -> None:
    samples = write_sound(tmp_path / "a.wav", channels, 8000)
    [row] = shoal.data.read_audio(tmp_path).take_all()
    assert row["sample_rate"] == 8000
    np.testing.assert_array_equal(row["amplitude"], samples)


def test_sound_of_different_lengths_and_formats(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", 1, 8000)
    write_sound(tmp_path / "b.flac", 2, 16000)
    rows = shoal.data.read_audio(tmp_path, include_paths=True).take_all()
    assert [(row["amplitude"].shape, row["sample_rate"]) for row in rows] == [((1, 300), 8000), ((2, 300), 16000)]


def test_pictures_of_a_video(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 6)
    rows = shoal.data.read_videos(tmp_path, include_timestamps=True).take_all()
    assert [row["frame_index"] for row in rows] == list(range(6))
    assert rows[0]["frame"].shape == (32, 48, 3)
    assert [round(float(row["frame_timestamp"][0]), 3) for row in rows] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    brightness = [row["frame"].mean() for row in rows]
    assert brightness == pytest.approx([20 * number for number in range(6)], abs=6)


def test_fewer_and_smaller_pictures(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 10)
    rows = shoal.data.read_videos(tmp_path, fps=5, resize=(8, 12)).take_all()
    assert len(rows) == 5
    assert rows[0]["frame"].shape == (8, 12, 3)


def test_what_is_neither(tmp_path: Path) -> None:
    pytest.importorskip("soundfile", reason="needs soundfile")
    pytest.importorskip("av", reason="needs av")
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(FileReadError, match=r"bad\.wav"):
        shoal.data.read_audio(tmp_path).take_all()
    with pytest.raises(FileReadError, match=r"bad\.mp4"):
        shoal.data.read_videos(tmp_path).take_all()
    with pytest.raises(InvalidArgumentError, match="fps=0"):
        shoal.data.read_videos(tmp_path, fps=0)
