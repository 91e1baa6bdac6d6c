"""Worker output in the driver."""

from __future__ import annotations

import io
import sys

import pytest

from shoal._core.system.output_printer import OutputPrinter, repeats_are_counted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LINES = [("f", 12, False, "one"), ("A", 13, True, "two"), ("f", 12, False, "three")]


def test_each_line_says_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    OutputPrinter().print(LINES)
    assert capsys.readouterr() == ("(f pid=12) one\n(f pid=12) three\n", "(A pid=13) two\n")


def test_other_machines_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    OutputPrinter().print(LINES[:1], node="10.0.0.2")
    assert capsys.readouterr().out == "(f pid=12, ip=10.0.0.2) one\n"


@pytest.mark.parametrize(
    ("stream", "colour", "no_colour", "coloured"),
    [
        (Terminal(), None, "", True),
        (Terminal(), None, "1", False),
        (Terminal(), False, "", False),
        (io.StringIO(), None, "", False),
        (io.StringIO(), True, "1", True),
    ],
)
def test_prefixes_are_coloured_on_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, colour: bool | None, no_colour: str, coloured: bool
) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("NO_COLOR", no_colour)
    OutputPrinter(colour).print(LINES[:1])
    assert stream.getvalue() == ("\x1b[36m(f pid=12)\x1b[0m one\n" if coloured else "(f pid=12) one\n")


def test_a_stream_that_cannot_show_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    OutputPrinter().print([("f", 1, False, "5 €")])
    assert raw.getvalue() == b"(f pid=1) 5 \\u20ac\n"


def test_a_program_without_output_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    monkeypatch.setattr(sys, "stderr", None)
    OutputPrinter(colour=False).print(LINES)


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, True),
        ({"SHOAL_DEDUP_LOGS": "0"}, False),
        ({"RAY_DEDUP_LOGS": "0"}, False),
        ({"SHOAL_DEDUP_LOGS": "1", "RAY_DEDUP_LOGS": "0"}, True),
    ],
)
def test_counting_repeats_can_be_turned_off(environ: dict[str, str], wanted: bool) -> None:
    assert repeats_are_counted(environ) is wanted
