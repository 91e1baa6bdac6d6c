"""A search whose driver is killed in the middle goes on, and suggests what it would have suggested."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal import tune
from shoal.tune.result_grid import ResultGrid

PROGRAM = """
import os, signal, sys
from pathlib import Path
import shoal
from shoal import tune
from shoal.tune.search import create_searcher

folder, name, seed, kill = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "kill"
driver = os.getpid()


def train(config):
    for step in (1, 2):
        tune.report({"loss": (config["x"] - 0.5) ** 2 + 1 / step})
    if kill:
        mine = Path(folder) / f"{os.getpid()}-{config['x']}"
        mine.touch()
        if sum(1 for one in Path(folder).iterdir() if one.is_file()) == 7:
            os.kill(driver, signal.SIGKILL)


with shoal.init(num_cpus=2, log_to_driver=False):
    tune.Tuner(
        train,
        param_space={"x": tune.uniform(-1, 1), "k": tune.choice([1, 2])},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=12, max_concurrent_trials=2, search_alg=create_searcher(name, **{seed: 1})
        ),
        run_config=tune.RunConfig(storage_path=folder, name="search", verbose=0),
    ).fit()
"""


def train(config: dict[str, Any]) -> None:
    """The same, without the kill."""
    for step in (1, 2):
        tune.report({"loss": (config["x"] - 0.5) ** 2 + 1 / step})


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    shoal.shutdown()
    shoal.init(num_cpus=2, log_to_driver=False)
    yield
    shoal.shutdown()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "seed"), [("optuna", "seed"), ("random", "random_state")])
def test_the_same_trials_as_an_undisturbed_search(name: str, seed: str, tmp_path: Path) -> None:
    def run(kind: str) -> Path:
        folder = tmp_path / kind
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder), name, seed, kind], timeout=100, env=os.environ
        )
        assert done.returncode == (-signal.SIGKILL if kind == "kill" else 0)
        return folder / "search"

    def outcomes(results: ResultGrid) -> list[Any]:
        return [(result.config, result.metrics["loss"], result.metrics["training_iteration"]) for result in results]

    whole = tune.Tuner.restore(str(run("whole")), train).fit()
    restored = tune.Tuner.restore(str(run("kill")), train).fit()
    assert len(restored) == 12
    assert restored.num_errors == 0
    assert outcomes(restored) == outcomes(whole)
