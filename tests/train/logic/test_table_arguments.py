"""Arguments of trainers that take tables instead of a loop."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.train import CheckpointConfig, FailureConfig, RunConfig
from shoal.train._internal.logic.table_arguments import TableArguments, chosen_loop, varied_config
from shoal.train.exceptions import InvalidArgumentError


def chosen(run: RunConfig | None = None, rounds: int | None = None) -> Any:
    return chosen_loop(None, lambda arguments: arguments, "y", {"eta": 1}, rounds, {"train": 1, "valid": 2}, run)  # type: ignore[arg-type,return-value]


def test_what_is_given_is_kept() -> None:
    assert chosen() == TableArguments("y", {"eta": 1}, 10, ("train", "valid"), 0, True)


@pytest.mark.parametrize(
    ("run", "frequency", "at_end"),
    [
        (RunConfig(checkpoint_config=CheckpointConfig(checkpoint_frequency=3)), 3, True),
        (RunConfig(checkpoint_config=CheckpointConfig(checkpoint_at_end=False)), 0, False),
        (RunConfig(failure_config=FailureConfig(max_failures=-1)), 4, True),
        (
            RunConfig(
                failure_config=FailureConfig(max_failures=1), checkpoint_config=CheckpointConfig(checkpoint_frequency=7)
            ),
            7,
            True,
        ),
    ],
)
def test_runs_that_may_start_again_keep_models_on_the_way(run: RunConfig, frequency: int, at_end: bool) -> None:
    found = chosen(run, 40)
    assert (found.checkpoint_frequency, found.checkpoint_at_end) == (frequency, at_end)


def test_a_configuration_varies_them() -> None:
    varied = chosen().varied({"params": {"depth": 3}, "num_boost_round": 5})
    assert (varied.params, varied.num_boost_round, varied.label_column) == ({"eta": 1, "depth": 3}, 5, "y")
    assert chosen().varied({}) == chosen()
    with pytest.raises(InvalidArgumentError, match="train_loop_config has 'depth'; where there is no train_loop_per"):
        chosen().varied({"depth": 3})
    with pytest.raises(InvalidArgumentError, match="num_boost_round is 0"):
        chosen().varied({"num_boost_round": 0})


def test_a_searchs_configuration_becomes_the_loops() -> None:
    assert varied_config({"scaling_config": 1}) == {"scaling_config": 1}
    assert varied_config({"params": {"eta": 2}, "train_loop_config": {"num_boost_round": 3}}) == {
        "train_loop_config": {"params": {"eta": 2}, "num_boost_round": 3}
    }
