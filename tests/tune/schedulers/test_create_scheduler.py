"""Schedulers by name, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shoal.tune.schedulers as schedulers
from shoal.tune.exceptions import InvalidArgumentError


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("fifo", {}, "FIFOScheduler"),
        ("async_hyperband", {}, "AsyncHyperBandScheduler"),
        ("asynchyperband", {"max_t": 9}, "AsyncHyperBandScheduler"),
        ("hyperband", {}, "HyperBandScheduler"),
        ("hb_bohb", {}, "HyperBandForBOHB"),
        ("median_stopping_rule", {}, "MedianStoppingRule"),
        ("medianstopping", {}, "MedianStoppingRule"),
        ("pbt", {"hyperparam_mutations": {"lr": [1, 2]}}, "PopulationBasedTraining"),
        ("pb2", {"hyperparam_bounds": {"lr": [1, 2]}}, "PB2"),
        ("resource_changing", {}, "ResourceChangingScheduler"),
    ],
)
def test_names(name: str, arguments: dict[str, object], kind: str) -> None:
    assert type(schedulers.create_scheduler(name, **arguments)).__name__ == kind


def test_unknown_names_are_answered_with_close_ones() -> None:
    with pytest.raises(InvalidArgumentError, match="scheduler is 'hyberband'; did you mean 'hyperband'"):
        schedulers.create_scheduler("hyberband")


def test_importing_them_loads_neither_scikit_learn_nor_torch() -> None:
    program = "import sys, shoal.tune.schedulers, shoal.tune.schedulers.pb2, shoal.tune.stopper; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sklearn", "scipy", "torch", "pandas", "optuna"} & set(loaded)
