"""Callbacks of real libraries report from inside of a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import tune


def fit(trainable: Any, folder: Path) -> tune.Result:
    run_config = tune.RunConfig(storage_path=folder, verbose=0)
    (result,) = tune.Tuner(trainable, run_config=run_config).fit()
    assert result.error is None, result.error
    return result


def test_xgboost(tmp_path: Path) -> None:
    def trains(config: dict[str, Any]) -> None:
        import xgboost

        from shoal.tune.integration.xgboost import TuneReportCheckpointCallback

        rows = np.random.default_rng(0).random((100, 3))
        matrix = xgboost.DMatrix(rows, label=rows[:, 0])
        callback = TuneReportCheckpointCallback({"rmse": "train-rmse"}, frequency=2)
        xgboost.train({"nthread": 1}, matrix, 4, evals=[(matrix, "train")], verbose_eval=False, callbacks=[callback])

    from shoal.tune.integration.xgboost import TuneReportCheckpointCallback

    result = fit(trains, tmp_path)
    errors = result.metrics_dataframe["rmse"]
    assert errors.iloc[-1] < errors.iloc[0]
    assert len(result.best_checkpoints) >= 2
    assert result.checkpoint is not None
    assert TuneReportCheckpointCallback.get_model(result.checkpoint).num_boosted_rounds() == 4


def test_lightgbm(tmp_path: Path) -> None:
    def trains(config: dict[str, Any]) -> None:
        import lightgbm

        from shoal.tune.integration.lightgbm import TuneReportCallback

        rows = np.random.default_rng(0).random((100, 3))
        data = lightgbm.Dataset(rows, rows[:, 0])
        settings = {"objective": "regression", "verbosity": -1, "num_threads": 1}
        lightgbm.train(settings, data, 3, valid_sets=[data], valid_names=["train"], callbacks=[TuneReportCallback()])

    result = fit(trains, tmp_path)
    assert len(result.metrics_dataframe) == 3
    assert "train-l2" in result.metrics_dataframe
    assert result.checkpoint is None


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_lightning(tmp_path: Path) -> None:
    def trains(config: dict[str, Any]) -> None:
        import torch
        from lightning.pytorch import Trainer
        from lightning.pytorch.demos.boring_classes import BoringModel

        from shoal.tune.integration.pytorch_lightning import TuneReportCheckpointCallback

        class Model(BoringModel):
            def validation_step(self, batch: Any, batch_idx: int) -> Any:
                loss = self.loss(self.layer(batch))
                self.log("val_loss", loss)
                return {"x": loss}

        torch.manual_seed(0)
        trainer = Trainer(
            max_epochs=2,
            limit_train_batches=2,
            limit_val_batches=2,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accelerator="cpu",
            callbacks=[TuneReportCheckpointCallback({"loss": "val_loss"})],
        )
        trainer.fit(Model())

    result = fit(trains, tmp_path)
    assert len(result.metrics_dataframe["loss"]) == 2
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        assert Path(folder, "checkpoint").is_file()


def test_a_hook_that_there_is_not_is_an_error() -> None:
    pytest.importorskip("lightning")
    from shoal.tune.integration.pytorch_lightning import TuneReportCallback

    with pytest.raises(ValueError, match="have no on_never"):
        TuneReportCallback(on="never")


def test_a_training_run_inside_of_a_trial(tmp_path: Path) -> None:
    def trains(config: dict[str, Any]) -> None:
        from shoal.train import RunConfig, ScalingConfig
        from shoal.train.data_parallel_trainer import DataParallelTrainer
        from shoal.tune.integration.ray_train import TuneReportCallback

        def loop() -> None:
            from shoal import train

            for step in range(5):
                train.report({"loss": 1 / (step + 1)})

        DataParallelTrainer(
            loop,
            scaling_config=ScalingConfig(num_workers=1),
            run_config=RunConfig(
                name="inner", storage_path=config["folder"], callbacks=[TuneReportCallback()], verbose=0
            ),
        ).fit()

    space = {"folder": str(tmp_path / "runs")}
    run_config = tune.RunConfig(storage_path=tmp_path, verbose=0)
    (result,) = tune.Tuner(trains, param_space=space, run_config=run_config).fit()
    assert result.error is None, result.error
    assert result.metrics_dataframe["loss"].tolist() == [1 / step for step in range(1, 6)]
    stopping = tune.RunConfig(storage_path=tmp_path, verbose=0, stop={"training_iteration": 2})
    (stopped,) = tune.Tuner(trains, param_space={"folder": str(tmp_path / "more")}, run_config=stopping).fit()
    assert stopped.error is None, stopped.error
    assert len(stopped.metrics_dataframe) == 2
