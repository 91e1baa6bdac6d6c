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
