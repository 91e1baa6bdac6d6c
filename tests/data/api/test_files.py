"""Datasets from files and to files, in the driver and in tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shoal
from shoal.data.exceptions import ColumnNotFoundError, FileReadError, SchemaMismatchError
from shoal.data.expressions import col

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three Parquet files of ten rows, each of two row groups."""
    for number in range(3):
        ids = list(range(number * 10, number * 10 + 10))
        table = pa.table({"id": ids, "half": [value / 2 for value in ids], "name": [f"n{value}" for value in ids]})
        pq.write_table(table, tmp_path / f"part{number}.parquet", row_group_size=5)
    return tmp_path


def test_parquet(folder: Path) -> None:
    ds = shoal.data.read_parquet(str(folder))
    assert ds.columns() == ["id", "half", "name"]
    assert ds.count() == 30
    assert [row["id"] for row in ds.take_all()] == list(range(30))
    assert len(ds.input_files()) == 3


def test_columns_and_filters_are_pushed_into_the_reading(folder: Path) -> None:
    ds = shoal.data.read_parquet(str(folder)).filter(expr=(col("id") > 12) & (col("half") < 9)).select_columns(["name"])
    assert [row["name"] for row in ds.take_all()] == ["n13", "n14", "n15", "n16", "n17"]
    assert "Filter" not in ds.explain().split("Optimized plan")[1]
    assert "columns=['name']" in ds.explain().split("Optimized plan")[1]


def test_take_reads_no_more_than_it_needs(folder: Path) -> None:
    (folder / "part2.parquet").write_bytes(b"not Parquet at all")
    assert shoal.data.read_parquet(str(folder)).take(3) == [
        {"id": number, "half": number / 2, "name": f"n{number}"} for number in range(3)
    ]


def test_a_broken_file_is_named(folder: Path) -> None:
    (folder / "part2.parquet").write_bytes(b"not Parquet at all")
    with pytest.raises(FileReadError, match=r"part2\.parquet"):
        shoal.data.read_parquet(str(folder)).take_all()


def test_missing_files_and_columns(folder: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        shoal.data.read_parquet(str(folder / "nowhere"))
    with pytest.raises(FileReadError, match="extensions"):
        shoal.data.read_csv(str(folder))
    with pytest.raises(ColumnNotFoundError, match="Did you mean 'name'"):
        shoal.data.read_parquet(str(folder), columns=["nam"])


def test_files_of_different_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.5]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": pa.array([2], pa.int32())}), tmp_path / "b.parquet")
    assert [row["x"] for row in shoal.data.read_parquet(str(tmp_path)).take_all()] == [1.5, 2.0]
    pq.write_table(pa.table({"x": ["text"]}), tmp_path / "c.parquet")
    with pytest.raises(SchemaMismatchError, match=r"c\.parquet.*'x'"):
        shoal.data.read_parquet(str(tmp_path)).take_all()


def test_partitions_round_trip(tmp_path: Path) -> None:
    rows = [{"k": "ab"[number % 2], "x": number} for number in range(10)]
    shoal.data.from_items(rows).write_parquet(str(tmp_path / "out"), partition_cols=["k"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"k=a", "k=b"}
    back = shoal.data.read_parquet(str(tmp_path / "out"))
    assert sorted(back.take_all(), key=lambda row: row["x"]) == [{"x": row["x"], "k": row["k"]} for row in rows]
    assert back.filter(expr="k == 'b'").count() == 5


def test_writing_again_replaces_what_was_written(tmp_path: Path) -> None:
    ds = shoal.data.range(100, override_num_blocks=3).map(lambda row: {"id": row["id"] * 2})
    ds.write_parquet(str(tmp_path))
    first = sorted(path.name for path in tmp_path.iterdir())
    ds.write_parquet(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == first
    assert shoal.data.read_parquet(str(tmp_path)).sum("id") == 9900
    ds.map(lambda row: {"id": row["id"] + 1}).write_parquet(str(tmp_path))
    assert shoal.data.read_parquet(str(tmp_path)).count() == 200, "another plan is another write"


def test_save_modes(tmp_path: Path) -> None:
    shoal.data.range(3).write_parquet(str(tmp_path))
    with pytest.raises(ValueError, match="there are files already"):
        shoal.data.range(4).write_parquet(str(tmp_path), mode="error")
    shoal.data.range(4).write_parquet(str(tmp_path), mode="ignore")
    assert shoal.data.read_parquet(str(tmp_path)).count() == 3
    shoal.data.range(5).write_parquet(str(tmp_path), mode="overwrite")
    assert shoal.data.read_parquet(str(tmp_path)).count() == 5


def test_csv_and_json_round_trip(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 1.5], "c": ["x", "y,z", 'q"q']})
    ds = shoal.data.from_pandas(frame)
    ds.write_csv(str(tmp_path / "csv"))
    ds.write_json(str(tmp_path / "json"))
    for back in (shoal.data.read_csv(str(tmp_path / "csv")), shoal.data.read_json(str(tmp_path / "json"))):
        assert back.to_pandas().astype({"a": int})["c"].tolist() == ["x", "y,z", 'q"q']
        assert back.sum("a") == 6
        assert back.sum("b") == 2.0


def test_csv_types_are_told_by_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "late.csv").write_text("a\n" + "1\n" * 100_000 + "1.5\n")
    assert shoal.data.read_csv(str(tmp_path)).sum("a") == 100_001.5


def test_a_json_array(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"a": 1}, {"a": 2, "b": [1, 2]}]))
    assert shoal.data.read_json(str(tmp_path)).take_all() == [{"a": 1, "b": None}, {"a": 2, "b": [1, 2]}]


def test_text_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    assert shoal.data.read_text(str(tmp_path)).take_all() == [{"text": "one"}, {"text": "two"}]
    assert shoal.data.read_text(str(tmp_path), drop_empty_lines=False).count() == 3
    [row] = shoal.data.read_binary_files(str(tmp_path), include_paths=True).take_all()
    assert row["bytes"] == b"one\n\ntwo\n"
    assert row["path"].endswith("a.txt")


def test_images_and_arrays(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (4, 8, 6, 3), dtype=np.uint8)
    shoal.data.from_items([{"image": image} for image in images]).write_images(str(tmp_path / "png"), "image")
    back = shoal.data.read_images(str(tmp_path / "png"))
    assert sorted(row["image"].sum() for row in back.take_all()) == sorted(image.sum() for image in images)
    assert shoal.data.read_images(str(tmp_path / "png"), size=(4, 4), mode="L").take(1)[0]["image"].shape == (4, 4)
    shoal.data.from_numpy(images).write_numpy(str(tmp_path / "npy"), column="data")
    assert np.array_equal(shoal.data.read_numpy(str(tmp_path / "npy")).take_batch(10)["data"], images)


def test_a_sink_of_ones_own(tmp_path: Path) -> None:
    class Lines(shoal.data.Datasink[int]):
        def write(self, blocks: Any, ctx: Any) -> int:
            rows = sum(block.num_rows for block in blocks)
            (tmp_path / f"{ctx.task_index}.txt").write_text(str(rows))
            return rows

    shoal.data.range(10, override_num_blocks=2).write_datasink(Lines())
    assert sum(int(path.read_text()) for path in tmp_path.iterdir()) == 10
