"""What people see of a search, on terminals, in notebooks and in logs."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from shoal.tune import Trial
from shoal.tune._internal.process import progress_display
from shoal.tune._internal.process.progress_display import (
    LiveReporter,
    PlainReporter,
    ProgressCallback,
    chosen_reporter,
    progress_callback,
)
from shoal.tune.progress_reporter import CLIReporter, JupyterNotebookReporter, ProgressReporter


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting(ProgressReporter):
    """Counts what it is asked."""

    def __init__(self, clock: Clock, cost: float = 0.0) -> None:
        self.asked = 0
        self.reports: list[bool] = []
        self.settings: dict[str, Any] = {}
        self._clock, self._cost = clock, cost

    def setup(self, *arguments: Any, **info: Any) -> None:
        self.settings = info

    def should_report(self, trials: Sequence[Trial], done: bool = False) -> bool:
        self.asked += 1
        return self.asked % 2 == 1

    def report(self, trials: Sequence[Trial], done: bool, *sys_info: str) -> None:
        self.reports.append(done)
        self._clock.now += self._cost


def trials() -> list[Trial]:
    good = Trial(
        "00000001",
        0,
        {"lr": 0.5},
        evaluated_params={"lr": 0.5},
        status="RUNNING",
        last_result={"loss": 0.125, "training_iteration": 3, "time_total_s": 1.0},
        metric_analysis={"loss": {"last": 0.125}},
    )
    bad = Trial(
        "00000002", 1, {"lr": 9}, evaluated_params={"lr": 9}, status="ERROR", error=ValueError("lr is too large")
    )
    return [good, bad]


def test_the_loop_is_asked_for_next_to_nothing() -> None:
    clock = Clock()
    reporter = Counting(clock, cost=0.5)
    callback = ProgressCallback(reporter, "loss", "min", {"CPU": 2.0}, clock)
    callback.setup(total_num_samples=7, name="n", path="p")
    assert reporter.settings["total_samples"] == 7
    assert (reporter.settings["metric"], reporter.settings["name"]) == ("loss", "n")
    for _ in range(1000):
        callback.on_step_end(0, [])
    assert reporter.reports == [False]
    assert reporter.asked == 1
    # A report that took half a second is not repeated for 25.
    clock.now += 24
    callback.on_step_end(0, [])
    assert reporter.asked == 1
    clock.now += 2
    callback.on_step_end(0, [])
    assert reporter.asked == 2
    callback.on_experiment_end([])
    assert reporter.reports == [False, True]


def test_verbose_0_is_quiet() -> None:
    assert progress_callback(verbose=0) is None
    assert progress_callback(CLIReporter(), verbose=0) is not None
    assert progress_callback(verbose=1, metric=["a", "b"], mode=["min", "max"]) is not None


def test_the_place_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(chosen_reporter(), PlainReporter)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", terminal)
    assert isinstance(chosen_reporter(), LiveReporter)
    monkeypatch.setattr(progress_display, "in_notebook", lambda: True)
    assert isinstance(chosen_reporter(), JupyterNotebookReporter)


def test_cli_reporter_prints_a_table_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    reporter = CLIReporter(metric_columns={"loss": "the loss"}, max_report_frequency=5, clock=clock)
    reporter.add_parameter_column("lr", "rate")
    with pytest.raises(ValueError, match="shows it already"):
        reporter.add_metric_column("loss")
    reporter.setup(start_time=990.0, total_samples=4, metric="loss", mode="min", name="mine")
    assert reporter.should_report(trials())
    clock.now += 4
    assert not reporter.should_report(trials())
    assert reporter.should_report(trials(), done=True)
    clock.now += 5
    assert reporter.should_report(trials())
    reporter.report(trials(), False, "memory 1/2 GiB")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Search mine: 2 of 4 trials: 1 running, 1 failed · 19 s"
    assert lines[1] == "best loss (min): 0.125 by trainable_00000001 with lr=0.5"
    assert lines[2] == "memory 1/2 GiB"
    assert lines[3].split() == ["trial", "status", "rate", "iter", "time", "(s)", "the", "loss"]
    assert lines[4].split() == ["trainable_00000001", "RUNNING", "0.5", "3", "1", "0.125"]
    assert lines[-1] == "trainable_00000002 failed: ValueError: lr is too large"


def test_tables_may_be_left_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = CLIReporter(print_intermediate_tables=False)
    reporter.report(trials(), False)
    assert "status" not in capsys.readouterr().out
    reporter.report(trials(), True)
    assert "status" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [{"mode": "least"}, {"max_progress_rows": 0}, {"metric_columns": "loss"}])
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        CLIReporter(**arguments)


def test_a_notebook_is_changed_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, content: Any) -> None:
            shown.append("update " + content.data)

    def display(content: Any, display_id: bool) -> Handle:
        shown.append("display " + content.data)
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    reporter = JupyterNotebookReporter(metric="loss", mode="min")
    reporter.report(trials(), False)
    reporter.report(trials(), True)
    assert [text.split()[0] for text in shown] == ["display", "update"]
    assert "<pre" in shown[0]
    assert "lr is too large" in shown[1]


def test_a_terminal_is_live_and_keeps_the_end() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=70, height=20, color_system=None)
    reporter = LiveReporter(console, metric="loss", mode="min")
    reporter.setup(name="mine")
    for _ in range(3):
        reporter.report(trials(), False)
    before = screen.getvalue()
    assert "\x1b[?25l" in before  # the cursor is hidden while it is live
    reporter.report(trials(), True)
    end = screen.getvalue()[len(before) :]
    assert "\x1b[?25h" in end
    last = end[end.rindex("is over") :]
    assert "trainable_00000001" in last
    assert "lr is too large" in last
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())
    assert max(len(line) for line in plain.replace("\r", "\n").splitlines()) <= 70


def test_logs_get_few_lines() -> None:
    clock, stream = Clock(), io.StringIO()
    reporter = PlainReporter(stream, clock=clock, metric="loss", mode="min")
    callback = ProgressCallback(reporter, clock=clock)
    callback.setup(name="mine")
    for _ in range(250):
        callback.on_step_end(0, trials())
        clock.now += 0.1
    assert len(stream.getvalue().splitlines()) == 2
    for _ in range(30):
        callback.on_trial_error(0, [], trials()[1])
    assert stream.getvalue().count("lr is too large") == progress_display.TOLD_AT_ONCE
    callback.on_experiment_end(trials())
    end = stream.getvalue()[stream.getvalue().index("is over") :]
    assert "trainable_00000001" in end
    assert "ValueError: lr is too large" in end
