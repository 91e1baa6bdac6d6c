"""From episodes to what a module sees."""

from __future__ import annotations

from typing import Any

_PLACES = {
    "AddObservationsFromEpisodesToBatch": "common.add_observations_from_episodes_to_batch",
    "AddStatesFromEpisodesToBatch": "common.add_states_from_episodes_to_batch",
    "AddTimeDimToBatchAndZeroPad": "common.add_time_dim_to_batch_and_zero_pad",
    "AgentToModuleMapping": "common.agent_to_module_mapping",
    "BatchIndividualItems": "common.batch_individual_items",
    "NumpyToTensor": "common.numpy_to_tensor",
    "EnvToModulePipeline": "env_to_module.env_to_module_pipeline",
    "FlattenObservations": "env_to_module.flatten_observations",
    "FrameStackingEnvToModule": "env_to_module.frame_stacking",
    "MeanStdFilter": "env_to_module.mean_std_filter",
    "MultiAgentObservationPreprocessor": "env_to_module.observation_preprocessor",
    "PrevActionsPrevRewards": "env_to_module.prev_actions_prev_rewards",
    "SingleAgentObservationPreprocessor": "env_to_module.observation_preprocessor",
    "WriteObservationsToEpisodes": "env_to_module.write_observations_to_episodes",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"shoal.rllib.connectors.{_PLACES[name]}"), name)
