"""Files of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import json as arrow_json

from shoal.data._internal.sources.json import JSONSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError, SchemaMismatchError

Rows = Callable[..., list[dict[str, Any]]]
Read = Callable[..., pa.Table]

LINES = '{"a": 1, "b": ["x"]}\n{"a": 2.5}\n'
ROWS = [{"a": 1.0, "b": ["x"]}, {"a": 2.5, "b": None}]


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        "\n" + LINES.replace("\n", "\r\n\n"),
        "\ufeff" + LINES,
        LINES.rstrip("\n"),
        '[{"a": 1, "b": ["x"]},\n {"a": 2.5}]',
        '  [\n{"a": 1,\n"b": ["x"]}, {"a": 2.5}]  ',
        '{\n"a": 1,\n"b": ["x"]\n}\n{\n"a": 2.5\n}',
    ],
)
def test_lines_arrays_and_objects_over_lines(tmp_path: Path, rows: Rows, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert rows(JSONSource(tmp_path)) == ROWS


def test_types_are_told_by_the_whole_file(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' * 200_000 + '{"a": 1.5, "b": 1}\n')
    table = read(JSONSource(tmp_path))
    assert table.num_rows == 200_001
    assert [str(kind) for kind in table.schema.types] == ["double", "int64"]


def test_values_of_several_kinds_stay_what_they_are(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": "x"}\n{"a": [1, "y"]}\n')
    assert rows(JSONSource(tmp_path)) == [{"a": 1}, {"a": "x"}, {"a": [1, "y"]}]


def test_objects_larger_than_a_block(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": "s"}\n' * 200_000 + json.dumps({"a": "x" * 3_000_000}) + "\n")
    assert len(rows(JSONSource(tmp_path))[-1]["a"]) == 3_000_000


def test_large_files(tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shoal.data._internal.sources.json._PIECE_BYTES", 16)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": 3.5, "b": 1}\n\n\n{"a": null}\n')
    assert rows(JSONSource(tmp_path)) == [
        {"a": 1, "b": None},
        {"a": 2, "b": None},
        {"a": 3.5, "b": 1},
        {"a": None, "b": None},
    ]
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a":\n3,\n"b":\n"over more than one piece"}\n{"a": 4}')
    assert [row["a"] for row in rows(JSONSource(tmp_path))] == [1, 2, 3, 4]
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\n{"a": "text, and later than a piece"}\n')
    with pytest.raises(SchemaMismatchError, match=r"a\.jsonl.*'a'.*int64.*string"):
        rows(JSONSource(tmp_path))


objects = st.fixed_dictionaries(
    {"n": st.integers(-100, 100), "s": st.text(max_size=5), "l": st.lists(st.integers(0, 9), max_size=3)},
    optional={"o": st.fixed_dictionaries({"x": st.none() | st.booleans()})},
)


@given(st.lists(objects, min_size=1, max_size=10), st.booleans(), st.integers(10, 200))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, read: Read, objects: list[dict[str, Any]], as_array: bool, piece: int) -> None:
    texts = [json.dumps(value) for value in objects]
    (tmp_path / "a.json").write_text(f"[{','.join(texts)}]" if as_array else "\n".join(texts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shoal.data._internal.sources.json._PIECE_BYTES", piece)
        found = read(JSONSource(tmp_path)).to_pylist()
    assert [{name: value for name, value in row.items() if name != "o"} for row in found] == [
        {name: value for name, value in row.items() if name != "o"} for row in objects
    ]
    assert [(row.get("o") or {}).get("x") for row in found] == [row.get("o", {}).get("x") for row in objects]


def test_empty_files(tmp_path: Path, rows: Rows) -> None:
    for name, text in (("a.json", ""), ("b.json", "\n \n"), ("c.json", "[]")):
        (tmp_path / name).write_text(text)
    assert rows(JSONSource(tmp_path)) == []


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a"', "[1, 2]", "3\n4\n", '{"a": 1}\nword\n', '[{"a": 1}', "\x80"])
def test_what_is_no_json(tmp_path: Path, rows: Rows, text: str) -> None:
    (tmp_path / "a.json").write_text(text, "latin-1")
    with pytest.raises(FileReadError, match=r"a\.json cannot be read as JSON"):
        rows(JSONSource(tmp_path))


def test_lines_only(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    with pytest.raises(FileReadError, match="a row is an object"):
        rows(JSONSource(tmp_path, lines=True))


def test_arguments(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.json").write_text('{"a": "1", "b": 2}\n')
    schema = pa.schema([("a", pa.string()), ("c", pa.int8())])
    parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    assert rows(JSONSource(tmp_path, arrow_json_args={"parse_options": parse})) == [{"a": "1", "c": None}]
    with pytest.raises(InvalidArgumentError, match="no argument 'orient'"):
        JSONSource(tmp_path, arrow_json_args={"orient": "records"})
