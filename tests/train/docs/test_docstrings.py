"""The examples in docstrings work."""

from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = (
    "shoal.air.integrations.comet",
    "shoal.air.integrations.mlflow",
    "shoal.air.integrations.tensorboard",
    "shoal.air.integrations.wandb",
    "shoal.air.results",
    "shoal.train.batch_predictor",
    "shoal.train.checkpoint",
    "shoal.train.configuration",
    "shoal.train.context",
    "shoal.train.data_config",
    "shoal.train.predictor",
    "shoal.train.reporting",
    "shoal.train.result",
    "shoal.train.user_callback",
)


@pytest.mark.filterwarnings("ignore")  # of mlflow and wandb
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert (failed, tried > 0) == (0, True)
