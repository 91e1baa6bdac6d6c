"""Data, Train, Tune, Serve and RLlib on a real Ray: the programs are those that run on shoal's own engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip(
    "ray", minversion="2.60", reason="the ray engine needs ray: pip install 'shoal-integrations[ray]'"
)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default"), pytest.mark.timeout(300)]


def library(name: str) -> Any:
    """Returns a library of shoal's. Its distribution may be missing: then this is skipped, and says so."""
    return pytest.importorskip(name, reason=f"{name} is not installed beside Ray")


def test_the_batch_inference_example_with_nothing_changed_but_its_environment(tmp_path: Path) -> None:
    library("shoal.data")
    pytest.importorskip("sklearn")
    example = Path(__file__).parents[3] / "examples" / "batch_inference.py"
    cluster = ray.get_runtime_context().gcs_address
    options = ["--concurrency", "1", "--repeat", "1", "--output", str(tmp_path / "predictions")]
    done = subprocess.run(
        [sys.executable, str(example), *options],
        env={**os.environ, "SHOAL_ADDRESS": "ray", "RAY_ADDRESS": cluster},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.rpartition("accuracy: ")[2].split()[0]) > 0.9
    assert list((tmp_path / "predictions").glob("*.parquet"))


def test_data_sorts_and_groups_across_tasks() -> None:
    data = library("shoal.data")
    rows = data.range(20_000, override_num_blocks=4).map_batches(
        lambda batch: {"id": batch["id"], "rest": batch["id"] % 7}
    )
    assert [row["id"] for row in rows.sort("id", descending=True).take(2)] == [19_999, 19_998]
    counts = {row["rest"]: row["count()"] for row in rows.groupby("rest").count().take_all()}
    assert sum(counts.values()) == 20_000
    assert set(counts) == set(range(7))


def test_a_torch_trainer_with_two_workers(tmp_path: Path) -> None:
    library("shoal.train")
    pytest.importorskip("torch")
    from shoal.train import Checkpoint, RunConfig, ScalingConfig
    from shoal.train.torch import TorchTrainer

    def loop(config: dict[str, Any]) -> None:
        import tempfile

        import torch

        from shoal import train
        from shoal.train.torch import prepare_model

        torch.manual_seed(0)
        model = prepare_model(torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        rank = train.get_context().get_world_rank()
        features = torch.randn(64, 4, generator=torch.Generator().manual_seed(rank))
        for epoch in range(config["epochs"]):
            loss = ((model(features) - features.sum(1, keepdim=True)) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with tempfile.TemporaryDirectory() as folder:
                checkpoint = None
                if rank == 0:
                    torch.save(model.module.state_dict(), Path(folder) / "model.pt")
                    checkpoint = Checkpoint.from_directory(folder)
                train.report({"loss": loss.item(), "epoch": epoch}, checkpoint=checkpoint)

    result = TorchTrainer(
        loop,
        train_loop_config={"epochs": 3},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(name="on_ray", storage_path=str(tmp_path)),
    ).fit()
    assert result.error is None
    assert result.metrics["epoch"] == 2
    assert list(result.metrics_dataframe["loss"]) == sorted(result.metrics_dataframe["loss"], reverse=True)
    with result.checkpoint.as_directory() as folder:
        assert (Path(folder) / "model.pt").exists()


def test_a_sweep_with_early_stopping(tmp_path: Path) -> None:
    tune = library("shoal.tune")
    from shoal.tune.schedulers import ASHAScheduler

    def trainable(config: dict[str, Any]) -> None:
        for step in range(1, 9):
            tune.report({"score": config["slope"] * step})

    results = tune.Tuner(
        trainable,
        param_space={"slope": tune.grid_search([1.0, 2.0, 3.0, 4.0])},
        tune_config=tune.TuneConfig(
            metric="score", mode="max", scheduler=ASHAScheduler(max_t=8, grace_period=2, reduction_factor=2)
        ),
        run_config=tune.RunConfig(name="on_ray", storage_path=str(tmp_path)),
    ).fit()
    assert not results.errors
    assert len(results) == 4
    best = results.get_best_result()
    assert best.config["slope"] == 4.0
    assert best.metrics["score"] == 32.0


def test_a_serve_application_over_http_and_by_handle() -> None:
    serve = library("shoal.serve")

    @serve.deployment(num_replicas=2)
    class Doubler:
        def __call__(self, number: int) -> int:
            return 2 * number

    @serve.deployment
    class Api:
        def __init__(self, doubler: Any) -> None:
            self.doubler = doubler

        async def __call__(self, request: Any) -> dict[str, int]:
            body = await request.json()
            return {"doubled": await self.doubler.remote(body["number"])}

        async def total(self, numbers: list[int]) -> int:
            return sum([await self.doubler.remote(number) for number in numbers])

    host, port = serve.start(http_options={"port": 0})
    try:
        handle = serve.run(Api.bind(Doubler.bind()), name="doubling", route_prefix="/")
        assert handle.total.remote([1, 2, 3]).result(timeout_s=60) == 12
        request = urllib.request.Request(f"http://{host}:{port}/", json.dumps({"number": 21}).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == {"doubled": 42}
    finally:
        serve.shutdown()


def test_ppo_learns_on_cartpole() -> None:
    library("shoal.rllib")
    pytest.importorskip("gymnasium")
    pytest.importorskip("torch")
    from shoal.rllib.algorithms.ppo import PPOConfig

    algorithm = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=1, num_envs_per_env_runner=4)
        .training(train_batch_size_per_learner=1_000, minibatch_size=250, num_epochs=6, lr=1e-3)
        .debugging(seed=0)
        .build_algo()
    )
    try:
        returns = [algorithm.train()["env_runners"]["episode_return_mean"] for _ in range(4)]
    finally:
        algorithm.stop()
    assert returns[-1] > returns[0]
