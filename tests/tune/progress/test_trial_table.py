"""Trials as a table that fits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.tune import Trial
from shoal.tune._internal.logic.progress_text import Search, best_line, duration, failure_lines, reason, status_line
from shoal.tune._internal.logic.trial_table import Selection, cut, trial_table


def trial(number: int, status: str = "RUNNING", loss: float | None = None, **more: Any) -> Trial:
    parameters = more.pop("parameters", {"lr": number / 10, "depth": 3})
    result = {} if loss is None else {"loss": loss, "training_iteration": number, "time_total_s": 1.234, "pid": 4}
    analysis = {} if loss is None else {"loss": {"last": loss, "min": loss, "max": loss}}
    return Trial(
        f"{number:08d}",
        number,
        {**parameters, "data": "x"},
        evaluated_params=parameters,
        status=status,
        last_result=result,
        metric_analysis=analysis,
        **more,
    )


def test_columns_are_what_differs_and_what_is_reported() -> None:
    table = trial_table([trial(1, loss=0.5), trial(2, loss=0.25)], "loss", "min")
    assert table.headings == ("trial", "status", "lr", "iter", "time (s)", "loss")
    assert table.rows[1] == ("trainable_00000002", "RUNNING", "0.2", "2", "1.23", "0.25")
    assert table.numbers == {2, 3, 4, 5}


def test_long_values_are_cut_and_many_rows_left_out() -> None:
    trials = [trial(n, parameters={"text": f"{n}" * 90}) for n in range(30)]
    table = trial_table(trials, rows=7)
    assert len(table.rows) == 7
    assert table.more == {"RUNNING": 23}
    assert max(len(cell) for row in table.rows for cell in row) == 20


def test_what_runs_comes_first_and_then_the_best() -> None:
    trials = [
        trial(1, "TERMINATED", 0.9),
        trial(2, "TERMINATED", 0.1),
        trial(3, "ERROR"),
        trial(4),
        trial(5, "PENDING"),
    ]
    table = trial_table(trials, "loss", "min", rows=3)
    assert [row[0][-1] for row in table.rows] == ["4", "5", "2"]
    assert table.more == {"TERMINATED": 1, "ERROR": 1}
    best = trial_table(trials, "loss", "max", rows=2, by_score=True)
    assert [row[0][-1] for row in best.rows] == ["1", "2"]


def test_chosen_columns_are_the_ones() -> None:
    selection = Selection({"eval/acc": "accuracy", "no": "no"}, {"lr": "rate"})
    one = trial(1, loss=0.5)
    one.last_result["eval"] = {"acc": 0.75}
    table = trial_table([one], selection=selection)
    assert table.headings == ("trial", "status", "rate", "iter", "time (s)", "accuracy", "no")
    assert table.rows[0][-2:] == ("0.75", "")


def test_parameters_with_one_name_keep_their_paths() -> None:
    table = trial_table([trial(n, parameters={"a/lr": n, "b/lr": n, "c/x": n}) for n in range(2)])
    assert table.headings[2:5] == ("a/lr", "b/lr", "x")


@given(st.text(), st.integers(1, 40))
def test_cut_texts_fit(text: str, width: int) -> None:
    assert len(cut(text, width)) <= width
    assert cut(text, max(len(text), 1)) == text


def test_lines_say_how_it_goes() -> None:
    search = Search("mine", "loss", "min", 20, {"CPU": 4.0, "memory": 1e9})
    trials = [trial(1, loss=0.5), trial(2, "TERMINATED", 0.25), trial(3, "ERROR")]
    assert status_line(trials, search, 65) == "3 of 20 trials: 1 running, 1 terminated, 1 failed · 1 min 5 s · 1/4 CPU"
    assert best_line(trials, search) == "best loss (min): 0.25 by trainable_00000002 with lr=0.2, depth=3"
    assert best_line(trials, Search(metric="other", mode="min")) == ""
    assert best_line(trials, Search()) == ""


def test_failures_name_the_bottom_of_the_matter() -> None:
    outer = RuntimeError("the trial failed")
    outer.__cause__ = ValueError("no such\nlayer")
    trials = [
        trial(1, "ERROR", error=outer, error_file="/x/error.txt", num_failures=3),
        trial(2, "ERROR"),
        trial(3, "ERROR"),
    ]
    assert failure_lines(trials, 2) == [
        "trainable_00000001 failed after 3 failures: ValueError: no such layer (/x/error.txt)",
        "trainable_00000002 failed: the error is not known",
        "… and 1 more failed trials",
    ]


def test_reasons_that_go_in_circles_end() -> None:
    error = ValueError("x")
    error.__cause__ = KeyError("y")
    error.__cause__.__cause__ = error
    assert reason(error) == "KeyError: 'y'"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
