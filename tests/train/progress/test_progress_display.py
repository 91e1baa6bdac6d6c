"""What a terminal, a notebook and a log show of a run."""

from __future__ import annotations

import io
import sys
import types
from typing import Any

import pytest
from rich.console import Console

from shoal.train import Checkpoint, Result
from shoal.train._internal.process.progress_display import LINE_SECONDS, RANKS, ProgressDisplay


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, record=True, width=100, height=50)


def log() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, record=True, width=100)


def told(display: ProgressDisplay, clock: Clock, ranks: int = 2) -> None:
    """A run with a restart and a checkpoint."""
    display.started(0, ranks)
    display.reported(0, {"loss": 9.0}, False)
    display.failed(0, {1: MemoryError("x")}, restarting=True)
    display.started(1, ranks)
    for step in range(5):
        for rank in range(ranks):
            display.reported(rank, {"loss": 0.5 / (step + 1), "step": step}, step == 4)
        clock.now += 0.25
    display.committed(0, Checkpoint("/runs/digits/checkpoint_ab_000004"), [{}] * ranks)


def ended(display: ProgressDisplay, error: BaseException | None = None) -> None:
    display.ended(Result(None, None, error, "/runs/digits"))


def test_the_table_of_a_terminal() -> None:
    clock, console = Clock(), terminal()
    display = ProgressDisplay("digits", None, console, clock)
    told(display, clock)
    ended(display)
    lines = console.export_text().splitlines()
    assert lines[0].strip() == "digits: finished, 1 s"
    assert [cell.strip() for cell in lines[2].strip("┃").split("┃")] == [
        "rank",
        "reports",
        "reports/s",
        "s/report",
        "loss",
        "step",
    ]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert rows == [["0", "5", "4", "0.25", "0.1", "4"], ["1", "5", "4", "0.25", "0.1", "4"]]
    assert lines[-1].strip() == "1 checkpoint, latest checkpoint_ab_000004; 1 restart"


def test_many_ranks_are_cut() -> None:
    clock, console = Clock(), terminal()
    display = ProgressDisplay("big", None, console, clock)
    told(display, clock, RANKS + 5)
    ended(display, ValueError("x"))
    text = console.export_text()
    assert "big: failed" in text
    assert "5 more" in text
    assert f"│   {RANKS} │" not in text


def test_a_log_has_a_line_now_and_then() -> None:
    clock, console = Clock(), log()
    display = ProgressDisplay("digits", None, console, clock)
    told(display, clock)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""
    clock.now += LINE_SECONDS
    display.reported(0, {"loss": 0.01}, True)
    display.reported(1, {"loss": 0.01}, True)
    expected = "; 1 checkpoint, latest checkpoint_ab_000004; 1 checkpoint not whole yet; 1 restart"
    line, *rest = console.file.getvalue().splitlines()
    assert not rest
    assert line.startswith("digits: running, 16 s, 2 ranks; 6 reports (")
    assert "loss 0.01; step 4" in line
    assert expected in line
    ended(display, ValueError("x"))
    assert console.file.getvalue().splitlines()[1].startswith("digits: failed, 16 s")


def test_a_short_run_says_nothing_in_a_log() -> None:
    clock, console = Clock(), log()
    display = ProgressDisplay("digits", None, console, clock)
    told(display, clock)
    ended(display)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


@pytest.mark.parametrize("make", [terminal, log])
def test_nothing_is_shown_where_nothing_is_wanted(make: Any) -> None:
    clock, console = Clock(), make()
    display = ProgressDisplay("digits", 0, console, clock)
    told(display, clock)
    clock.now += 10 * LINE_SECONDS
    ended(display)
    assert console.file.getvalue() == ""


def test_the_cell_of_a_notebook_is_changed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []

    class Handle:
        def update(self, page: Any) -> None:
            pages.append(page.data)

    def display(page: Any, display_id: bool) -> Handle:
        pages.append(page.data)
        return Handle()

    shown = types.ModuleType("IPython.display")
    vars(shown).update(HTML=lambda data: types.SimpleNamespace(data=data), display=display)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    clock = Clock()
    observer = ProgressDisplay("<digits>", clock=clock)
    told(observer, clock)
    ended(observer)
    assert 3 <= len(pages) <= 5
    assert all(page.startswith("<pre>") and "&lt;digits&gt;" in page for page in pages)
    assert "finished" in pages[-1]
