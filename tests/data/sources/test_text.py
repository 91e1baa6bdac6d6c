"""Files of text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.data._internal.sources.text import TextSource
from shoal.data.exceptions import FileReadError, InvalidArgumentError

Rows = Callable[..., list[dict[str, Any]]]


def _lines(rows: Rows, source: TextSource) -> list[str]:
    return [row["text"] for row in rows(source, 1)]


def test_what_ends_a_line(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\n \t\ntwo\x0bthree\rfour\n\nfive")
    assert _lines(rows, TextSource(tmp_path)) == ["one", "two\x0bthree\rfour", "five"]
    assert _lines(rows, TextSource(tmp_path, drop_empty_lines=False)) == [
        "one",
        "",
        " \t",
        "two\x0bthree\rfour",
        "",
        "five",
    ]


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=5), max_size=20),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
    st.integers(1, 30),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_that_go_over_pieces(
    tmp_path: Path, rows: Rows, lines: list[str], encoding: str, piece: int, ended: bool
) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shoal.data._internal.sources.text._PIECE_BYTES", piece)
        found = _lines(rows, TextSource(tmp_path, encoding=encoding, drop_empty_lines=False))
    assert found == (lines if ended or not lines or lines[-1] else lines[:-1])


def test_other_encodings(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "a.txt").write_bytes("é\nß".encode("latin-1"))
    assert _lines(rows, TextSource(tmp_path, encoding="latin-1")) == ["é", "ß"]
    with pytest.raises(FileReadError, match=r"a\.txt is no text in utf-8"):
        rows(TextSource(tmp_path))
    (tmp_path / "a.txt").write_bytes("é".encode()[:1])
    with pytest.raises(FileReadError, match=r"a\.txt is no text in utf-8"):
        rows(TextSource(tmp_path))
    for encoding in ("klingon", None):
        with pytest.raises(InvalidArgumentError, match="encoding="):
            TextSource(tmp_path, encoding=encoding)  # type: ignore[arg-type]
