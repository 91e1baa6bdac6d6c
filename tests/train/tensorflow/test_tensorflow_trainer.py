"""TensorFlow's workers, and reports from Keras."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal.data
from shoal import train
from shoal.train import RunConfig, ScalingConfig
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.tensorflow import TensorflowCheckpoint, TensorflowTrainer, prepare_dataset_shard


def fit(loop: Any, folder: Path, workers: int = 2, **config: Any) -> train.Result:
    return TensorflowTrainer(
        loop,
        train_loop_config=config,
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder),
    ).fit()


def test_the_cluster_of_each_rank(tmp_path: Path) -> None:
    def loop(config: dict[str, Any]) -> None:
        rank = train.get_context().get_world_rank()
        (tmp_path / f"rank{rank}").write_text(os.environ["TF_CONFIG"])

    fit(loop, tmp_path)
    found = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in range(2)]
    assert found[0]["cluster"] == found[1]["cluster"]
    assert len(set(found[0]["cluster"]["worker"])) == 2
    assert [one["task"] for one in found] == [{"type": "worker", "index": rank} for rank in range(2)]


def learn(config: dict[str, Any]) -> list[float]:
    """Learns y = 3x + 1 of every other row in each of two ranks, and returns the weights."""
    if train.get_context().get_world_size() > 1:
        # Keras 3 cannot fit with the strategy of several workers: https://github.com/keras-team/keras/issues/20585
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf

    from shoal.train.tensorflow.keras import ReportCheckpointCallback

    rank, size = train.get_context().get_world_rank(), train.get_context().get_world_size()
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if size > 1 else tf.distribute.get_strategy()
    assert strategy.num_replicas_in_sync == size
    x = np.arange(16, dtype=np.float32).reshape(16, 1) / 16
    rows = tf.data.Dataset.from_tensor_slices((x[rank::size], 3 * x[rank::size] + 1)).batch(16)  # of all ranks together
    with strategy.scope():
        model = tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizer=tf.keras.optimizers.SGD(0.5), loss="mse")
    callback = ReportCheckpointCallback(**config["callback"])
    model.fit(prepare_dataset_shard(rows), epochs=3, verbose=0, callbacks=[callback])
    return [float(value) for array in model.get_weights() for value in array.flat]


def expected() -> list[float]:
    """Returns the weight and the bias after three steps on all rows."""
    x = np.arange(16, dtype=np.float64) / 16
    weight, bias = 1.0, 0.0
    for _ in range(3):
        off = weight * x + bias - (3 * x + 1)
        weight, bias = weight - 0.5 * 2 * float((off * x).mean()), bias - 0.5 * 2 * float(off.mean())
    return [weight, bias]


@pytest.mark.parametrize("workers", [1, 2])
def test_ranks_of_keras_train_as_one(workers: int, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    if workers > 1:
        pytest.importorskip("tf_keras")
    result = fit(learn, tmp_path, workers, callback={"metrics": {"error": "loss"}})
    assert result.return_value == pytest.approx(expected(), abs=1e-4)
    assert len(result.history) == 3
    assert set(result.history[0]) == {"error"}
    assert len(result.best_checkpoints) == 3
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        assert [file.name for file in Path(folder).iterdir()] == ["model.keras"]


def test_the_model_of_a_checkpoint(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    from shoal.train.tensorflow.keras import ReportCheckpointCallback

    result = fit(learn, tmp_path, 1, callback={})
    assert result.checkpoint is not None
    model = ReportCheckpointCallback.get_model(result.checkpoint)
    again = TensorflowCheckpoint.from_model(model, path=tmp_path / "saved").get_model()
    assert [array.tolist() for array in again.get_weights()] == [array.tolist() for array in model.get_weights()]
    assert isinstance(model, tf.keras.Model)
    assert [float(value) for array in model.get_weights() for value in array.flat] == pytest.approx(result.return_value)


def test_two_ranks_of_a_loop_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")

    def loop(config: dict[str, Any]) -> list[float]:
        import tensorflow as tf

        rank = train.get_context().get_world_rank()
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with strategy.scope():
            weight, bias = tf.Variable(1.0), tf.Variable(0.0)
        x = tf.range(rank, 16, 2, dtype=tf.float32) / 16

        @tf.function
        def step() -> None:
            def of_one():  # type: ignore[no-untyped-def] # tensorflow rewrites it, and knows no names of types
                off = weight * x + bias - (3 * x + 1)
                context = tf.distribute.get_replica_context()
                slopes = [tf.reduce_mean(off * x), tf.reduce_mean(off)]
                return tuple(context.all_reduce(tf.distribute.ReduceOp.MEAN, slope) for slope in slopes)

            slopes = strategy.run(of_one)
            weight.assign_sub(slopes[0])
            bias.assign_sub(slopes[1])

        for _ in range(3):
            step()
        return [float(weight.numpy()), float(bias.numpy())]

    assert fit(loop, tmp_path).return_value == pytest.approx(expected(), abs=1e-4)


@pytest.mark.slow
def test_two_ranks_of_keras_learn_from_a_dataset(tmp_path: Path) -> None:
    pytest.importorskip("tf_keras")

    def loop() -> tuple[float, int]:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        import tensorflow as tf

        strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before TensorFlow does anything else
        rows = train.get_dataset_shard("train").to_tf(feature_columns="x", label_columns="y", batch_size=8)
        rows = rows.map(lambda x, y: (x[:, None], y[:, None]))
        with strategy.scope():
            model = tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1)])
            model.compile(optimizer=tf.keras.optimizers.SGD(0.5), loss="mse")
        history = model.fit(prepare_dataset_shard(rows), epochs=20, verbose=0)
        return history.history["loss"][-1], sum(len(x) for x, _ in rows)

    items = [{"x": number / 32, "y": 3 * number / 32 + 1} for number in range(32)]
    result = TensorflowTrainer(
        loop,
        datasets={"train": shoal.data.from_items(items)},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(storage_path=tmp_path),
    ).fit()
    loss, rows = result.return_value
    assert loss < 0.2
    assert rows == 16


def test_events_that_are_reported(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    callback = {"checkpoint_on": "train_end", "report_metrics_on": ["train_batch_end", "epoch_begin"]}
    result = fit(learn, tmp_path, 1, callback=callback)
    assert [set(metrics) for metrics in result.history] == [set(), {"loss"}] * 3 + [{"loss"}]
    assert len(result.best_checkpoints) == 1


def test_what_keras_does_not_have(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    from shoal.train.tensorflow.keras import ReportCheckpointCallback

    with pytest.raises(InvalidArgumentError, match="checkpoint_on is 'epoch'; give some of train_begin, train_end"):
        ReportCheckpointCallback(checkpoint_on="epoch")
    with pytest.raises(train.WorkerGroupError, match="metrics names 'accuracy'; Keras has 'loss' here"):
        fit(learn, tmp_path, 1, callback={"metrics": "accuracy"})


def test_importing_loads_no_tensorflow() -> None:
    code = "import sys, shoal.train.tensorflow as x; x.TensorflowTrainer(print); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
