"""XGBoost's own communicator among real workers."""

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
from shoal.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from shoal.train import xgboost as integration
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.xgboost import XGBoostCheckpoint, XGBoostConfig, XGBoostTrainer

xgboost = pytest.importorskip("xgboost")
datasets = pytest.importorskip("sklearn.datasets")

PARAMS = {"objective": "binary:logistic", "eval_metric": ["logloss", "error"], "max_depth": 3, "eta": 0.3, "nthread": 1}


def rows() -> tuple[Any, Any]:
    """The same table in all processes, in an order that spreads the classes evenly."""
    features, labels = datasets.load_breast_cancer(return_X_y=True)
    return features, labels


def loop(config: dict[str, Any]) -> float:
    """Trains on every other row in each of two ranks, and returns the share of wrong predictions over all rows."""
    features, labels = rows()
    context = train.get_context()
    rank, size = context.get_world_rank(), context.get_world_size()
    assert (xgboost.collective.get_rank(), xgboost.collective.get_world_size()) == (rank, size)
    matrix = xgboost.DMatrix(features[rank::size], label=labels[rank::size])
    callback = integration.RayTrainReportCallback(**config.get("callback", {}))
    model = xgboost.train(PARAMS, matrix, num_boost_round=10, evals=[(matrix, "train")], callbacks=[callback])
    (Path(config["folder"]) / f"rank{rank}").write_bytes(model.save_raw())
    wrong = (model.inplace_predict(features) > 0.5) != labels
    return float(wrong.mean())


def fit(folder: Path, config: dict[str, Any], workers: int = 2) -> train.Result:
    return XGBoostTrainer(
        loop,
        train_loop_config={"folder": str(folder), **config},
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder),
    ).fit()


def test_two_ranks_train_one_model_on_all_rows(tmp_path: Path) -> None:
    result = fit(tmp_path, {})
    assert (tmp_path / "rank0").read_bytes() == (tmp_path / "rank1").read_bytes()

    features, labels = rows()
    matrix = xgboost.DMatrix(features, label=labels)
    alone: dict[str, Any] = {}
    xgboost.train(PARAMS, matrix, 10, evals=[(matrix, "train")], evals_result=alone, verbose_eval=False)
    assert [metrics["train-logloss"] for metrics in result.history[:10]] == pytest.approx(
        alone["train"]["logloss"], abs=0.02
    )
    assert result.return_value < 0.02


@pytest.mark.parametrize("workers", [0, 1])
def test_one_rank_is_a_plain_fit(workers: int, tmp_path: Path) -> None:
    result = fit(tmp_path, {}, workers)
    features, labels = rows()
    matrix = xgboost.DMatrix(features, label=labels)
    alone: dict[str, Any] = {}
    xgboost.train(PARAMS, matrix, 10, evals=[(matrix, "train")], evals_result=alone, verbose_eval=False)
    assert [metrics["train-logloss"] for metrics in result.history[:10]] == pytest.approx(alone["train"]["logloss"])


def test_metrics_and_models_that_are_reported(tmp_path: Path) -> None:
    callback = {
        "metrics": {"loss": "train-logloss"},
        "filename": "model.json",
        "frequency": 4,
        "results_postprocessing_fn": lambda metrics: metrics | {"negative": -metrics["loss"]},
    }
    result = fit(tmp_path, {"callback": callback}, 0)
    assert len(result.history) == 11
    assert set(result.history[0]) == {"loss", "negative"}
    assert result.history[-1] == result.history[-2]
    assert len(result.best_checkpoints) == 3
    rounds = [
        integration.RayTrainReportCallback.get_model(checkpoint, filename="model.json").num_boosted_rounds()
        for checkpoint, _ in result.best_checkpoints
    ]
    assert rounds == [4, 8, 10]


def test_the_last_round_is_not_reported_twice(tmp_path: Path) -> None:
    result = fit(tmp_path, {"callback": {"frequency": 5, "metrics": "train-error"}}, 0)
    assert len(result.history) == 10
    assert len(result.best_checkpoints) == 2
    assert set(result.history[0]) == {"train-error"}


def test_a_metric_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        train.WorkerGroupError, match="metrics names 'train-auc'; training has 'train-logloss', 'train-er"
    ):
        fit(tmp_path, {"callback": {"metrics": ["train-auc"]}}, 1)


def test_a_killed_rank_starts_again_from_the_last_model(tmp_path: Path) -> None:
    def loop() -> int:
        class Kill(xgboost.callback.TrainingCallback):  # type: ignore[misc,name-defined] # a class of a module that may be missing
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                killed = tmp_path / "killed"
                if epoch == 4 and train.get_context().get_world_rank() == 1 and not killed.exists():
                    killed.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return False

        features, labels = rows()
        rank = train.get_context().get_world_rank()
        found = train.get_checkpoint()
        start = integration.RayTrainReportCallback.get_model(found) if found is not None else None
        done = start.num_boosted_rounds() if start is not None else 0
        matrix = xgboost.DMatrix(features[rank::2], label=labels[rank::2])
        callbacks = [integration.RayTrainReportCallback(frequency=1), Kill()]
        xgboost.train(PARAMS, matrix, 8 - done, callbacks=callbacks, xgb_model=start)
        return done

    result = XGBoostTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=tmp_path, failure_config=FailureConfig(max_failures=1)),
    ).fit()
    assert 1 <= result.return_value <= 5
    assert result.checkpoint is not None
    assert XGBoostTrainer.get_model(result.checkpoint).num_boosted_rounds() == 8


