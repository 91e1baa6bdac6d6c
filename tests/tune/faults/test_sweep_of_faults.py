"""One search with every kind of bad trial: the others finish, and the result and the table say why."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import tune
from shoal.tune.exceptions import InvalidArgumentError, InvalidReportError, TrialHungError

MEGABYTE = 2**20


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=2, log_to_driver=False)
    yield
    shoal.shutdown()


def behaves(config: dict[str, Any]) -> None:
    kind = config["kind"]
    tune.report({"loss": 1.0})
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "raises":
        raise ZeroDivisionError("the loss is nothing")
    elif kind == "nonsense":
        tune.report("good")  # type: ignore[arg-type]
    elif kind == "hangs":
        wait_for_what_never_comes()
    elif kind == "greedy":
        kept = []
        for _ in range(40):
            kept.append(bytearray(os.urandom(MEGABYTE)) * 50)
            time.sleep(0.1)  # the work
    tune.report({"loss": 0.5})


def wait_for_what_never_comes() -> None:
    threading.Event().wait()


@pytest.mark.timeout(120)
def test_the_others_finish_and_the_table_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ["good", "killed", "raises", "nonsense", "hangs", "greedy", "good too"]
    results = tune.Tuner(
        tune.with_resources(behaves, {"cpu": 1, "memory": 300 * MEGABYTE}),
        param_space={"kind": tune.grid_search(kinds)},
        tune_config=tune.TuneConfig(metric="loss", mode="min", max_report_interval_s=10),
        run_config=tune.RunConfig(storage_path=tmp_path, name="search"),
    ).fit()
    table = capsys.readouterr().err
    errors = {kind: result.error for kind, result in zip(kinds, results, strict=True)}
    assert [kind for kind, error in errors.items() if error is None] == ["good", "good too"]
    assert len(results.errors) == results.num_errors == 5
    says = {
        "killed": ("ended by signal SIGKILL",),
        "raises": ("ZeroDivisionError: the loss is nothing",),
        "nonsense": ("'good'",),
        "hangs": ("has not reported for 10 s",),
        "greedy": ("used too much memory",),
    }
    lines = {
        kind: next(line for line in table.splitlines() if line.startswith(f"{trial.trial_name} failed"))
        for kind, trial in zip(kinds, results.trials, strict=True)
        if kind in says
    }
    for kind, words in says.items():
        assert all(word in str(errors[kind]) for word in words), (kind, errors[kind])
        assert all(word in lines[kind] for word in words), (kind, lines[kind])
    assert isinstance(errors["hangs"], TrialHungError)
    assert "wait_for_what_never_comes" in str(errors["hangs"])
    assert "trial_executor" not in str(errors["hangs"])
    assert isinstance(getattr(errors["nonsense"], "cause", errors["nonsense"]), InvalidReportError)
    assert results.get_best_result().metrics["loss"] == 0.5  # type: ignore[index]


@pytest.mark.timeout(60)
def test_a_trial_that_hung_goes_on_from_the_environments_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_TUNE_MAX_REPORT_INTERVAL_S", "1.5")
    mark = tmp_path / "has hung"

    def hangs_once(config: dict[str, Any]) -> None:
        tune.report({"loss": 1.0})
        if not mark.exists():
            mark.touch()
            wait_for_what_never_comes()

    (result,) = tune.Tuner(
        hangs_once,
        run_config=tune.RunConfig(storage_path=tmp_path, verbose=0, failure_config=tune.FailureConfig(max_failures=1)),
    ).fit()
    assert result.error is None
    assert mark.exists()


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_trial_that_hangs_outside_of_python_ends_too(tmp_path: Path) -> None:
    def stuck(config: dict[str, Any]) -> dict[str, float]:
        if config["stuck"]:
            ctypes.PyDLL(None).pause()  # keeps Python's lock: no other thread of its process runs
        return {"loss": 0.0}

    results = tune.Tuner(
        stuck,
        param_space={"stuck": tune.grid_search([True, False])},
        tune_config=tune.TuneConfig(max_report_interval_s=2),
        run_config=tune.RunConfig(storage_path=tmp_path, verbose=0),
    ).fit()
    assert isinstance(results[0].error, TrialHungError)
    assert "does not say where" in str(results[0].error)
    assert results[1].error is None


def test_the_limit_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for bad in (0, -1, True, "soon"):
        with pytest.raises(InvalidArgumentError, match="max_report_interval_s"):
            tune.TuneConfig(max_report_interval_s=bad)  # type: ignore[arg-type]
    monkeypatch.setenv("SHOAL_TUNE_MAX_REPORT_INTERVAL_S", "soon")
    with pytest.raises(InvalidArgumentError, match="SHOAL_TUNE_MAX_REPORT_INTERVAL_S is 'soon'"):
        _ = tune.TuneConfig().max_report_interval_seconds
