"""Names are found where programs written for Ray look for them."""

from __future__ import annotations

import importlib

import pytest

from shoal import tune

HOMES = {
    "error": "TuneError",
    "execution.placement_groups": "PlacementGroupFactory",
    "experiment": "Experiment",
    "result_grid": "ResultGrid",
    "trainable": "PlacementGroupFactory Trainable with_parameters",
    "tune_config": "ResumeConfig TuneConfig",
    "tuner": "Tuner",
}


@pytest.mark.parametrize(("module", "names"), HOMES.items())
def test_names_of_other_modules(module: str, names: str) -> None:
    home = importlib.import_module(f"shoal.tune.{module}")
    assert all(getattr(home, name) is getattr(tune, name) for name in names.split())


def test_names_of_results() -> None:
    from shoal.tune import result

    names = (result.TRAINING_ITERATION, result.TIME_TOTAL_S, result.DONE, result.SHOULD_CHECKPOINT)
    assert names == ("training_iteration", "time_total_s", "done", "should_checkpoint")
