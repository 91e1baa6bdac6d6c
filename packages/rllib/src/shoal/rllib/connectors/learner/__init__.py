"""From sampled episodes to a learner's batch."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AddColumnsFromEpisodesToTrainBatch": "add_columns_from_episodes_to_train_batch",
    "AddInfosFromEpisodesToTrainBatch": "add_infos_from_episodes_to_train_batch",
    "AddNextObservationsFromEpisodesToTrainBatch": "add_next_observations_from_episodes_to_train_batch",
    "AddOneTsToEpisodesAndTruncate": "add_one_ts_to_episodes_and_truncate",
    "ComputeReturnsToGo": "compute_returns_to_go",
    "FrameStackingLearner": "frame_stacking",
    "GeneralAdvantageEstimation": "general_advantage_estimation",
    "LearnerConnectorPipeline": "learner_connector_pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
