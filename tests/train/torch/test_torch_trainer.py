"""Real process groups of torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import RunConfig, ScalingConfig
from shoal.train.torch import TorchTrainer, get_device, prepare_data_loader, prepare_model

pytest.importorskip("torch")


def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    """Gradients are averaged: the weights are those of one process with all the data."""

    def loop(config: dict[str, Any]) -> list[float]:
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        torch.manual_seed(0)
        x = torch.arange(16.0).reshape(16, 1) / 16
        model = prepare_model(torch.nn.Linear(1, 1))
        size = train.get_context().get_world_size()
        loader = prepare_data_loader(DataLoader(TensorDataset(x, 3 * x + 1), batch_size=16 // size))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        rows = 0
        for _ in range(config["epochs"]):
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = torch.nn.functional.mse_loss(model(inputs.to(get_device())), targets)
                loss.backward()
                optimizer.step()
                rows += len(inputs)
        train.report({"loss": float(loss), "rows": rows})
        return [float(value) for value in model.parameters()]

    found = {}
    for workers in (1, 2):
        result = TorchTrainer(
            loop,
            train_loop_config={"epochs": 20},
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=tmp_path),
        ).fit()
        assert result.metrics is not None
        assert result.metrics["rows"] == 20 * 16 // workers
        found[workers] = result.return_value
    assert found[1] == pytest.approx(found[2], abs=1e-6)


def test_the_group_and_its_environment(tmp_path: Path) -> None:
    def loop() -> tuple[float, str, str]:
        import os

        import torch

        total = torch.tensor(float(train.get_context().get_world_rank() + 1))
        torch.distributed.all_reduce(total)
        return float(total), os.environ["WORLD_SIZE"], torch.distributed.get_backend()

    scaling = ScalingConfig(num_workers=2)
    result = TorchTrainer(loop, scaling_config=scaling, run_config=RunConfig(storage_path=tmp_path)).fit()
    assert result.return_value == (3.0, "2", "gloo")


def run(loop: Any, folder: Path, workers: int = 2, **options: Any) -> Any:
    scaling = ScalingConfig(num_workers=workers)
    trainer = TorchTrainer(loop, scaling_config=scaling, run_config=RunConfig(storage_path=folder), **options)
    return trainer.fit().return_value


def test_loaders_divide_the_data_and_keep_their_choices(tmp_path: Path) -> None:
    def loop() -> dict[str, Any]:
        import torch
        from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

        data = TensorDataset(torch.arange(10.0))
        plain = prepare_data_loader(DataLoader(data, batch_size=2))
        shuffled = prepare_data_loader(DataLoader(data, batch_size=2, shuffle=True, drop_last=True))
        batches = prepare_data_loader(DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data), 2, False)))
        whole = prepare_data_loader(DataLoader(data, batch_size=2), add_dist_sampler=False)
        orders = []
        for epoch in range(2):
            shuffled.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            orders.append([float(x) for (batch,) in shuffled for x in batch])
        return {
            "plain": [float(x) for (batch,) in plain for x in batch],
            "orders": orders,
            "batches": [len(batch) for (batch,) in batches],
            "whole": [len(batch) for (batch,) in whole],
            "again": prepare_data_loader(plain) is plain,
            "sequential": isinstance(whole.sampler, SequentialSampler),
        }

    found = run(loop, tmp_path)
    assert found["plain"] == [0.0, 2.0, 4.0, 6.0, 8.0]
    assert found["orders"][0] != found["orders"][1]
    assert found["batches"] == [2, 2, 1]
    assert found["whole"] == [2] * 5
    assert found["again"]
    assert found["sequential"]


def test_fully_sharded_and_unwrapped_models(tmp_path: Path) -> None:
    def loop() -> list[str]:
        import torch
        from torch.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy

        sharded = prepare_model(
            torch.nn.Linear(4, 2),
            parallel_strategy="fsdp",
            parallel_strategy_kwargs={"sharding_strategy": ShardingStrategy.FULL_SHARD},
        )
        assert isinstance(sharded, FullyShardedDataParallel)
        sharded(torch.ones(1, 4)).sum().backward()
        plain = prepare_model(torch.nn.Linear(4, 2), parallel_strategy=None)
        options = {"broadcast_buffers": False}
        wrapped = prepare_model(torch.nn.Linear(4, 2), parallel_strategy_kwargs=options)
        assert not wrapped.broadcast_buffers
        for wrong in ({"parallel_strategy": "ds"}, {"parallel_strategy": None, "parallel_strategy_kwargs": options}):
            with pytest.raises(ValueError, match="parallel_strategy"):
                prepare_model(torch.nn.Linear(1, 1), **wrong)  # type: ignore[arg-type]
        return [type(plain).__name__, type(wrapped).__name__, str(get_device())]

    assert run(loop, tmp_path) == ["Linear", "DistributedDataParallel", "cpu"]


@pytest.mark.filterwarnings("ignore:.*GradScaler:UserWarning")
def test_mixed_precision_trains(tmp_path: Path) -> None:
    from shoal.train.torch import accelerate, backward, enable_reproducibility, prepare_optimizer

    def loop() -> tuple[float, float, str]:
        import torch

        enable_reproducibility(3)
        accelerate(amp=True)
        with pytest.raises(RuntimeError, match="was called already"):
            accelerate()
        seen: list[str] = []
        linear = torch.nn.Linear(8, 1)
        linear.register_forward_hook(lambda module, inputs, output: seen.append(str(output.dtype)))
        model = prepare_model(torch.nn.Sequential(linear))
        optimizer = prepare_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        x, losses = torch.ones(4, 8), []
        for _ in range(20):
            optimizer.zero_grad()
            loss = (model(x) - 1).pow(2).mean()
            backward(loss)
            optimizer.step()
            losses.append(float(loss))
        return losses[0], losses[-1], seen[0]

    first, last, dtype = run(loop, tmp_path, 1)
    assert last < first / 10
    assert dtype == "torch.bfloat16"


def test_traces_of_the_profiler(tmp_path: Path) -> None:
    from shoal.train.torch import TorchWorkerProfiler

    def loop() -> list[str]:
        import torch

        with (
            TorchWorkerProfiler() as profiler,
            torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CPU], on_trace_ready=profiler.trace_handler
            ) as running,
        ):
            torch.ones(2).sum()
            running.step()
        found = profiler.get_and_clear_profile_traces()[TorchWorkerProfiler.WORKER_TRACE_DIR_NAME]
        assert profiler.get_and_clear_profile_traces()[TorchWorkerProfiler.WORKER_TRACE_DIR_NAME] == []
        assert all("traceEvents" in text for _, text in found)
        return [name for name, _ in found]

    assert run(loop, tmp_path, 1) == ["worker_0_epoch_0.pt.trace.json"]


def test_batches_move_with_all_that_is_in_them() -> None:
    import torch

    from shoal.train.torch.device_loader import DeviceLoader

    data = [{"x": torch.ones(2), "pair": (torch.zeros(1), [torch.ones(1), "name"])}]
    loader = DeviceLoader(data, torch.device("meta"), ahead=True)  # type: ignore[arg-type]
    (batch,) = loader
    assert batch["x"].device.type == batch["pair"][0].device.type == batch["pair"][1][0].device.type == "meta"
    assert batch["pair"][1][1] == "name"
    assert len(loader) == 1


def test_what_is_not_offered_says_what_to_use() -> None:
    from shoal.train.base_trainer import BaseTrainer
    from shoal.train.exceptions import UnsupportedTrainerError
    from shoal.train.horovod import HorovodTrainer
    from shoal.train.torch import TorchftConfig
    from shoal.train.torch.xla import TorchXLAConfig
    from shoal.train.v2.jax import JaxTrainer

    for name, word in (
        (HorovodTrainer, "TorchTrainer"),
        (JaxTrainer, "jax.distributed.initialize"),
        (TorchXLAConfig, "TorchConfig"),
        (TorchftConfig, "FailureConfig"),
        (BaseTrainer, "DataParallelTrainer"),
    ):
        with pytest.raises(UnsupportedTrainerError, match=word):
            name(lambda: None)
    with pytest.raises(UnsupportedTrainerError, match=r"RunConfig\(name='mine', storage_path='/data'\)"):
        TorchTrainer.restore("/data/mine")
