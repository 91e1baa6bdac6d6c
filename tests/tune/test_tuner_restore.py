"""Searches that are taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

import shoal
from shoal import tune
from shoal.tune.exceptions import RestoreError


def fails_without(config: dict[str, Any]) -> dict[str, Any]:
    if config["x"] == 2 and not Path(config["flag"]).exists():
        raise ValueError("not yet")
    return {"loss": config["x"]}


def other(config: dict[str, Any]) -> None:
    """Is another trainable."""


@pytest.fixture
def failed(tmp_path: Path) -> tune.ResultGrid:
    """Of a search in which one trial failed, which will not the next time."""
    results = tune.Tuner(
        fails_without,
        param_space={"x": tune.grid_search([1, 2, 3]), "flag": str(tmp_path / "flag")},
        tune_config=tune.TuneConfig(metric="loss", mode="max"),
        run_config=tune.RunConfig(storage_path=tmp_path, name="search", verbose=0),
    ).fit()
    assert results.num_errors == 1
    (tmp_path / "flag").touch()
    return results


def test_what_is_over_stays(failed: tune.ResultGrid) -> None:
    tuner = tune.Tuner.restore(failed.experiment_path, fails_without)
    before = tuner.get_results()
    results = tuner.fit()
    assert tuner.get_results() is results
    assert [result.path for result in before] == [result.path for result in failed]
    assert (before.num_errors, before.get_best_result().config["x"]) == (1, 3)
    assert [result.metrics.get("loss") for result in before if result.metrics] == [1, None, 3]
    assert results.num_errors == 1
    assert isinstance(results.errors[0], ValueError)
    assert [result.path for result in results] == [result.path for result in failed]


@pytest.mark.parametrize("how", ["resume_errored", "restart_errored"])
def test_what_failed_is_tried_again(failed: tune.ResultGrid, how: Any) -> None:
    results = tune.Tuner.restore(failed.experiment_path, fails_without, **{how: True}).fit()
    assert results.num_errors == 0
    assert len(results) == 3
    assert results.get_best_result().config["x"] == 3


def test_what_does_not_fit_is_told(failed: tune.ResultGrid, tmp_path: Path) -> None:
    path = failed.experiment_path
    assert tune.Tuner.can_restore(path)
    assert not tune.Tuner.can_restore(tmp_path)
    with pytest.raises(RestoreError, match="there is no search"):
        tune.Tuner.restore(tmp_path, fails_without)
    with pytest.raises(RestoreError, match="'fails_without'"):
        tune.Tuner.restore(path, other)
    flag = str(tmp_path / "flag")
    for space, word in (
        ({"x": tune.grid_search([1, 2]), "flag": flag}, r"\['x'\] is"),
        ({"x": tune.grid_search([1, 2, 3])}, r"\['flag'\] is missing"),
        ({"x": tune.grid_search([1, 2, 3]), "flag": flag, "y": 1}, r"\['y'\] is new"),
    ):
        with pytest.raises(RestoreError, match=word):
            tune.Tuner.restore(path, fails_without, param_space=space)
    again = tune.Tuner.restore(path, fails_without, param_space={"x": tune.grid_search([1, 2, 3]), "flag": flag})
    assert len(again.fit()) == 3


def test_objects_that_are_made_anew(tmp_path: Path) -> None:
    def add(config: dict[str, Any]) -> dict[str, Any]:
        if not Path(config["flag"]).exists():
            raise ValueError("not yet")
        return {"sum": shoal.get(config["one"]) + shoal.get(config["other"])}

    def space(one: int) -> dict[str, Any]:
        others = tune.grid_search([shoal.put(one + 1), shoal.put(one + 2)])
        return {"one": shoal.put(one), "other": others, "flag": str(tmp_path / "flag")}

    run_config = tune.RunConfig(storage_path=tmp_path, name="search", verbose=0)
    assert tune.Tuner(add, param_space=space(0), run_config=run_config).fit().num_errors == 2
    (tmp_path / "flag").touch()
    tuner = tune.Tuner.restore(tmp_path / "search", add, param_space=space(10), resume_errored=True)
    assert [result.metrics["sum"] for result in tuner.fit() if result.metrics] == [21, 22]


def test_a_folder_that_was_moved(failed: tune.ResultGrid, tmp_path: Path) -> None:
    moved = Path(failed.experiment_path).rename(tmp_path / "moved")
    results = tune.Tuner.restore(moved, fails_without, resume_errored=True).fit()
    assert results.num_errors == 0
    assert all(result.path.startswith(str(moved)) for result in results)


def test_run_goes_on_by_name(failed: tune.ResultGrid, tmp_path: Path) -> None:
    analysis = tune.run(
        fails_without,
        name="search",
        storage_path=tmp_path,
        config={"x": tune.grid_search([1, 2, 3]), "flag": str(tmp_path / "flag")},
        resume="AUTO+ERRORED",
        verbose=0,
    )
    assert len(analysis.trials) == 3
    assert {trial.status for trial in analysis.trials} == {"TERMINATED"}


@pytest.fixture
def elsewhere(tmp_path: Path) -> fs.FileSystem:
    """A storage that is not known to be this machine's."""
    return fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())


def test_a_storage_elsewhere(elsewhere: fs.FileSystem, tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        Path("weights").mkdir(exist_ok=True)
        Path("weights", "w").write_text("1")
        for _ in range(3):
            tune.report({"loss": 1}, checkpoint=tune.Checkpoint.from_directory("weights"))

    results = tune.Tuner(
        train,
        param_space={"x": tune.grid_search([1, 2])},
        run_config=tune.RunConfig(
            storage_path="below",
            storage_filesystem=elsewhere,
            name="search",
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    ).fit()
    assert results.num_errors == 0
    for result in results:
        with result.checkpoint.as_directory() as folder:
            assert Path(folder, "w").read_text() == "1"
        names = {path.name for path in (tmp_path / result.path).iterdir()}
        assert {"result.json", "progress.csv", "checkpoint_000002"} <= names
        assert "checkpoint_000001" not in names
    restored = tune.Tuner.restore("below/search", train, storage_filesystem=elsewhere).fit()
    assert restored.num_terminated == 2
