"""From what a module gives to environments' actions: all pieces in a row."""

from __future__ import annotations

from typing import Any

from shoal.rllib.connectors.common.module_to_agent_unmapping import ModuleToAgentUnmapping
from shoal.rllib.connectors.common.tensor_to_numpy import TensorToNumpy
from shoal.rllib.connectors.connector_pipeline_v2 import ConnectorPipelineV2, as_pieces
from shoal.rllib.connectors.env_to_module.env_to_module_pipeline import _called, _single_spaces
from shoal.rllib.connectors.module_to_env.get_actions import GetActions
from shoal.rllib.connectors.module_to_env.listify_data_for_vector_env import ListifyDataForVectorEnv
from shoal.rllib.connectors.module_to_env.normalize_and_clip_actions import NormalizeAndClipActions
from shoal.rllib.connectors.module_to_env.remove_single_ts_time_rank_from_batch import RemoveSingleTsTimeRankFromBatch
from shoal.rllib.connectors.module_to_env.unbatch_to_individual_items import UnBatchToIndividualItems

DEFAULT_PIECES = (
    GetActions,
    TensorToNumpy,
    UnBatchToIndividualItems,
    ModuleToAgentUnmapping,
    RemoveSingleTsTimeRankFromBatch,
    NormalizeAndClipActions,
    ListifyDataForVectorEnv,
)
"""In this order, after users' own pieces. The mapping is there for multi-agent environments."""


class ModuleToEnvPipeline(ConnectorPipelineV2):
    """From a module's outputs to lists with an item for each environment."""


def build_module_to_env_pipeline(config: Any, *, env: Any, spaces: dict[str, Any] | None) -> ModuleToEnvPipeline:
    """Returns a configuration's pipeline: the user's pieces, then (unless switched off) the default ones."""
    observations, actions = _single_spaces(env, spaces)
    given = config.module_to_env_connector
    pieces = [] if given is None else as_pieces(_called(given, env, spaces, None))
    if len(pieces) == 1 and isinstance(pieces[0], ModuleToEnvPipeline):
        return pieces[0]
    if config.add_default_connectors_to_module_to_env_pipeline:
        pieces += [GetActions(), TensorToNumpy(), UnBatchToIndividualItems()]
        if config.is_multi_agent:
            pieces.append(ModuleToAgentUnmapping())
        scaling = NormalizeAndClipActions(
            multi_agent=config.is_multi_agent,
            normalize_actions=config.normalize_actions,
            clip_actions=config.clip_actions,
        )
        pieces += [RemoveSingleTsTimeRankFromBatch(), scaling, ListifyDataForVectorEnv()]
    return ModuleToEnvPipeline(observations, actions, connectors=pieces)
