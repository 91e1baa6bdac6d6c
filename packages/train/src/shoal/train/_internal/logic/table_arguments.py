"""The arguments of trainers that take tables, a label and parameters instead of a loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shoal.train.configuration import TRAIN_DATASET_KEY, CheckpointConfig, FailureConfig, RunConfig
from shoal.train.exceptions import InvalidArgumentError

DEFAULT_ROUNDS = 10
PARTS = 10
"""A run that may be started again, and says nothing of checkpoints, makes so many of them."""
NAMES = ("label_column", "params", "num_boost_round")
"""Those that a configuration of the loop may have, too: so a search can vary them."""


@dataclass(frozen=True)
class TableArguments:
    """What a model is trained on, and how.

    Args:
        label_column: what is predicted; all other columns are features.
        params: of the library's `train`.
        num_boost_round: rounds in all.
        datasets: the names of the trainer's; one of them is 'train'.
        checkpoint_frequency: rounds from one checkpoint to the next; 0 for none on the way.
        checkpoint_at_end: keep the model of the last round.
    """

    label_column: str
    params: Mapping[str, Any]
    num_boost_round: int
    datasets: tuple[str, ...]
    checkpoint_frequency: int
    checkpoint_at_end: bool

    def varied(self, config: Mapping[str, Any]) -> TableArguments:
        """Returns them as a configuration says: its `params` are put over these.

        Raises:
            InvalidArgumentError: (a ValueError) it has other keys, or values that cannot be.
        """
        wrong = [name for name in config if name not in NAMES]
        if wrong:
            raise InvalidArgumentError(
                f"train_loop_config has {', '.join(map(repr, wrong))}; where there is no train_loop_per_worker it may have "
                f"{', '.join(map(repr, NAMES))}"
            )
        params = {**self.params, **_checked_params(config.get("params"))}
        rounds = _checked_rounds(config.get("num_boost_round", self.num_boost_round))
        return replace(
            self, label_column=config.get("label_column", self.label_column), params=params, num_boost_round=rounds
        )


def chosen_loop(
    given: Callable[..., Any] | None,
    make: Callable[[TableArguments], Callable[[dict[str, Any]], Any]],
    label_column: str | None,
    params: Mapping[str, Any] | None,
    num_boost_round: int | None,
    datasets: Mapping[str, Any] | None,
    run: RunConfig | None,
) -> Callable[..., Any]:
    """Returns the loop that was given, or the one that the other arguments stand for.

    Args:
        given: `train_loop_per_worker`.
        make: the loop of arguments.
        label_column: what is predicted.
        params: of the library's `train`.
        num_boost_round: rounds in all; None for 10.
        datasets: by name; one of them is 'train'.
        run: says how often the model is kept.

    Raises:
        InvalidArgumentError: (a ValueError) there is neither a loop nor what makes one, or there is both.
    """
    others = {"label_column": label_column, "params": params, "num_boost_round": num_boost_round}
    if given is not None:
        for name, value in others.items():
            if value is not None:
                raise InvalidArgumentError(
                    f"{name} is {value!r}, and there is a train_loop_per_worker; give one or the other"
                )
        return given
    if label_column is None:
        raise InvalidArgumentError(
            "train_loop_per_worker is None; give a function, or label_column, params and datasets instead"
        )
    if not isinstance(datasets, Mapping) or TRAIN_DATASET_KEY not in datasets:
        raise InvalidArgumentError(
            f"datasets is {datasets!r}; give a dict that has {TRAIN_DATASET_KEY!r}, the rows to train on"
        )
    rounds = _checked_rounds(DEFAULT_ROUNDS if num_boost_round is None else num_boost_round)
    run = run or RunConfig()
    checkpoints, failures = run.checkpoint_config or CheckpointConfig(), run.failure_config or FailureConfig()
    frequency = checkpoints.checkpoint_frequency or (max(1, rounds // PARTS) if failures.max_failures else 0)
    at_end = checkpoints.checkpoint_at_end is not False
    return make(TableArguments(label_column, _checked_params(params), rounds, tuple(datasets), frequency, at_end))


def varied_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a search's configuration with those of `NAMES` that it has itself moved into its 'train_loop_config', as trainers take it."""
    own = {name: config[name] for name in NAMES if name in config}
    if not own:
        return dict(config)
    rest = {name: value for name, value in config.items() if name not in NAMES}
    return rest | {"train_loop_config": {**rest.get("train_loop_config", {}), **own}}


def _checked_params(params: object) -> dict[str, Any]:
    if params is not None and not isinstance(params, Mapping):
        raise InvalidArgumentError(f"params is {params!r}; give a dict")
    return dict(params or {})


def _checked_rounds(rounds: object) -> int:
    if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
        raise InvalidArgumentError(f"num_boost_round is {rounds!r}; give a whole number >= 1")
    return rounds
