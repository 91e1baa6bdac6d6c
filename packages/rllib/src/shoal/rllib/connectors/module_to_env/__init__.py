"""From what a module gives to environments' actions."""

from __future__ import annotations

from typing import Any

_PLACES = {
    "GetActions": "module_to_env.get_actions",
    "ListifyDataForVectorEnv": "module_to_env.listify_data_for_vector_env",
    "ModuleToAgentUnmapping": "common.module_to_agent_unmapping",
    "ModuleToEnvPipeline": "module_to_env.module_to_env_pipeline",
    "NormalizeAndClipActions": "module_to_env.normalize_and_clip_actions",
    "RemoveSingleTsTimeRankFromBatch": "module_to_env.remove_single_ts_time_rank_from_batch",
    "TensorToNumpy": "common.tensor_to_numpy",
    "UnBatchToIndividualItems": "module_to_env.unbatch_to_individual_items",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"shoal.rllib.connectors.{_PLACES[name]}"), name)
