"""What stands in a trial's folder."""

from __future__ import annotations

import csv
import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from shoal.air.callback import LoggerCallback
from shoal.tune import Trial
from shoal.tune.logger import CSVLoggerCallback, JsonLoggerCallback, pretty_print
from shoal.tune.logger.default_callbacks import default_callbacks
from shoal.tune.logger.log_file import FULL, LATEST, FlushSchedule, LogFile, kept_lines


def trial(folder: Path, **config: Any) -> Trial:
    return Trial("00000001", 0, config, local_path=str(folder))


def feed(logger: LoggerCallback, trial: Trial, results: list[dict[str, Any]], end: bool = True) -> None:
    logger.on_trial_start(0, [trial], trial)
    for number, result in enumerate(results):
        logger.on_trial_result(number, [trial], trial, result)
    if end:
        logger.on_trial_complete(0, [trial], trial)


def results(first: int, last: int, **more: Any) -> list[dict[str, Any]]:
    return [{"training_iteration": number, "loss": 1 / number, **more} for number in range(first, last + 1)]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def iterations(folder: Path) -> list[int]:
    found = [line["training_iteration"] for line in lines(folder)]
    assert [int(row["training_iteration"]) for row in rows(folder)] == found
    return found


def feed_both(folder: Path, trial: Trial, results: list[dict[str, Any]]) -> None:
    for logger in (JsonLoggerCallback(), CSVLoggerCallback()):
        feed(logger, trial, results)


def test_results_and_parameters_are_written(tmp_path: Path) -> None:
    one = trial(tmp_path, lr=0.1, nested={"units": [1, 2]})
    feed_both(tmp_path, one, results(1, 3, config=one.config, eval={"accuracy": 0.5}))
    assert [line["loss"] for line in lines(tmp_path)] == [1.0, 0.5, 1 / 3]
    assert lines(tmp_path)[0]["config"] == one.config
    assert json.loads((tmp_path / "params.json").read_text()) == one.config
    assert pickle.loads((tmp_path / "params.pkl").read_bytes()) == one.config
    frame = pd.read_csv(tmp_path / "progress.csv")
    assert list(frame.columns) == ["training_iteration", "loss", "eval/accuracy"]
    assert frame["loss"].tolist() == pytest.approx([1.0, 0.5, 1 / 3])


def test_a_configuration_that_cannot_be_pickled_is_written_as_text(tmp_path: Path) -> None:
    feed(JsonLoggerCallback(), trial(tmp_path, lock=threading.Lock(), lr=1), [])
    assert "lock" in json.loads((tmp_path / "params.json").read_text())["lock"]
    assert pickle.loads((tmp_path / "params.pkl").read_bytes())["lr"] == 1


def test_a_changed_configuration_is_written_anew(tmp_path: Path) -> None:
    logger, one = JsonLoggerCallback(), trial(tmp_path, lr=1)
    feed(logger, one, results(1, 1), end=False)
    one.config = {"lr": 2}
    feed(logger, one, results(2, 2))
    assert json.loads((tmp_path / "params.json").read_text()) == {"lr": 2}
    assert len(lines(tmp_path)) == 2


def test_a_metric_that_comes_later_is_a_column(tmp_path: Path) -> None:
    logger, one = CSVLoggerCallback(), trial(tmp_path)
    feed(logger, one, results(1, 2), end=False)
    logger.get_state()
    feed(logger, one, [*results(3, 3, late=5), {"training_iteration": 4, "other": "a,b\nc"}])
    frame = pd.read_csv(tmp_path / "progress.csv")
    assert list(frame.columns) == ["training_iteration", "loss", "late", "other"]
    assert frame["training_iteration"].tolist() == [1, 2, 3, 4]
    assert frame["late"].dropna().tolist() == [5]
    assert frame["other"].dropna().tolist() == ["a,b\nc"]
    assert frame["loss"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    "ending",
    ["on_step_end_later", "get_state", "on_trial_save", "on_trial_error", "on_experiment_end", "many"],
    ids=str,
)
@pytest.mark.parametrize("kind", [JsonLoggerCallback, CSVLoggerCallback])
def test_lines_wait_in_memory_until(kind: type[Any], ending: str, tmp_path: Path) -> None:
    now = 0.0
    logger, one = kind(), trial(tmp_path)
    logger._schedule = FlushSchedule(lambda: now)
    feed(logger, one, results(1, 2), end=False)
    logger.on_step_end(0, [one])
    assert not list(tmp_path.glob("*.csv")) + list(tmp_path.glob("result.json"))
    count = 2
    if ending == "on_step_end_later":
        now = LATEST
        logger.on_step_end(0, [one])
    elif ending == "many":
        count = 3
        feed(logger, one, results(3, 3, text="x" * FULL), end=False)
    elif ending == "on_trial_error":
        logger.on_trial_error(0, [one], one)
    elif ending == "on_trial_save":
        logger.on_trial_save(0, [one], one)
    elif ending == "on_experiment_end":
        logger.on_experiment_end([one])
    else:
        logger.get_state()
    assert len(rows(tmp_path) if kind is CSVLoggerCallback else lines(tmp_path)) == count


