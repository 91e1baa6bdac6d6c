"""Programs of Accelerate in real workers: they run as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal import train
from shoal.train import RunConfig, ScalingConfig
from shoal.train.torch import TorchTrainer

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")


def loop() -> list[float]:
    """Learns y = 3x + 1 of 16 rows that Accelerate divides among its processes; returns the weights."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    context = train.get_context()
    assert (accelerator.num_processes, accelerator.process_index) == (
        context.get_world_size(),
        context.get_world_rank(),
    )
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    x = torch.arange(16.0).reshape(16, 1) / 16
    rows = torch.utils.data.TensorDataset(x, 3 * x + 1)
    loader = torch.utils.data.DataLoader(rows, batch_size=16 // accelerator.num_processes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for _ in range(3):
        for inputs, targets in loader:
            loss = torch.nn.functional.mse_loss(model(inputs), targets)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        # Not divided: the mean over all ranks.
        train.report({"loss": float(accelerator.gather(loss.detach().reshape(1)).mean())})
    accelerator.wait_for_everyone()
    return [float(value.detach()) for value in accelerator.unwrap_model(model).parameters()]


@pytest.mark.slow
def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    results = [
        TorchTrainer(
            loop, scaling_config=ScalingConfig(num_workers=workers), run_config=RunConfig(storage_path=tmp_path)
        ).fit()
        for workers in (0, 2)
    ]
    assert results[0].return_value == pytest.approx(results[1].return_value, abs=1e-6)
    losses = [[metrics["loss"] for metrics in result.history] for result in results]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert losses[0][-1] < losses[0][0]
