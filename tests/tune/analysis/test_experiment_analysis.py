"""A search that is over, from its trials and from its folder."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shoal.tune.analysis import ExperimentAnalysis

sys.path.insert(0, str(Path(__file__).parents[1] / "results"))

from searches import search, trial_of

Make = Callable[..., ExperimentAnalysis]


@pytest.fixture(params=["trials", "folder"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes an analysis of the same search, of its trials or of its folder."""
    trials = search(tmp_path)
    (tmp_path / "basic-variant-state.json").write_text("{}")
    (tmp_path / "no trial").mkdir()

    def made(**options: str) -> ExperimentAnalysis:
        given = trials if request.param == "trials" else None
        return ExperimentAnalysis(tmp_path, trials=given, **options)  # type: ignore[arg-type]

    return made


def test_the_best(make: Make, tmp_path: Path) -> None:
    analysis = make(default_metric="loss", default_mode="min")
    assert analysis.best_trial.trial_id == "00000001"
    assert analysis.best_config == {"lr": 0.2}
    assert analysis.best_result["loss"] == 1.0
    assert analysis.best_logdir == str(tmp_path / "trial_1")
    assert analysis.best_dataframe["loss"].tolist() == [3.0, 2.0, 1.0]
    assert analysis.best_result_df["loss"].to_dict() == {"00000001": 1.0}
    assert analysis.best_checkpoint is None


def test_the_best_by_other_measures(make: Make) -> None:
    analysis = make()
    assert analysis.get_best_config("loss", "min", "all") == {"lr": 0.1}
    assert analysis.get_best_config("loss", "max") == {"lr": 0.1}
    assert analysis.get_best_config("eval/acc", "max", "avg") == {"lr": 0.2}


def test_all_results(make: Make) -> None:
    analysis = make()
    assert [trial.status for trial in analysis.trials] == ["TERMINATED"] * 3 + ["ERROR"]
    assert str(analysis.trials[3].error).endswith("no such layer")
    assert analysis.results["00000001"]["loss"] == 1.0
    assert analysis.results_df.loc["00000000", "config/lr"] == 0.1
    assert analysis.trial_dataframes["00000000"]["loss"].tolist() == [0.1, 5.0, 4.0]
    assert analysis.dataframe("loss", "min")["loss"].tolist() == [0.1, 1.0]
    configs = [{"lr": 0.1}, {"lr": 0.2}, {"lr": 0.3}, {"lr": 0.4}]
    assert list(analysis.get_all_configs().values()) == configs
    assert next(iter(analysis.get_all_configs(prefix=True).values())) == {"config/lr": 0.1}


def test_without_a_metric_it_says_so(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    analysis = make()
    with pytest.raises(ValueError, match="default_metric"):
        _ = analysis.best_trial
    with pytest.raises(ValueError, match="'least'"):
        make(default_mode="least")
    assert analysis.get_best_trial("lss", "min") is None
    assert "Did you mean 'loss'" in caplog.text
    with pytest.raises(RuntimeError, match="Did you mean 'loss'"):
        _ = make(default_metric="lss", default_mode="min").best_config


@pytest.mark.parametrize("source", ["trials", "folder"])
def test_checkpoints(source: str, tmp_path: Path) -> None:
    reports = [{"a": number, "checkpoint_dir_name": f"checkpoint_{number:06d}"} for number in range(3)]
    trials = [trial_of(tmp_path, 0, {}, reports)]
    for number in (0, 2):
        (tmp_path / "trial_0" / f"checkpoint_{number:06d}").mkdir()
    analysis = ExperimentAnalysis(tmp_path, trials=trials if source == "trials" else None)
    best = analysis.get_best_checkpoint(analysis.trials[0], "a", "min")
    assert best is not None
    assert best.path.endswith("checkpoint_000000")
    assert analysis.get_best_checkpoint(analysis.trials[0], "b", "min") is None
    if source == "folder":
        last = analysis.get_last_checkpoint()
        assert last is not None
        assert last.path.endswith("checkpoint_000002")


def test_folders_tell_names_ids_and_order(tmp_path: Path) -> None:
    for name in ("fit_8e0c0b5a_10_lr=0.1_2026-01-01", "fit_0d4fb3b5_2_lr=0.2_2026-01-01", "fit_ab12c_00001_1_x_2026"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.json").write_text("{}")
    trials = ExperimentAnalysis(tmp_path).trials
    assert [trial.trial_name for trial in trials] == ["fit_ab12c_00001", "fit_0d4fb3b5", "fit_8e0c0b5a"]
    assert [trial.number for trial in trials] == [1, 2, 10]


def test_errors_come_back(tmp_path: Path) -> None:
    for name, content in (("a", pickle.dumps(KeyError("x"))), ("b", b"no pickle")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.json").write_text("{}")
        (tmp_path / name / "error.pkl").write_bytes(content)
        (tmp_path / name / "error.txt").write_text("…\nKeyError: 'x'\n")
    errors = [trial.error for trial in ExperimentAnalysis(tmp_path).trials]
    assert isinstance(errors[0], KeyError)
    assert str(errors[1]) == "KeyError: 'x'"


def test_a_folder_without_trials_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder in it has results"):
        ExperimentAnalysis(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        ExperimentAnalysis(tmp_path / "none")
