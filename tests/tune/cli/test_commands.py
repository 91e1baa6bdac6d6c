"""The command `tune`."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from shoal.tune.commands import main

sys.path.insert(0, str(Path(__file__).parents[1] / "results"))

from searches import search


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    search(tmp_path / "mine")
    (tmp_path / "no search").mkdir()
    return tmp_path


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def fail(*arguments: str | Path) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code != 0, done.output
    return done.output


def test_trials_are_listed(project: Path) -> None:
    lines = run("list-trials", project / "mine", "--sort", "loss", "--desc").splitlines()
    heading = lines[0].split()
    assert heading[:4] == ["trial_id", "status", "training_iteration", "time_total_s"]
    assert {"loss", "eval/acc", "config/lr"} <= set(heading)
    assert [line.split()[0] for line in lines[1:3]] == ["00000000", "00000001"]


def test_rows_and_columns_are_chosen(project: Path) -> None:
    text = run("list-trials", project / "mine", "--filter", "loss < 2", "--columns", "trial_id,loss")
    assert [line.split() for line in text.splitlines()] == [["trial_id", "loss"], ["00000001", "1.0"]]
    text = run("list-trials", project / "mine", "--filter", "trial_id==00000000", "--result-columns", "config/lr")
    assert text.splitlines()[1].split()[0] == "00000000"
    assert "config/lr" in text
    assert len(run("list-trials", project / "mine", "--limit", "1").splitlines()) == 2


def test_tables_are_written(project: Path) -> None:
    run("list-trials", project / "mine", "-o", project / "t.csv", "--columns", "loss")
    assert pd.read_csv(project / "t.csv")["loss"].tolist()[:2] == [4.0, 1.0]
    run("list-trials", project / "mine", "-o", project / "t.pkl")
    assert "loss" in pd.read_pickle(project / "t.pkl")
    assert ".csv" in fail("list-trials", project / "mine", "-o", project / "t.xls")


def test_searches_are_listed(project: Path) -> None:
    lines = run("list-experiments", project).splitlines()
    assert lines[0].split() == ["name", "trials", "running", "terminated", "error", "changed"]
    assert lines[1].split()[:5] == ["mine", "4", "0", "3", "1"]


def test_errors_say_what_there_is(project: Path) -> None:
    assert "there is no column 'lss'" in fail("list-trials", project / "mine", "--sort", "lss")
    assert "is no number" in fail("list-trials", project / "mine", "--filter", "loss < x")
    assert "has none of" in fail("list-trials", project / "mine", "--filter", "loss")
    assert "no folder in it has results" in fail("list-trials", project / "no search")
    assert "there are no searches" in fail("list-experiments", project / "no search")


def test_notes_are_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.edit", lambda text: text + "seen\n")
    run("add-note", project / "mine")
    run("add-note", project / "mine", "--filename", "note.txt")
    assert (project / "mine" / "note.txt").read_text() == "seen\nseen\n"
    monkeypatch.setattr("click.edit", lambda text: None)
    assert "as it was" in run("add-note", project / "mine")
