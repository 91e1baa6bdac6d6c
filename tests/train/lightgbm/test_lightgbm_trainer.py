"""LightGBM's own network among real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import shoal.data
from shoal import train
from shoal.train import FailureConfig, RunConfig, ScalingConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.lightgbm import LightGBMCheckpoint, LightGBMTrainer, RayTrainReportCallback, get_network_params

lightgbm = pytest.importorskip("lightgbm")
datasets = pytest.importorskip("sklearn.datasets")

PARAMS = {"objective": "binary", "metric": ["binary_logloss"], "num_leaves": 7, "num_threads": 1, "verbosity": -1}


def loop(config: dict[str, Any]) -> tuple[str, float, int]:
    """Trains on every other row in each of two ranks; returns the model, the share of wrong predictions over all rows, and the ranks."""
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    context = train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    rows = lightgbm.Dataset(features[rank::size], label=labels[rank::size])
    params = {**PARAMS, **get_network_params()}
    callbacks = [RayTrainReportCallback(**config.get("callback", {})), *config.get("others", ())]
    model = lightgbm.train(
        params, rows, num_boost_round=10, valid_sets=[rows], valid_names=["train"], callbacks=callbacks
    )
    trees = model.model_to_string().partition("\nparameters:")[0]
    (Path(config["folder"]) / f"rank{rank}").write_text(trees)
    wrong = (np.asarray(model.predict(features)) > 0.5) != labels
    return trees, float(wrong.mean()), params.get("num_machines", 1)


def fit(folder: Path, config: dict[str, Any], workers: int = 2) -> train.Result:
    return LightGBMTrainer(
        loop,
        train_loop_config={"folder": str(folder), **config},
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder),
    ).fit()


def alone() -> tuple[str, float]:
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    model = lightgbm.train(PARAMS, lightgbm.Dataset(features, label=labels), num_boost_round=10)
    wrong = (np.asarray(model.predict(features)) > 0.5) != labels
    return model.model_to_string().partition("\nparameters:")[0], float(wrong.mean())


def test_two_ranks_train_one_model_on_all_rows(tmp_path: Path) -> None:
    result = fit(tmp_path, {})
    assert (tmp_path / "rank0").read_text() == (tmp_path / "rank1").read_text()
    _, wrong, machines = result.return_value
    assert machines == 2
    assert wrong == pytest.approx(alone()[1], abs=0.015)
    assert wrong < 0.05
    assert len(result.history) == 10
    losses = [metrics["train-binary_logloss"] for metrics in result.history]
    assert losses == sorted(losses, reverse=True)
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        assert [file.name for file in Path(folder).iterdir()] == ["model.txt"]


@pytest.mark.parametrize("workers", [0, 1])
def test_one_rank_is_a_plain_fit(workers: int, tmp_path: Path) -> None:
    trees, wrong, machines = fit(tmp_path, {}, workers).return_value
    assert (trees, wrong) == alone()
    assert machines == 1


def test_metrics_and_models_that_are_reported(tmp_path: Path) -> None:
    callback = {
        "metrics": {"loss": "train-binary_logloss"},
        "filename": "booster.txt",
        "frequency": 4,
        "results_postprocessing_fn": lambda metrics: metrics | {"negative": -metrics["loss"]},
    }
    result = fit(tmp_path, {"callback": callback}, 0)
    assert len(result.history) == 10
    assert set(result.history[0]) == {"loss", "negative"}
    rounds = [
        RayTrainReportCallback.get_model(checkpoint, filename="booster.txt").current_iteration()
        for checkpoint, _ in result.best_checkpoints
    ]
    assert rounds == [4, 8, 10]


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(train.WorkerGroupError, match="metrics names 'train-auc'; training has 'train-binary_logloss'"):
        fit(tmp_path, {"callback": {"metrics": ["train-auc"]}}, 1)


def test_cross_validation_has_means_and_deviations(tmp_path: Path) -> None:
    def loop() -> None:
        features, labels = datasets.load_breast_cancer(return_X_y=True)
        callback = RayTrainReportCallback(checkpoint_at_end=False)
        lightgbm.cv(PARAMS, lightgbm.Dataset(features, label=labels), num_boost_round=2, nfold=2, callbacks=[callback])

    scaling = ScalingConfig(num_workers=0)
    result = LightGBMTrainer(loop, scaling_config=scaling, run_config=RunConfig(storage_path=tmp_path)).fit()
    assert result.metrics is not None
    assert [name.rpartition("-")[2] for name in result.metrics] == ["mean", "stdv"]


def test_a_killed_rank_starts_again_from_the_last_model(tmp_path: Path) -> None:
    def loop() -> int:
        killed = tmp_path / "killed"

        def kill(env: Any) -> None:
            if env.iteration == 4 and train.get_context().get_world_rank() == 1 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        features, labels = datasets.load_breast_cancer(return_X_y=True)
        rank = train.get_context().get_world_rank()
        found = train.get_checkpoint()
        start = RayTrainReportCallback.get_model(found) if found is not None else None
        done = start.current_iteration() if start is not None else 0
        rows = lightgbm.Dataset(features[rank::2], label=labels[rank::2])
        callbacks = [RayTrainReportCallback(frequency=1), kill]
        lightgbm.train({**PARAMS, **get_network_params()}, rows, 8 - done, callbacks=callbacks, init_model=start)
        return done

    result = LightGBMTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=tmp_path, failure_config=FailureConfig(max_failures=1)),
    ).fit()
    assert 1 <= result.return_value <= 5
    assert result.checkpoint is not None
    assert LightGBMTrainer.get_model(result.checkpoint).current_iteration() == 8


def test_parameters_instead_of_a_loop(tmp_path: Path) -> None:
    features, labels = datasets.load_diabetes(return_X_y=True, as_frame=True)
    table = pd.concat([features, labels], axis=1)
    parts = {"train": table.iloc[:400], "valid": table.iloc[400:]}
    params = {"objective": "regression", "metric": "rmse", "num_leaves": 7, "num_threads": 1, "verbosity": -1}
    trainer = LightGBMTrainer(
        label_column="target",
        params=params,
        num_boost_round=30,
        datasets={name: shoal.data.from_pandas(part) for name, part in parts.items()},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=tmp_path, name="table"),
    )
    result = trainer.fit()
    assert result.metrics is not None
    assert set(result.metrics) == {"train-rmse", "valid-rmse"}
    assert result.checkpoint is not None
    model = LightGBMTrainer.get_model(result.checkpoint)
    assert model.current_iteration() == 30
    x, y = {}, {}
    for name, part in parts.items():
        x[name], y[name] = part.drop(columns=["target"]), part["target"]
    single = lightgbm.train(params, lightgbm.Dataset(x["train"], label=y["train"]), num_boost_round=30)
    errors = [float(np.sqrt(((one.predict(x["valid"]) - y["valid"]) ** 2).mean())) for one in (model, single)]
    assert errors[0] == pytest.approx(errors[1], rel=0.1)
    assert trainer.fit().history == []
    saved = LightGBMCheckpoint.from_model(model, path=tmp_path / "saved")
    assert saved.get_model().current_iteration() == 30
    with pytest.raises(InvalidArgumentError, match=r"has no file 'model\.txt'; give one that LightGBMCheckpoint or"):
        LightGBMCheckpoint(tmp_path).get_model()


def test_a_loop_of_another_trainer_is_told_so(tmp_path: Path) -> None:
    trainer = DataParallelTrainer(
        get_network_params, scaling_config=ScalingConfig(num_workers=2), run_config=RunConfig(storage_path=tmp_path)
    )
    with pytest.raises(train.WorkerGroupError, match="run it by LightGBMTrainer"):
        trainer.fit()
    assert get_network_params() == {}


def test_importing_loads_no_lightgbm() -> None:
    code = "import sys, shoal.train.lightgbm as x; x.LightGBMTrainer(print); sys.exit('lightgbm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LightGBMTrainer(), "train_loop_per_worker is None; give a function, or label_column"),
        (lambda: LightGBMTrainer(print, num_boost_round=3), "num_boost_round is 3, and there is a train_loop_per_w"),
        (lambda: LightGBMTrainer(label_column="y", datasets={}), "datasets is {}; give a dict that has 'train'"),
        (lambda: RayTrainReportCallback(frequency=-1), "frequency is -1"),
    ],
)
def test_wrong_arguments(make: Any, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        make()
