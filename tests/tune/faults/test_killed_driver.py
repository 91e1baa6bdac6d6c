"""The program that searches is killed or interrupted at some time; the search goes on as if nothing had happened."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM, POPULATION = (str(Path(__file__).parent / name) for name in ("kept_search.py", "kept_population.py"))


def started(folder: Path, how: str, program: str = PROGRAM, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, program, str(folder), how, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    return process


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(started(tmp_path_factory.mktemp("undisturbed"), "new"))


def killed_and_restored(folder: Path, seconds: float) -> dict[str, Any]:
    process = started(folder, "new")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()
    return outcome(started(folder, "restore"))


@pytest.mark.parametrize("round_number", [0, 1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 50))])
def test_each_trial_counts_once_after_a_kill(round_number: int, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    seconds = random.Random(round_number).uniform(0.05, 1.5)
    after = killed_and_restored(tmp_path, seconds)
    assert after == undisturbed


def test_an_interrupt_saves_and_the_search_goes_on_later(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    process = started(tmp_path, "new")
    assert process.stdout is not None
    assert process.stdout.readline() == "one is over\n"
    process.send_signal(signal.SIGINT)
    interrupted = outcome(process)
    assert interrupted["ended"] < interrupted["trials"] or interrupted["trials"] < undisturbed["trials"]
    assert outcome(started(tmp_path, "restore")) == undisturbed


@pytest.fixture(scope="module")
def undisturbed_populations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    found = {}
    for scheduler in ("pbt", "hyperband"):
        found[scheduler] = outcome(started(tmp_path_factory.mktemp(scheduler), "new", POPULATION, scheduler))
    return found


@pytest.mark.parametrize("scheduler", ["pbt", "hyperband"])
@pytest.mark.parametrize(
    "reports", [33, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 56, 2) if n != 33)]
)
def test_trials_that_depend_on_one_another_go_on_as_they_would_have(
    scheduler: str, reports: int, tmp_path: Path, undisturbed_populations: dict[str, dict[str, Any]]
) -> None:
    process = started(tmp_path, "new", POPULATION, scheduler)
    assert process.stdout is not None
    for _ in range(reports):
        assert process.stdout.readline() == "report\n"
    process.kill()
    process.communicate()
    after = outcome(started(tmp_path, "restore", POPULATION, scheduler))
    assert after == undisturbed_populations[scheduler]
    assert after["once"]
