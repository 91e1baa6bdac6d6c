"""What a worker prints, as lines at the daemon."""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal._core.system.rotating_log import RotatingLog
from shoal._core.system.worker_output import OutputPipe
from shoal._core.system.worker_streams import NAME_MARK

LONGEST = 1 << 16


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[OutputPipe]:
    pipe = OutputPipe(RotatingLog(str(tmp_path / "worker.out")), name="f")
    pipe.pid = 7
    yield pipe
    pipe.close()


def texts(pipe: OutputPipe) -> list[str]:
    return [text for _, _, _, text in pipe.read()]


def write(pipe: OutputPipe, data: bytes) -> list[str]:
    """Returns the lines that come of writing the data, as far as it fits the pipe at a time."""
    lines: list[str] = []
    os.set_blocking(pipe.writing_fd, False)
    while data:
        data = data[os.write(pipe.writing_fd, data[: 1 << 15]) :]
        lines += texts(pipe)
    return lines


def finish(pipe: OutputPipe) -> list[str]:
    pipe.close_writing_end()
    lines = texts(pipe)
    assert pipe.closed
    return lines


def log_of(tmp_path: Path) -> bytes:
    return (tmp_path / "worker.out").read_bytes()


def test_lines_say_whose_they_are(pipe: OutputPipe) -> None:
    os.write(pipe.writing_fd, b"one\ntwo\n")
    assert pipe.read() == [("f", 7, False, "one"), ("f", 7, False, "two")]
    assert pipe.read() == []
    assert not pipe.closed


def test_a_line_comes_when_it_has_ended(pipe: OutputPipe, tmp_path: Path) -> None:
    assert write(pipe, b"one\nt") == ["one"]
    assert write(pipe, b"w") == []
    assert write(pipe, b"o\nthree") == ["two"]
    assert finish(pipe) == ["three"]
    assert log_of(tmp_path) == b"one\ntwo\nthree\n"


def test_nothing_printed_leaves_no_file(pipe: OutputPipe, tmp_path: Path) -> None:
    assert finish(pipe) == []
    assert list(tmp_path.iterdir()) == []


def test_the_end_is_told_only_when_nobody_can_write(pipe: OutputPipe) -> None:
    inherited = os.dup(pipe.writing_fd)
    pipe.close_writing_end()
    assert (texts(pipe), pipe.closed) == ([], False)
    os.write(inherited, b"from a grandchild")
    os.close(inherited)
    assert (texts(pipe) + texts(pipe), pipe.closed) == (["from a grandchild"], True)


def test_bytes_that_are_not_text_survive(pipe: OutputPipe, tmp_path: Path) -> None:
    assert write(pipe, "naïve \0 ".encode() + b"\xff\xfe\n") == ["naïve \0 \\xff\\xfe"]
    assert log_of(tmp_path).endswith(b"\xff\xfe\n")


def test_a_character_may_arrive_in_two_parts(pipe: OutputPipe) -> None:
    assert write(pipe, b"\xe2\x82") == []
    assert write(pipe, b"\xac\n") == ["€"]


def test_a_progress_bar_shows_its_last_state(pipe: OutputPipe) -> None:
    assert write(pipe, b"\r 1%\r 2%\r 3%\ndone\r\n\n") == [" 3%", "done", ""]


def test_a_progress_bar_without_end_takes_no_memory(pipe: OutputPipe, tmp_path: Path) -> None:
    steps = b"".join(b"\rstep %07d" % number for number in range(200_000))
    assert write(pipe, steps) == []
    assert len(pipe._partial) <= 2 * LONGEST
    assert write(pipe, b"\n") == ["step 0199999"]
    assert log_of(tmp_path) == steps + b"\n"


def test_a_long_line_is_cut_here_and_whole_in_the_log(pipe: OutputPipe, tmp_path: Path) -> None:
    data = b"x" * 1_000_000
    lines = write(pipe, data + b"\nshort\n")
    assert lines == ["x" * LONGEST + f"... [cut after {LONGEST} bytes; the log file has the rest]", "short"]
    assert log_of(tmp_path) == data + b"\nshort\n"


def test_the_worker_says_whose_output_follows(pipe: OutputPipe, tmp_path: Path) -> None:
    os.write(pipe.writing_fd, b"a\n" + NAME_MARK + "größe\n".encode() + b"b\nc" + NAME_MARK + b"g\nd\n")
    assert pipe.read() == [("f", 7, False, "a"), ("größe", 7, False, "b"), ("g", 7, False, "c"), ("g", 7, False, "d")]
    assert log_of(tmp_path) == b"a\nb\nc\nd\n"


def test_names_come_from_a_real_worker_in_order(nursery: Any) -> None:
    stdout, stderr = OutputPipe(), OutputPipe(is_stderr=True)
    nursery.server.spawn(9, repr(("say_under_names",)).encode(), stdout.writing_fd, stderr.writing_fd)
    seen = []
    for pipe in (stdout, stderr):
        pipe.close_writing_end()
        while not pipe.closed:
            select.select([pipe], [], [], 20)
            seen += [(name, text) for name, _, _, text in pipe.read()]
        pipe.close()
    actor = "Actor(x= 1)"
    assert seen == [
        ("worker", "before"),
        ("g", "one two"),
        ("g", "three"),
        ("g", "four five"),
        (actor, "six"),
        ("g", "oops"),
    ]


def test_the_tail_is_kept_for_stderr_alone() -> None:
    for is_stderr, tail in ((True, ("one", "two")), (False, ())):
        pipe = OutputPipe(is_stderr=is_stderr)
        write(pipe, b"one\ntwo\n")
        assert pipe.tail() == tail
        pipe.close()


def test_a_noisy_worker_is_read_in_portions(pipe: OutputPipe) -> None:
    fcntl.fcntl(pipe.writing_fd, fcntl.F_SETPIPE_SZ, 1 << 20)
    data = b"0123456789abcde\n" * (1 << 16)
    assert os.write(pipe.writing_fd, data) == len(data)
    portions = []
    while lines := texts(pipe):
        portions.append(len(lines))
    assert portions == [1 << 14] * 4


@given(st.lists(st.binary(max_size=40).map(lambda line: line.translate(None, b"\r\x1e")), max_size=20), st.data())
def test_lines_do_not_depend_on_how_they_arrive(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(lines)
    pipe = OutputPipe()
    seen = []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        seen += write(pipe, whole[:size])
        whole = whole[size:]
    seen += finish(pipe)
    pipe.close()
    expected = b"\n".join(lines).split(b"\n")
    if not expected[-1]:
        del expected[-1]
    assert seen == [line.decode("utf-8", "backslashreplace") for line in expected]
