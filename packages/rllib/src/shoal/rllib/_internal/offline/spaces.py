"""The spaces of recorded data, and of the modules that learn from it."""

from __future__ import annotations

from typing import Any

from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.env.registration import resolve_env
from shoal.rllib.utils.error import ConfigError

Spaces = tuple[Any, Any]


def recorded_spaces(config: Any) -> Spaces:
    """Returns the spaces of observations and actions as configured, or as the environment has them.

    Args:
        config: of the algorithm.

    Raises:
        ConfigError: (a ValueError) there are neither spaces nor an environment.
        EnvError: (a ValueError) there is no such environment.
    """
    observations, actions = config.observation_space, config.action_space
    if observations is not None and actions is not None:
        return observations, actions
    if config.env is None:
        missing = " and no ".join(
            name for name, space in (("observation_space", observations), ("action_space", actions)) if space is None
        )
        raise ConfigError(
            f"there is no {missing}: recorded data does not tell them. Call environment(observation_space=..., action_space=...), or "
            'environment("CartPole-v1") for those of an environment'
        )
    env = resolve_env(config.env, config._luggage)(EnvContext(config.env_config))
    try:
        return (
            env.observation_space if observations is None else observations,
            env.action_space if actions is None else actions,
        )
    finally:
        env.close()


def module_spaces(config: Any, recorded: Spaces) -> dict[str, Spaces]:
    """Returns the spaces of the module, by its id: observations as connectors of runners hand them on."""
    observations, actions = recorded
    if config.env_to_module_connector is not None:
        spaces = {"__env__": recorded, "__env_single__": recorded}
        pipeline = config.build_env_to_module_connector(env=None, spaces=spaces)
        if pipeline.observation_space is not None:
            observations = pipeline.observation_space
    return {DEFAULT_MODULE_ID: (observations, actions)}
