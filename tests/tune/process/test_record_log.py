"""Records that were not written whole do not count."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune._internal.process.record_log import RecordLog, read_records


def test_what_is_added_is_read(tmp_path: Path) -> None:
    log = RecordLog(str(tmp_path / "log"))
    log.add([b"one", b""])
    log.add([b"two"])
    assert list(read_records(log.path)) == [b"one", b"", b"two"]
    assert log.records == 3
    log.replace([b"three"])
    assert list(read_records(log.path)) == [b"three"]


@given(cut=st.integers(0, 40))
def test_a_torn_end_is_left_out_and_cut_off(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    RecordLog(str(path)).add([b"first record", b"second record"])
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    whole = list(read_records(str(path)))
    assert whole == [b"first record", b"second record"][: len(whole)]
    log = RecordLog(str(path))
    log.add([b"third"])
    assert list(read_records(str(path))) == [*whole, b"third"]


def test_a_broken_record_ends_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    RecordLog(str(path)).add([b"first", b"second"])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert list(read_records(str(path))) == [b"first"]


def test_no_file_has_no_records(tmp_path: Path) -> None:
    assert list(read_records(str(tmp_path / "nothing"))) == []