def test_parameters_instead_of_a_loop(tmp_path: Path) -> None:
    features, labels = datasets.load_diabetes(return_X_y=True, as_frame=True)
    table = pd.concat([features, labels], axis=1)
    parts = {"train": table.iloc[:400], "valid": table.iloc[400:]}
    trainer = XGBoostTrainer(
        label_column="target",
        params={"objective": "reg:squarederror", "max_depth": 3, "eta": 0.1, "nthread": 1},
        num_boost_round=30,
        datasets={name: shoal.data.from_pandas(part) for name, part in parts.items()},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=tmp_path),
    )
    result = trainer.fit()
    assert result.metrics is not None
    assert set(result.metrics) == {"train-rmse", "valid-rmse"}
    assert result.checkpoint is not None
    model = XGBoostTrainer.get_model(result.checkpoint)
    assert model.num_boosted_rounds() == 30
    found = model.inplace_predict(parts["valid"].drop(columns=["target"]))
    error = float(np.sqrt(((found - parts["valid"]["target"]) ** 2).mean()))
    assert result.metrics["valid-rmse"] == pytest.approx(error, rel=1e-3)
    alone = xgboost.XGBRegressor(n_estimators=30, max_depth=3, learning_rate=0.1, n_jobs=1)
    alone.fit(parts["train"].drop(columns=["target"]), parts["train"]["target"])
    expected = alone.predict(parts["valid"].drop(columns=["target"]))
    assert error == pytest.approx(float(np.sqrt(((expected - parts["valid"]["target"]) ** 2).mean())), rel=0.05)


def table_trainer(folder: Path, rounds: int) -> XGBoostTrainer:
    rows = [{"x": float(number), "y": float(number % 7)} for number in range(64)]
    return XGBoostTrainer(
        label_column="y",
        params={"objective": "reg:squarederror", "max_depth": 2, "nthread": 1},
        num_boost_round=rounds,
        datasets={"train": shoal.data.from_items(rows)},
        scaling_config=ScalingConfig(num_workers=0),
        run_config=RunConfig("table", folder, checkpoint_config=CheckpointConfig(checkpoint_frequency=2)),
    )


def test_rounds_that_a_model_has_are_not_trained_again(tmp_path: Path) -> None:
    first = table_trainer(tmp_path, 5).fit()
    counts = [XGBoostTrainer.get_model(one).num_boosted_rounds() for one, _ in first.best_checkpoints]
    assert counts == [2, 4, 5]
    again = table_trainer(tmp_path, 8).fit()
    assert again.checkpoint is not None
    assert XGBoostTrainer.get_model(again.checkpoint).num_boosted_rounds() == 8
    model = XGBoostCheckpoint.from_checkpoint(again.checkpoint).get_model()
    assert XGBoostCheckpoint.from_model(model, path=tmp_path / "saved").get_model().save_raw() == model.save_raw()
    with pytest.raises(InvalidArgumentError, match=r"has no file 'model\.ubj'; give one that XGBoostCheckpoint or"):
        XGBoostCheckpoint(tmp_path).get_model()
    whole = table_trainer(tmp_path / "whole", 8).fit()
    assert again.metrics is not None
    assert again.metrics == pytest.approx(whole.metrics)


def test_a_search_varies_the_parameters(tmp_path: Path) -> None:
    trainable = table_trainer(tmp_path, 2).as_trainable()
    shallow, deep = (trainable({"params": {"max_depth": depth}, "num_boost_round": 4}) for depth in (1, 6))
    assert shallow is not None
    assert deep is not None
    assert deep["train-rmse"] < shallow["train-rmse"]


def test_importing_loads_no_xgboost() -> None:
    code = "import sys, shoal.train.xgboost as x; x.XGBoostTrainer(print); sys.exit('xgboost' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: XGBoostConfig(xgboost_communicator="federated"), "xgboost_communicator is 'federated'; give 'rabit'"),
        (lambda: XGBoostTrainer(), "train_loop_per_worker is None; give a function, or label_column"),
        (lambda: XGBoostTrainer(print, params={}), "params is {}, and there is a train_loop_per_worker"),
        (lambda: XGBoostTrainer(label_column="y"), "datasets is None; give a dict that has 'train'"),
        (lambda: XGBoostTrainer(label_column="y", num_boost_round=0, datasets={"train": 1}), "num_boost_round is 0"),
        (lambda: integration.RayTrainReportCallback(frequency=-1), "frequency is -1"),
        (lambda: integration.RayTrainReportCallback(filename="a/b"), "filename is 'a/b'"),
    ],
)
def test_wrong_arguments(make: Any, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        make()
