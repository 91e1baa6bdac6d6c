"""What a module may offer besides its forward methods: algorithms ask for these by type."""

from __future__ import annotations

from shoal.rllib.core.rl_module.apis.inference_only_api import InferenceOnlyAPI as InferenceOnlyAPI
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI as QNetAPI
from shoal.rllib.core.rl_module.apis.self_supervised_loss_api import SelfSupervisedLossAPI as SelfSupervisedLossAPI
from shoal.rllib.core.rl_module.apis.target_network_api import (
    TARGET_NETWORK_ACTION_DIST_INPUTS as TARGET_NETWORK_ACTION_DIST_INPUTS,
)
from shoal.rllib.core.rl_module.apis.target_network_api import TargetNetworkAPI as TargetNetworkAPI
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI as ValueFunctionAPI

__all__ = [
    "TARGET_NETWORK_ACTION_DIST_INPUTS",
    "InferenceOnlyAPI",
    "QNetAPI",
    "SelfSupervisedLossAPI",
    "TargetNetworkAPI",
    "ValueFunctionAPI",
]
