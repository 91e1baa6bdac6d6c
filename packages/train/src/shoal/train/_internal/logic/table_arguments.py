"""The arguments of trainers that take tables, a label and parameters instead of a loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.exceptions import InvalidArgumentError

DEFAULT_ROUNDS = 10


def chosen_loop(
    given: Callable[..., Any] | None,
    make: Callable[[str, Mapping[str, Any], int, tuple[str, ...]], Callable[[], Any]],
    label_column: str | None,
    params: Mapping[str, Any] | None,
    num_boost_round: int | None,
    datasets: Mapping[str, Any] | None,
) -> Callable[..., Any]:
    """Returns the loop that was given, or the one that the other arguments stand for.

    Args:
        given: `train_loop_per_worker`.
        make: the loop of a label, parameters, a number of rounds and the names of the datasets.
        label_column: what is predicted.
        params: of the library's `train`.
        num_boost_round: rounds in all; None for 10.
        datasets: by name; one of them is 'train'.

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
    if TRAIN_DATASET_KEY not in (datasets or {}):
        raise InvalidArgumentError(
            f"datasets is {datasets!r}; give a dict that has {TRAIN_DATASET_KEY!r}, the rows to train on"
        )
    rounds = DEFAULT_ROUNDS if num_boost_round is None else num_boost_round
    if rounds < 1:
        raise InvalidArgumentError(f"num_boost_round is {num_boost_round!r}; give a whole number >= 1")
    return make(label_column, dict(params or {}), rounds, tuple(datasets or {}))
