"""What a search came to."""

from __future__ import annotations

import math
import pickle
import sys
from pathlib import Path

import pytest
from pyarrow import fs

from shoal.train import Checkpoint, Result
from shoal.tune import Trial
from shoal.tune.result_grid import ResultGrid

sys.path.insert(0, str(Path(__file__).parent))

from searches import search, trial_of


@pytest.fixture
def grid(tmp_path: Path) -> ResultGrid:
    return ResultGrid(search(tmp_path), str(tmp_path))


def test_it_is_a_sequence_of_results(grid: ResultGrid, tmp_path: Path) -> None:
    assert len(grid) == 4
    assert all(isinstance(result, Result) for result in grid)
    assert [result.path for result in grid] == [str(tmp_path / f"trial_{number}") for number in range(4)]
    assert grid[-1].path == grid[3].path
    with pytest.raises(IndexError):
        grid[4]


def test_counts_and_errors(grid: ResultGrid, tmp_path: Path) -> None:
    assert (grid.num_errors, grid.num_terminated) == (1, 3)
    assert [str(error) for error in grid.errors] == ["no such layer"]
    assert grid[3].error is grid.errors[0]
    assert grid.experiment_path == str(tmp_path)
    assert isinstance(grid.filesystem, fs.LocalFileSystem)


def test_a_result_reads_what_its_trial_reported(grid: ResultGrid) -> None:
    result = grid[1]
    assert result.metrics is not None
    assert result.metrics["loss"] == 1.0
    assert result.config == {"lr": 0.2}
    frame = result.metrics_dataframe
    assert frame["loss"].tolist() == [3.0, 2.0, 1.0]
    assert frame["eval/acc"].tolist() == [3.0, 2.0, 1.0]
    assert frame["config/lr"].tolist() == [0.2] * 3
    assert grid[3].metrics == {"trial_id": grid.trials[3].trial_id}
    assert len(grid[3].metrics_dataframe) == 0


@pytest.mark.parametrize(
    ("scope", "mode", "best"),
    [("last", "min", 1), ("all", "min", 0), ("avg", "min", 1), ("last-5-avg", "max", 0), ("last-10-avg", "min", 1)],
)
def test_the_best_depends_on_the_scope(grid: ResultGrid, scope: str, mode: str, best: int) -> None:
    assert grid.get_best_result("loss", mode, scope) is grid[best]


def test_nested_metrics_are_found(grid: ResultGrid) -> None:
    assert grid.get_best_result("eval/acc", "max") is grid[1]


def test_the_searchs_metric_is_the_default(tmp_path: Path) -> None:
    grid = ResultGrid(search(tmp_path), str(tmp_path), metric="loss", mode="min")
    assert grid.get_best_result() is grid[1]
    assert grid.get_best_result(mode="max") is grid[0]


def test_without_a_metric_or_a_mode_the_only_trial_is_the_best(tmp_path: Path) -> None:
    grid = ResultGrid([trial_of(tmp_path, 0, {}, [{"a": 1}])], str(tmp_path))
    assert grid.get_best_result() is grid.get_best_result("a") is grid.get_best_result(mode="min") is grid[0]


def test_nan_counts_only_where_it_is_asked_for(tmp_path: Path) -> None:
    trials = [trial_of(tmp_path, 0, {}, [{"a": math.inf}]), trial_of(tmp_path, 1, {}, [{"a": 1.0}])]
    grid = ResultGrid(trials, str(tmp_path))
    assert grid.get_best_result("a", "max") is grid[1]
    assert grid.get_best_result("a", "max", filter_nan_and_inf=False) is grid[0]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"mode": "min"}, ValueError, "metric is None"),
        ({"metric": "loss"}, ValueError, "mode is None"),
        ({"metric": "loss", "mode": "least"}, ValueError, "'least'; give 'min' or 'max'"),
        ({"metric": "loss", "mode": "min", "scope": "first"}, ValueError, "'first'; give one of 'last'"),
        ({"metric": "los", "mode": "min"}, RuntimeError, "Did you mean 'loss'"),
        ({"metric": "los", "mode": "min"}, RuntimeError, "1 of 4 trials failed"),
    ],
)
def test_errors_name_the_argument_and_the_fix(
    grid: ResultGrid, arguments: dict[str, str], kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        grid.get_best_result(**arguments)


def test_a_best_of_nothing_but_nan_is_explained(tmp_path: Path) -> None:
    grid = ResultGrid([trial_of(tmp_path, 0, {}, [{"a": math.nan}])], str(tmp_path))
    with pytest.raises(RuntimeError, match="filter_nan_and_inf=False"):
        grid.get_best_result("a", "min")


def test_one_row_a_trial(grid: ResultGrid) -> None:
    frame = grid.get_dataframe()
    assert frame["loss"].tolist()[:2] == [4.0, 1.0]
    assert frame["config/lr"].tolist() == [0.1, 0.2, 0.3]
    assert frame["logdir"].tolist()[0] == grid[0].path
    best = grid.get_dataframe("loss", "min")
    assert best["loss"].tolist() == [0.1, 1.0]
    assert best["training_iteration"].tolist() == [1, 3]
    with pytest.raises(ValueError, match="filter_mode is None"):
        grid.get_dataframe("loss")


def test_kept_checkpoints_come_with_their_reports(tmp_path: Path) -> None:
    reports = [{"a": number, "checkpoint_dir_name": f"checkpoint_{number:06d}"} for number in range(3)]
    trial = trial_of(tmp_path, 0, {}, reports)
    for number in (0, 2):
        (tmp_path / "trial_0" / f"checkpoint_{number:06d}").mkdir()
    result = ResultGrid([trial], str(tmp_path))[0]
    assert [metrics["a"] for _, metrics in result.best_checkpoints] == [0, 2]
    best = result.get_best_checkpoint("a", "min")
    assert best is not None
    assert best.path.endswith("checkpoint_000000")
    read = Result.from_path(trial.path)
    assert read.checkpoint is not None
    assert read.checkpoint.path.endswith("checkpoint_000002")
    assert read.best_checkpoints == result.best_checkpoints
    trial.checkpoints = [(Checkpoint(str(tmp_path)), {"a": 7})]
    assert len(ResultGrid([trial], str(tmp_path))[0].best_checkpoints) == 1


def test_it_shows_itself(tmp_path: Path) -> None:
    grid = ResultGrid(search(tmp_path), str(tmp_path), metric="loss", mode="min")
    assert repr(grid).startswith("ResultGrid(4 trials: 3 terminated, 1 failed; best loss 1 by trainable_00000001")
    html = grid._repr_html_()
    assert "trainable_00000001" in html
    assert "TERMINATED" in html
    assert "Result(metrics={'loss': 1.0" in repr(grid[1])


def test_results_can_be_pickled(grid: ResultGrid) -> None:
    result = pickle.loads(pickle.dumps(grid[1]))
    assert result.metrics_dataframe["loss"].tolist() == [3.0, 2.0, 1.0]


def test_ten_thousand_trials_are_no_work(tmp_path: Path) -> None:
    trials = [
        Trial(f"{number:08d}", number, {}, metric_analysis={"a": {"last": float(number)}}, path=str(tmp_path))
        for number in range(10_000)
    ]
    grid = ResultGrid(trials, str(tmp_path), metric="a", mode="max")
    assert grid.get_best_result().path == str(tmp_path)
