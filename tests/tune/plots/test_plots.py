"""Pictures are drawn, and say what they should."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from shoal.tune import Trial
from shoal.tune.plots import parameter_importances
from shoal.tune.result_grid import ResultGrid

sys.path.insert(0, str(Path(__file__).parents[1] / "results"))

from searches import search, trial_of


def scored(parameters: dict[str, object], score: float) -> Trial:
    return Trial("0", 0, parameters, evaluated_params=parameters, metric_analysis={"loss": {"last": score}})


def test_what_matters_is_found() -> None:
    random = np.random.default_rng(0)
    trials = []
    for _ in range(40):
        matters, not_at_all, word = random.uniform(), random.uniform(), random.choice(["b", "a"])
        trials.append(
            scored({"matters": matters, "not": not_at_all, "word": word, "same": 1}, matters**2 + (word == "a"))
        )
    importances = parameter_importances(trials, "loss", "min")
    assert set(importances) == {"matters", "not", "word"}
    assert list(importances)[2] == "not"
    assert sum(importances.values()) == pytest.approx(1)
    assert importances == parameter_importances(trials, "loss", "min")


def test_a_few_trials_say_nothing() -> None:
    assert parameter_importances([scored({"a": n}, n) for n in range(3)], "loss", "min") == {}
    assert parameter_importances([scored({"a": 1}, n) for n in range(9)], "loss", "min") == {}


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_figure_is_written(suffix: str, tmp_path: Path) -> None:
    trials = search(tmp_path) + [
        trial_of(tmp_path, n, {"lr": n, "kind": "ab"[n % 2]}, [{"loss": n}]) for n in range(5, 9)
    ]
    figure = ResultGrid(trials, str(tmp_path), metric="loss", mode="min").plot(path=tmp_path / f"search.{suffix}")
    assert (tmp_path / f"search.{suffix}").stat().st_size > 1000
    curves, bars = figure.axes
    assert len(curves.lines) == 6
    assert "best: trainable_00000001" in curves.get_legend_handles_labels()[1]
    assert {label.get_text() for label in bars.get_yticklabels()} == {"lr", "kind"}


def test_a_metric_that_nobody_reported_is_an_error(tmp_path: Path) -> None:
    grid = ResultGrid(search(tmp_path), str(tmp_path))
    with pytest.raises(RuntimeError, match="Did you mean 'loss'"):
        grid.plot("lss", "min")
    with pytest.raises(ValueError, match="metric is None"):
        grid.plot()


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"shoal-tune\[plot\]"):
        ResultGrid(search(tmp_path), str(tmp_path)).plot("loss", "min")
