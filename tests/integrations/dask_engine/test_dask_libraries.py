"""Data and Tune on a real Dask cluster: the programs are those that run on shoal's own engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shoal

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]


def test_the_batch_inference_example_with_nothing_changed_but_its_environment(tmp_path: Path, cluster: Any) -> None:
    example = Path(__file__).parents[3] / "examples" / "batch_inference.py"
    address = cluster.scheduler_address.replace("tcp://", "dask://")
    options = ["--concurrency", "1", "--repeat", "1", "--output", str(tmp_path / "predictions")]
    done = subprocess.run(
        [sys.executable, str(example), *options],
        env={**os.environ, "SHOAL_ADDRESS": address},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.rpartition("accuracy: ")[2].split()[0]) > 0.9
    assert list((tmp_path / "predictions").glob("*.parquet"))


def test_data_sorts_and_groups_across_tasks() -> None:
    import shoal.data

    rows = shoal.data.range(20_000, override_num_blocks=4).map_batches(
        lambda batch: {"id": batch["id"], "rest": batch["id"] % 7}
    )
    assert [row["id"] for row in rows.sort("id", descending=True).take(2)] == [19_999, 19_998]
    counts = {row["rest"]: row["count()"] for row in rows.groupby("rest").count().take_all()}
    assert sum(counts.values()) == 20_000
    assert set(counts) == set(range(7))


def test_a_search_by_tune(tmp_path: Path) -> None:
    from shoal import tune
    from shoal.train import RunConfig

    def trial(config: dict[str, Any]) -> None:
        for step in range(3):
            tune.report({"loss": (config["x"] - 3) ** 2 / (step + 1)})

    tuner = tune.Tuner(
        trial,
        param_space={"x": tune.grid_search([1, 2, 3, 4])},
        tune_config=tune.TuneConfig(metric="loss", mode="min", max_concurrent_trials=2),
        run_config=RunConfig(storage_path=str(tmp_path), name="search"),
    )
    results = tuner.fit()
    assert len(results) == 4
    assert not results.errors
    assert results.get_best_result().config == {"x": 3}
    assert shoal.is_initialized()


def test_a_trainer_says_that_its_workers_need_processes(tmp_path: Path) -> None:
    from shoal.train import InvalidArgumentError, RunConfig, ScalingConfig
    from shoal.train.data_parallel_trainer import DataParallelTrainer

    trainer = DataParallelTrainer(
        lambda: None, scaling_config=ScalingConfig(num_workers=2), run_config=RunConfig(storage_path=str(tmp_path))
    )
    with pytest.raises(InvalidArgumentError, match="num_workers=0"):
        trainer.fit()
