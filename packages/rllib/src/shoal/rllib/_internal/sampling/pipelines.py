"""Which pipelines do no more than what is done in one go for all environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.rllib.connectors.common.agent_to_module_mapping import AgentToModuleMapping
from shoal.rllib.connectors.common.module_to_agent_unmapping import ModuleToAgentUnmapping
from shoal.rllib.connectors.env_to_module.env_to_module_pipeline import DEFAULT_PIECES, EnvToModulePipeline
from shoal.rllib.connectors.env_to_module.row_preprocessor import RowPreprocessor
from shoal.rllib.connectors.module_to_env.module_to_env_pipeline import DEFAULT_PIECES as DEFAULT_PIECES_BACK
from shoal.rllib.connectors.module_to_env.module_to_env_pipeline import ModuleToEnvPipeline


def row_transform(pipeline: Any) -> Callable[[Any], Any] | bool | None:
    """Returns what an env-to-module pipeline does to rows of observations: a function, False for nothing, None if it does anything else."""
    defaults = [piece for piece in DEFAULT_PIECES if piece is not AgentToModuleMapping]
    if type(pipeline) is not EnvToModulePipeline:
        return None
    pieces = list(pipeline.connectors)
    if [type(piece) for piece in pieces[len(pieces) - len(defaults) :]] != defaults:
        return None
    before = pieces[: len(pieces) - len(defaults)]
    if not all(
        isinstance(piece, RowPreprocessor) and type(piece).__call__ is RowPreprocessor.__call__ for piece in before
    ):
        return None
    if not before:
        return False

    def transform(rows: Any) -> Any:
        for piece in before:
            rows = piece.rows(rows)
        return rows

    return transform


def has_only_defaults(pipeline: Any) -> bool:
    """Returns whether a module-to-env pipeline has nothing but the default pieces."""
    defaults = [piece for piece in DEFAULT_PIECES_BACK if piece is not ModuleToAgentUnmapping]
    return type(pipeline) is ModuleToEnvPipeline and [type(piece) for piece in pipeline.connectors] == defaults
