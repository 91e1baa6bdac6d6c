"""AIR's names are Train's."""

from __future__ import annotations

import subprocess
import sys

import shoal.air.checkpoint
import shoal.air.config
import shoal.air.constants
import shoal.air.result
import shoal.train.base_trainer
from shoal import air, train
from shoal.air import results


def test_each_name_is_the_same_class() -> None:
    for name in air.__all__:
        if name != "session":
            assert getattr(air, name) is getattr(train, name)
    assert shoal.air.config.RunConfig is train.RunConfig
    assert shoal.air.checkpoint.Checkpoint is train.Checkpoint
    assert shoal.air.result.Result is train.Result
    assert air.session.report is train.report
    assert shoal.air.constants.TRAINING_ITERATION == "training_iteration"
    assert shoal.train.base_trainer.TrainingFailedError is train.TrainingFailedError


def test_importing_it_loads_nothing_heavy_and_warns_of_nothing() -> None:
    program = (
        "import sys, shoal.air, shoal.air.config, shoal.train, shoal.train.error, shoal.train.batch_predictor\n"
        "from shoal.air import RunConfig, session\n"
        "from shoal.air.integrations import comet, mlflow, tensorboard, wandb\n"
        "heavy = {'torch', 'pandas', 'shoal.data', 'shoal.tune', 'mlflow', 'wandb', 'tensorboard', 'rich', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_numbers_of_results() -> None:
    import numpy as np

    result = {"a": {"b": 1, "c": np.float32(0.5)}, "text": "x", "flag": True, "large": 10**400, "done": False, "pid": 3}
    assert results.numbers(result) == {"a/b": 1.0, "a/c": 0.5, "large": float("inf")}
    assert results.flattened({"a": {}, "b": {"c": 1}}) == {"a": {}, "b/c": 1}
