"""CSV files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv

from shoal.data._internal.sources.csv import CSVSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError, SchemaMismatchError

Rows = Callable[..., list[dict[str, Any]]]
Read = Callable[..., pa.Table]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.data._internal.sources.csv._PIECE_BYTES", 16)


def test_types_are_told_by_the_whole_file(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.csv").write_text("a,b,c\n" + "1,1,2024-01-01\n" * 200_000 + "1.5,x,\n")
    table = read(CSVSource(tmp_path))
    assert [str(kind) for kind in table.schema.types] == ["double", "string", "date32[day]"]
    assert table.num_rows == 200_001
    assert table.slice(200_000).to_pylist() == [{"a": 1.5, "b": "x", "c": None}]


@pytest.mark.usefixtures("small_pieces")
class TestLargeFiles:
    def test_whole_numbers_become_floats(self, tmp_path: Path, read: Read) -> None:
        (tmp_path / "a.csv").write_text("a,b\n1,x\n2,y\n3,z\n4.5,w\n5,v\n6,u\n")
        assert read(CSVSource(tmp_path)).to_pydict() == {"a": [1, 2, 3, 4.5, 5, 6], "b": list("xyzwvu")}

    def test_types_of_before_hold_where_they_can(self, tmp_path: Path, read: Read) -> None:
        (tmp_path / "a.csv").write_text("a,b\nx,1.5\ny,2.5\n1,2\n2,3\n3,4\n,\n,\n,\n,\n,\n,\n")
        table = read(CSVSource(tmp_path))
        assert [str(kind) for kind in table.schema.types] == ["string", "double"]
        assert table["a"].to_pylist()[:5] == ["x", "y", "1", "2", "3"]

    def test_text_after_numbers_is_an_error_that_helps(self, tmp_path: Path, rows: Rows) -> None:
        (tmp_path / "a.csv").write_text("a\n1\n2\n3\n4\n5\n6\n7\n8\nx\n")
        with pytest.raises(SchemaMismatchError, match=r"a\.csv.*'a'.*int64.*string.*column_types"):
            rows(CSVSource(tmp_path))
        text = csv.ConvertOptions(column_types={"a": pa.string()})
        found = rows(CSVSource(tmp_path, arrow_csv_args={"convert_options": text}))
        assert [row["a"] for row in found] == [*"12345678", "x"]

    def test_heads_and_columns_that_are_left_out(self, tmp_path: Path, rows: Rows) -> None:
        text = "".join(f"{number},{number}x\n" for number in range(20))
        (tmp_path / "a.csv").write_text("a comment\na,b\n" + text)
        options = {
            "read_options": csv.ReadOptions(skip_rows=1),
            "convert_options": csv.ConvertOptions(include_columns=["b"]),
        }
        expected = [{"b": f"{number}x"} for number in range(20)]
        assert rows(CSVSource(tmp_path, arrow_csv_args=options)) == expected
        (tmp_path / "a.csv").write_text(text)
        for read_options, names in (
            (csv.ReadOptions(column_names=["n", "b"]), ["n", "b"]),
            (csv.ReadOptions(autogenerate_column_names=True), ["f0", "f1"]),
        ):
            found = rows(CSVSource(tmp_path, arrow_csv_args={"read_options": read_options}))
            assert found == [dict(zip(names, (number, f"{number}x"), strict=True)) for number in range(20)]

    def test_quoted_newlines_and_wide_characters(self, tmp_path: Path, rows: Rows) -> None:
        lines = [f'"a\n{number}",{number}\n' for number in range(20)]
        (tmp_path / "a.csv").write_text("x,y\n" + "".join(lines))
        options: dict[str, Any] = {"parse_options": csv.ParseOptions(newlines_in_values=True)}
        expected = [{"x": f"a\n{number}", "y": number} for number in range(20)]
        assert rows(CSVSource(tmp_path, arrow_csv_args=options)) == expected
        (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"é{number},{number}\n" for number in range(20)), "utf-16")
        options = {"read_options": csv.ReadOptions(encoding="utf-16")}
        assert rows(CSVSource(tmp_path, arrow_csv_args=options))[-1] == {"x": "é19", "y": 19}
        (tmp_path / "a.csv").write_text("")
        assert rows(CSVSource(tmp_path, arrow_csv_args=options)) == []


def test_empty_files(tmp_path: Path, rows: Rows, read: Read) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.csv").write_text(" \n\n")
    assert rows(CSVSource(tmp_path)) == []
    (tmp_path / "c.csv").write_text("x,y\n")
    assert read(CSVSource(tmp_path)).column_names == ["x", "y"]
    (tmp_path / "d.csv").write_text("x,y\n1,a\n")
    assert rows(CSVSource(tmp_path)) == [{"x": 1, "y": "a"}]


def test_compressed_files_are_found(tmp_path: Path, rows: Rows) -> None:
    with pa.CompressedOutputStream(str(tmp_path / "a.csv.gz"), "gzip") as file:
        file.write(b"x\n1\n")
    assert rows(CSVSource(tmp_path)) == [{"x": 1}]


def test_what_is_no_csv(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n3\n")
    with pytest.raises(FileReadError, match=r"a\.csv cannot be read as CSV.*Expected 2 columns"):
        rows(CSVSource(tmp_path))
    with pytest.raises(InvalidArgumentError, match="no argument 'delimiter'"):
        CSVSource(tmp_path, arrow_csv_args={"delimiter": ";"})
