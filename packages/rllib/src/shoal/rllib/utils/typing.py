"""Names for types, for users' annotations. Most stand for what Python's own words say too."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import gymnasium as gym

from shoal.rllib.env.multi_agent_env import AgentID as AgentID
from shoal.rllib.env.multi_agent_env import MultiAgentDict as MultiAgentDict

if TYPE_CHECKING:
    import numpy as np
    import torch

    from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
    from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
    from shoal.rllib.env.env_context import EnvContext
    from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode
    from shoal.rllib.env.single_agent_episode import SingleAgentEpisode

ModuleID: TypeAlias = str
NetworkType: TypeAlias = "torch.nn.Module"
PolicyID: TypeAlias = str
EnvID: TypeAlias = int | str
EpisodeID: TypeAlias = int | str
ResultDict: TypeAlias = dict[str, Any]
StateDict: TypeAlias = dict[str, Any]
AlgorithmConfigDict: TypeAlias = dict[str, Any]
PartialAlgorithmConfigDict: TypeAlias = dict[str, Any]
ModelConfigDict: TypeAlias = dict[str, Any]
EnvConfigDict: TypeAlias = dict[str, Any]
EnvInfoDict: TypeAlias = dict[str, Any]
EnvObsType: TypeAlias = Any
EnvActionType: TypeAlias = Any
EnvType: TypeAlias = Any
TensorType: TypeAlias = Union["np.ndarray[Any, Any]", "torch.Tensor"]
TensorStructType: TypeAlias = Any
TensorShape: TypeAlias = tuple[int, ...] | list[int]
SpaceStruct: TypeAlias = gym.Space[Any] | dict[str, Any] | tuple[Any, ...]
DeviceType: TypeAlias = Union[str, int, "torch.device"]
Optimizer: TypeAlias = "torch.optim.Optimizer"
Param: TypeAlias = "torch.Tensor"
ParamRef: TypeAlias = Hashable
ParamList: TypeAlias = list["torch.Tensor"]
ParamDict: TypeAlias = dict[Hashable, "torch.Tensor"]
NamedParamDict: TypeAlias = dict[str, "torch.Tensor"]
LearningRateOrSchedule: TypeAlias = float | list[list[int | float]] | list[tuple[int, int | float]]
RLModuleSpecType: TypeAlias = Union["RLModuleSpec", "MultiRLModuleSpec"]
EpisodeType: TypeAlias = Union["SingleAgentEpisode", "MultiAgentEpisode"]
EnvCreator: TypeAlias = Callable[["EnvContext"], Any]
AgentToModuleMappingFn: TypeAlias = Callable[[AgentID, EpisodeType], ModuleID]
ShouldModuleBeUpdatedFn: TypeAlias = (
    Callable[[ModuleID, Any], bool] | list[ModuleID] | set[ModuleID] | tuple[ModuleID, ...]
)
