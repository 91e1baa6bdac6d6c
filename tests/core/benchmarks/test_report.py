"""benchmarks/: what the table says of the figures, and what becomes of a backend that hangs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
sys.path.append(str(BENCHMARKS))  # its programs import each other by their file names

from backend import Backend, BackendFailed  # noqa: E402
from report import Measurements, cells, markdown, number, table  # noqa: E402
from rows import Goal, Row  # noqa: E402

SPEED = Row("speed", "speed", "/s", "counted", Goal(0.5, of_floor=True), "floor_speed")
WAIT = Row("wait", "wait", "s", "timed", Goal(2), lower_is_better=True)
FLOOR = Row("floor_speed", "floor", "/s", "counted")


@pytest.fixture
def measurements() -> Measurements:
    measured = Measurements({"date": "today"})
    for shoal, ray in ((100, 10), (300, 30), (200, 20)):
        measured.add("shoal", {"speed": shoal, "wait": 4})
        measured.add("ray", {"speed": ray, "wait": 1})
    measured.add("floors", {"floor_speed": 300})
    return measured


def test_medians_ratios_and_goals(measurements: Measurements) -> None:
    assert cells(SPEED, measurements, ["shoal", "ray"]) == [
        "speed",
        "/s",
        "200",
        "20.0",
        "10.0 ×",
        "300",
        "≥ 150",
        "yes",
    ]
    assert cells(WAIT, measurements, ["shoal", "ray"]) == ["wait", "s", "4.00", "1.00", "0.250 ×", "", "≤ 2.00", "no"]


def test_a_failure_is_shown_and_explained(measurements: Measurements) -> None:
    measurements.add_failure("pool", "speed", "it broke")

    for text in (table([SPEED], [FLOOR], measurements), markdown([SPEED], [FLOOR], measurements)):
        assert "failed" in text
        assert "it broke" in text


def test_the_page_says_how_and_where(measurements: Measurements) -> None:
    page = markdown([SPEED], [FLOOR], measurements)

    assert "200 (100 to 300)" in page
    assert "- date: today" in page
    assert "**speed** (`speed`): counted" in page


@pytest.mark.parametrize(
    ("value", "text"), [(1234567.8, "1,234,568"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.012"), (0, "0.00")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_a_backend_that_hangs_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "hangs.py"
    program.write_text("import signal\nsignal.pause()\n")

    with (
        pytest.raises(BackendFailed, match="no answer"),
        Backend("floors", sys.executable).start(str(program)) as process,
    ):
        process.next_message(patience=0.01)


def test_the_error_of_a_backend_that_ends_is_told(tmp_path: Path) -> None:
    program = tmp_path / "ends.py"
    program.write_text("raise SystemExit('out of luck')\n")

    with (
        pytest.raises(BackendFailed, match="out of luck"),
        Backend("floors", sys.executable).start(str(program)) as process,
    ):
        process.next_message(patience=10)
