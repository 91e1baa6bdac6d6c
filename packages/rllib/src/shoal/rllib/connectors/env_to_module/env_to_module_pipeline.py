"""From episodes to what a module sees: all pieces in a row."""

from __future__ import annotations

from typing import Any

from shoal.rllib.connectors.common.add_observations_from_episodes_to_batch import AddObservationsFromEpisodesToBatch
from shoal.rllib.connectors.common.add_states_from_episodes_to_batch import AddStatesFromEpisodesToBatch
from shoal.rllib.connectors.common.add_time_dim_to_batch_and_zero_pad import AddTimeDimToBatchAndZeroPad
from shoal.rllib.connectors.common.agent_to_module_mapping import AgentToModuleMapping
from shoal.rllib.connectors.common.batch_individual_items import BatchIndividualItems
from shoal.rllib.connectors.common.numpy_to_tensor import NumpyToTensor
from shoal.rllib.connectors.connector_pipeline_v2 import ConnectorPipelineV2, as_pieces

DEFAULT_PIECES = (
    AddObservationsFromEpisodesToBatch,
    AddTimeDimToBatchAndZeroPad,
    AddStatesFromEpisodesToBatch,
    AgentToModuleMapping,
    BatchIndividualItems,
    NumpyToTensor,
)
"""In this order, after users' own pieces. The mapping is there for multi-agent environments."""


class EnvToModulePipeline(ConnectorPipelineV2):
    """From episodes to a batch of tensors. Returns None where no episode is to be acted in."""


def build_env_to_module_pipeline(
    config: Any, *, env: Any, spaces: dict[str, Any] | None, device: Any = None
) -> EnvToModulePipeline:
    """Returns a configuration's pipeline: the user's pieces, then (unless switched off) the default ones.

    Args:
        config: of the algorithm.
        env: the vector environment, if there is one.
        spaces: what get_spaces() of a runner returns.
        device: where tensors are made.
    """
    observations, actions = _single_spaces(env, spaces)
    given = config.env_to_module_connector
    pieces = [] if given is None else as_pieces(_called(given, env, spaces, device))
    if len(pieces) == 1 and isinstance(pieces[0], EnvToModulePipeline):
        return pieces[0]
    if config.add_default_connectors_to_env_to_module_pipeline:
        pieces += [AddObservationsFromEpisodesToBatch(), AddTimeDimToBatchAndZeroPad(), AddStatesFromEpisodesToBatch()]
        if config.is_multi_agent:
            mapping = AgentToModuleMapping(
                agent_to_module_mapping_fn=config.policy_mapping_fn, rl_module_specs=config.policies
            )
            pieces.append(mapping)
        pieces += [BatchIndividualItems(multi_agent=config.is_multi_agent), NumpyToTensor(device=device)]
    return EnvToModulePipeline(observations, actions, connectors=pieces)


def _called(given: Any, env: Any, spaces: Any, device: Any) -> Any:
    """Calls a user's function with as many of (env, spaces, device) as it takes: older ones take the environment alone."""
    import inspect

    try:
        parameters = inspect.signature(given).parameters.values()
    except (TypeError, ValueError):
        return given(env, spaces, device)
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return given(env, spaces, device)
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return given(*(env, spaces, device)[: len(positional)])


def _single_spaces(env: Any, spaces: dict[str, Any] | None) -> tuple[Any, Any]:
    if spaces is not None and "__env_single__" in spaces:
        observations, actions = spaces["__env_single__"]
        return observations, actions
    return getattr(env, "single_observation_space", None), getattr(env, "single_action_space", None)
