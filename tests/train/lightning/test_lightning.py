"""Lightning's Trainer in real workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import RunConfig, ScalingConfig
from shoal.train import lightning as integration
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.torch import TorchTrainer

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Line(pl.LightningModule):  # type: ignore[misc,name-defined] # a class of a module that may be missing
    """Learns y = 3x + 1."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, index: int) -> Any:
        inputs, targets = batch
        loss = torch.nn.functional.mse_loss(self.layer(inputs), targets)
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(inputs))
        self.log("rows", float(len(inputs)), on_step=False, on_epoch=True, reduce_fx="sum", sync_dist=True)
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.5)


def loader(batch_size: int) -> Any:
    x = torch.arange(16.0).reshape(16, 1) / 16
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x + 1), batch_size=batch_size)


def trainer(epochs: int, **options: Any) -> Any:
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": False,
    }
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        **{
            "strategy": integration.RayDDPStrategy(),
            "plugins": [integration.RayLightningEnvironment()],
            "callbacks": [integration.RayTrainReportCallback()],
            **quiet,
            **options,
        },
    )


def fit(loop: Any, folder: Path, workers: int = 2, **options: Any) -> train.Result:
    return TorchTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder, **options),
    ).fit()


def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    """Gradients are averaged, rows are divided: the weights are those of one process with all the data."""

    def loop() -> list[float]:
        size = train.get_context().get_world_size()
        one = integration.prepare_trainer(trainer(3))
        model = Line()
        one.fit(model, loader(16 // size))
        assert (one.world_size, one.global_rank) == (size, train.get_context().get_world_rank())
        return [float(value.detach()) for value in model.parameters()]

    results = {workers: fit(loop, tmp_path, workers) for workers in (1, 2)}
    assert results[1].return_value == pytest.approx(results[2].return_value, abs=1e-6)
    for result in results.values():
        assert [(metrics["epoch"], metrics["step"], metrics["rows"]) for metrics in result.history] == [
            (0, 1, 16.0),
            (1, 2, 16.0),
            (2, 3, 16.0),
        ]
        assert len(result.best_checkpoints) == 3
        assert result.checkpoint is not None
        with result.checkpoint.as_directory() as folder:
            assert [file.name for file in Path(folder).iterdir()] == [
                integration.RayTrainReportCallback.CHECKPOINT_NAME
            ]
            saved = torch.load(f"{folder}/checkpoint.ckpt", weights_only=False)
        assert [float(value) for value in saved["state_dict"].values()] == pytest.approx(result.return_value)


def test_a_run_of_the_same_name_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    def run(epochs: int) -> train.Result:
        def loop() -> None:
            found = train.get_checkpoint()
            if found is None:
                trainer(epochs).fit(Line(), loader(8))
                return
            with found.as_directory() as folder:
                path = f"{folder}/{integration.RayTrainReportCallback.CHECKPOINT_NAME}"
                trainer(epochs).fit(Line(), loader(8), ckpt_path=path)

        return fit(loop, tmp_path, name="again")

    assert [metrics["epoch"] for metrics in run(2).history] == [0, 1]
    assert [metrics["epoch"] for metrics in run(4).history] == [2, 3]


def test_in_the_driver_and_without_a_group(tmp_path: Path) -> None:
    def loop() -> float:
        one = trainer(1, strategy="auto", plugins=[])
        one.fit(Line(), loader(16))
        return float(one.callback_metrics["loss"])

    result = fit(loop, tmp_path, 0)
    assert result.metrics is not None
    assert result.metrics["loss"] == pytest.approx(result.return_value)


def test_strategies_know_the_device_and_the_rank(tmp_path: Path) -> None:
    """What there is to see without GPUs: sharded strategies train on them only."""

    def loop() -> list[Any]:
        strategies = [integration.RayDDPStrategy(), integration.RayFSDPStrategy(sharding_strategy="FULL_SHARD")]
        return [(str(one.root_device), one.distributed_sampler_kwargs) for one in strategies]

    assert fit(loop, tmp_path).return_value == [("cpu", {"num_replicas": 2, "rank": 0})] * 2


def test_trainers_that_do_not_fit() -> None:
    with pytest.raises(InvalidArgumentError, match=r"trainer is 3; give a lightning\.pytorch\.Trainer"):
        integration.prepare_trainer(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="strategy is SingleDeviceStrategy; give Trainer"):
        integration.prepare_trainer(trainer(1, strategy="auto", plugins=[], callbacks=[]))
    with pytest.raises(InvalidArgumentError, match=r"environment is LightningEnvironment; give Trainer\(plugins"):
        integration.prepare_trainer(trainer(1, plugins=[]))


def test_importing_loads_no_lightning() -> None:
    code = "import sys, shoal.train.lightning as x; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
