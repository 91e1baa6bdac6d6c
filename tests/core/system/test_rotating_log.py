"""Log files of bounded size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shoal._core.system.rotating_log import RotatingLog


def test_a_full_file_is_set_aside(tmp_path: Path) -> None:
    log = RotatingLog(str(tmp_path / "a.log"), limit=10)
    for text in (b"12345", b"6789\n", b"abc", b"defghijkl", b"m"):
        log.write(text)
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"defghijklm"
    assert (tmp_path / "a.log.1").read_bytes() == b"abc"
    assert sorted(os.listdir(tmp_path)) == ["a.log", "a.log.1"]


def test_an_existing_file_is_continued(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n", b"three\n"):
        log = RotatingLog(str(tmp_path / "a.log"), limit=9)
        log.write(text)
        log.close()
    assert (tmp_path / "a.log").read_bytes() == b"three\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"one\ntwo\n"


def test_what_could_not_be_written_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = RotatingLog(str(tmp_path / "folder" / "a.log"))
    log.write(b"lost\n")
    log.write(b"lost too\n")
    (tmp_path / "folder").mkdir()
    log.write(b"kept\n")
    log.close()
    expected = b"[14 bytes are missing here: they could not be written]\nkept\n"
    assert (tmp_path / "folder" / "a.log").read_bytes() == expected


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_raises_nothing() -> None:
    log = RotatingLog("/dev/full")
    log.write(b"lost")
    log.write(b"lost")
    log.close()
