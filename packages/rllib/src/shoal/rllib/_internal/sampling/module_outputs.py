"""Whether what a module gives is what actions are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import ConfigError


def check_outputs(module: Any, outputs: Any, *, explore: bool) -> None:
    """Raises ConfigError where a module's outputs have not the form of its actions.

    Args:
        module: of one policy.
        outputs: of its `forward_exploration` or `forward_inference`.
        explore: of which.
    """
    name = type(module).__name__
    if not isinstance(outputs, Mapping):
        raise ConfigError(
            f"{name}'s forward pass returned a {type(outputs).__name__}; return a dict, with {Columns.ACTION_DIST_INPUTS!r} "
            f"(or {Columns.ACTIONS!r})"
        )
    if Columns.ACTIONS in outputs:
        return
    if Columns.ACTION_DIST_INPUTS not in outputs:
        raise ConfigError(
            f"{name}'s forward pass returned {sorted(map(str, outputs))}, and actions are drawn from {Columns.ACTION_DIST_INPUTS!r} (or "
            f"are {Columns.ACTIONS!r}); return one of these"
        )
    kind: Any = module.get_exploration_action_dist_cls() if explore else module.get_inference_action_dist_cls()
    space = module.action_space
    if space is None or not kind.__module__.startswith("shoal.rllib."):  # others know their own form
        return
    shape, needed = tuple(outputs[Columns.ACTION_DIST_INPUTS].shape), kind.required_input_dim(space)
    if not shape or shape[-1] != needed:
        raise ConfigError(
            f"{name}'s forward pass returned {Columns.ACTION_DIST_INPUTS!r} of shape {shape}, and actions of {space} take {needed} numbers "
            "for each row"
        )
