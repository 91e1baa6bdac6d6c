"""The same searches in one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import tune
from shoal.tune.schedulers import ASHAScheduler


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(local_mode=True, num_cpus=8)
    yield
    shoal.shutdown()


def test_trials_take_turns_in_this_process(tmp_path: Path) -> None:
    folder = os.getcwd()

    @shoal.remote
    def plus(x: int) -> int:
        return x + 1

    def train(config: dict[str, Any]) -> None:
        for step in range(3):
            tune.report({"loss": config["x"] * shoal.get(plus.remote(step)), "process": os.getpid()})

    results = tune.Tuner(
        train,
        param_space={"x": tune.grid_search([1, 2, 3])},
        tune_config=tune.TuneConfig(metric="loss", mode="min", scheduler=ASHAScheduler(max_t=3)),
        run_config=tune.RunConfig(storage_path=tmp_path, verbose=0),
    ).fit()
    assert results.num_errors == 0
    assert {result.metrics["process"] for result in results} == {os.getpid()}
    assert os.getcwd() == folder
