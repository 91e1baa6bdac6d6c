"""From sampled episodes to a learner's batch."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AddColumnsFromEpisodesToTrainBatch": "learner.add_columns_from_episodes_to_train_batch",
    "AddInfosFromEpisodesToTrainBatch": "learner.add_infos_from_episodes_to_train_batch",
    "AddNextObservationsFromEpisodesToTrainBatch": "learner.add_next_observations_from_episodes_to_train_batch",
    "AddObservationsFromEpisodesToBatch": "common.add_observations_from_episodes_to_batch",
    "AddOneTsToEpisodesAndTruncate": "learner.add_one_ts_to_episodes_and_truncate",
    "AddStatesFromEpisodesToBatch": "common.add_states_from_episodes_to_batch",
    "AddTimeDimToBatchAndZeroPad": "common.add_time_dim_to_batch_and_zero_pad",
    "AgentToModuleMapping": "common.agent_to_module_mapping",
    "BatchIndividualItems": "common.batch_individual_items",
    "ComputeReturnsToGo": "learner.compute_returns_to_go",
    "FrameStackingLearner": "learner.frame_stacking",
    "GeneralAdvantageEstimation": "learner.general_advantage_estimation",
    "LearnerConnectorPipeline": "learner.learner_connector_pipeline",
    "NumpyToTensor": "common.numpy_to_tensor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"shoal.rllib.connectors.{_HOMES[name]}"), name)
