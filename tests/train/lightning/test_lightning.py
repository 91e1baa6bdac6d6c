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


OF_ONE_PROCESS = {"strategy": "auto", "plugins": []}
TWO = pytest.param(2, marks=pytest.mark.slow)


@pytest.mark.slow
def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    """Gradients are averaged, rows are divided: the weights are those of one process with all the data."""

    def loop() -> tuple[list[float], list[Any]]:
        size = train.get_context().get_world_size()
        if size > 1:
            one = integration.prepare_trainer(trainer(3))
            # What there is to see of them without GPUs: sharded strategies train on those only.
            sharded = integration.RayFSDPStrategy(sharding_strategy="FULL_SHARD")
            facts = [(str(of.root_device), of.distributed_sampler_kwargs) for of in (one.strategy, sharded)]
        else:
            one, facts = trainer(3, **OF_ONE_PROCESS), []
        model = Line()
        one.fit(model, loader(16 // size))
        assert (one.world_size, one.global_rank) == (size, train.get_context().get_world_rank())
        return [float(value.detach()) for value in model.parameters()], facts

    results = {workers: fit(loop, tmp_path, workers) for workers in (0, 2)}
    weights = results[2].return_value[0]
    assert results[0].return_value[0] == pytest.approx(weights, abs=1e-6)
    assert results[2].return_value[1] == [("cpu", {"num_replicas": 2, "rank": 0})] * 2
    for result in results.values():
        assert [(metrics["epoch"], metrics["step"], metrics["rows"]) for metrics in result.history] == [
            (0, 1, 16.0),
            (1, 2, 16.0),
            (2, 3, 16.0),
        ]
        assert len(result.best_checkpoints) == 3
        assert result.checkpoint is not None
        with result.checkpoint.as_directory() as folder:
            names = {file.name for file in Path(folder).iterdir() if not file.name.startswith(".")}
            assert names == {integration.RayTrainReportCallback.CHECKPOINT_NAME}
            saved = torch.load(f"{folder}/checkpoint.ckpt", weights_only=False)
        assert [float(value) for value in saved["state_dict"].values()] == pytest.approx(weights)


@pytest.mark.parametrize("workers", [0, TWO])
def test_a_run_of_the_same_name_goes_on_from_its_checkpoint(workers: int, tmp_path: Path) -> None:
    def run(epochs: int) -> train.Result:
        def loop() -> None:
            one = trainer(epochs) if workers else trainer(epochs, **OF_ONE_PROCESS)
            found = train.get_checkpoint()
            if found is None:
                one.fit(Line(), loader(8))
                return
            with found.as_directory() as folder:
                path = f"{folder}/{integration.RayTrainReportCallback.CHECKPOINT_NAME}"
                one.fit(Line(), loader(8), ckpt_path=path)

        return fit(loop, tmp_path, workers, name="again")

    assert [metrics["epoch"] for metrics in run(2).history] == [0, 1]
    assert [metrics["epoch"] for metrics in run(4).history] == [2, 3]


def test_deepspeed_is_asked_for_by_name() -> None:
    with pytest.raises(ImportError, match="RayDeepSpeedStrategy needs deepspeed: pip install deepspeed"):
        integration.RayDeepSpeedStrategy()


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