def test_a_restored_trial_goes_on_without_lines_twice(tmp_path: Path) -> None:
    one = trial(tmp_path)
    feed_both(tmp_path, one, results(1, 6))
    feed_both(tmp_path, one, results(4, 8))
    assert iterations(tmp_path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_trial_that_begins_anew_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    one = trial(tmp_path)
    feed_both(tmp_path, one, results(1, 6, old=1))
    feed_both(tmp_path, one, results(1, 2))
    assert iterations(tmp_path) == [1, 2]
    assert "old" not in rows(tmp_path)[0]


def test_a_line_that_was_torn_is_taken_away(tmp_path: Path) -> None:
    one = trial(tmp_path)
    feed_both(tmp_path, one, results(1, 3))
    for name in ("result.json", "progress.csv"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-5])
    feed_both(tmp_path, one, results(3, 4))
    assert iterations(tmp_path) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [JsonLoggerCallback, CSVLoggerCallback])
def test_a_retry_goes_on_after_its_checkpoint(kind: type[Any], tmp_path: Path) -> None:
    logger, one = kind(), trial(tmp_path)
    feed(logger, one, results(1, 5), end=False)
    one.num_failures = 1
    feed(logger, one, results(3, 4))
    found: list[Any] = rows(tmp_path) if kind is CSVLoggerCallback else lines(tmp_path)
    assert [int(line["training_iteration"]) for line in found] == [1, 2, 3, 4]


def test_going_on_from_another_trials_checkpoint_keeps_all_that_was_reported(tmp_path: Path) -> None:
    one = trial(tmp_path)
    feed_both(tmp_path, one, [*results(1, 5), *results(3, 4)])
    assert iterations(tmp_path) == [1, 2, 3, 4, 5, 3, 4]


def test_lines_that_cannot_be_written_are_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = LogFile(str(tmp_path / "there" / "x"))
    (tmp_path / "there").write_text("a file where a folder should be")
    file.add(b"1\n")
    assert not file.flush()
    assert not file.flush()
    assert len(caplog.records) == 1
    (tmp_path / "there").unlink()
    file.add(b"2\n")
    assert file.flush()
    assert (tmp_path / "there" / "x").read_bytes() == b"1\n2\n"


@pytest.mark.parametrize(
    ("iterations", "following", "kept"),
    [([], 1, 0), ([1, 2, 3], 4, 3), ([1, 2, 3], 2, 1), ([1, 2, 3], 1, 0), ([1, 2, None], 3, 2), ([5, 3, 4, 5], 5, 3)],
)
def test_which_lines_stay(iterations: list[int | None], following: int, kept: int) -> None:
    assert kept_lines(iterations, following) == kept


def test_loggers_come_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(CSVLoggerCallback):
        pass

    mine = Own()
    found = default_callbacks([mine])
    assert found[0] is mine
    assert sum(isinstance(callback, CSVLoggerCallback) for callback in found) == 1
    assert sum(isinstance(callback, JsonLoggerCallback) for callback in found) == 1
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    assert default_callbacks([mine]) == [mine]


def test_pretty_print() -> None:
    text = pretty_print({"loss": 0.5, "config": {"a": 1}, "x": {"y": [1]}, "none": None, "out": 1}, exclude=["out"])
    assert text == "loss: 0.5\nx:\n  y: [1]"
