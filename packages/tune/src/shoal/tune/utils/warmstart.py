"""Checks points that a search shall begin with, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError


def validate_warmstart(
    parameter_names: Sequence[str],
    points_to_evaluate: Sequence[Mapping[str, Any] | Sequence[Any]] | None,
    evaluated_rewards: Sequence[Any] | None,
    validate_point_name_lengths: bool = True,
) -> None:
    """Checks that points and rewards fit each other and the parameters.

    Args:
        parameter_names: of the space.
        points_to_evaluate: configurations: each a dict by name, or a list with one value for each parameter.
        evaluated_rewards: what each point gave; None where they were not evaluated.
        validate_point_name_lengths: each point has to have as many values as there are parameters.

    Raises:
        InvalidArgumentError: (a ValueError) they do not fit; the text says which.

    Example:
        >>> from shoal.tune.utils.util import validate_warmstart
        >>> validate_warmstart(["x"], [{"x": 1}], [0.5])
    """
    for name, given in (("points_to_evaluate", points_to_evaluate), ("evaluated_rewards", evaluated_rewards)):
        if given is not None and (isinstance(given, str | Mapping) or not isinstance(given, Sequence)):
            raise InvalidArgumentError(f"{name} is {given!r}; give a list")
    points = points_to_evaluate if points_to_evaluate is not None else ()
    for number, point in enumerate(points):
        if isinstance(point, str) or not isinstance(point, Mapping | Sequence):
            raise InvalidArgumentError(
                f"points_to_evaluate[{number}] is {point!r}; give a dict of parameters, or a list of their values"
            )
        if validate_point_name_lengths and len(point) != len(parameter_names):
            raise InvalidArgumentError(
                f"points_to_evaluate[{number}] has {len(point)} values: {point!r}; "
                f"there are {len(parameter_names)} parameters: {list(parameter_names)}"
            )
    if evaluated_rewards is not None and len(evaluated_rewards) != len(points):
        raise InvalidArgumentError(
            f"evaluated_rewards has {len(evaluated_rewards)} values for {len(points)} points_to_evaluate; give one each"
        )
