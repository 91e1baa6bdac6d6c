"""Implicit Q-learning: Kostrikov, Nair and Levine, "Offline Reinforcement Learning with Implicit Q-Learning", 2021 (arXiv 2110.06169).

Never ask what an action is worth that was not recorded. The value function is an upper expectile of the critics' values of recorded
actions: what good ones among them are worth. Critics go by rewards and by that value a step later; the policy imitates what was recorded,
the more so the more a critic prefers it to that value. Passes over the data are in `offline.py`.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.learning.state_values import values_of
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.marwil.marwil import MARWILConfig, refuse_memory
from shoal.rllib.algorithms.offline import OfflineAlgorithm, OfflineTransitionsLearner
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch.default_sac_rl_module import QF_PREDS
from shoal.rllib.utils.error import ConfigError

LARGEST_WEIGHT = 100.0
"""Of an action that is imitated."""


class IQLConfig(MARWILConfig):
    """The configuration of IQL.

    Example:
        >>> from shoal.rllib.algorithms.iql import IQLConfig
        >>> config = IQLConfig().environment("Pendulum-v1").offline_data(input_="/tmp/pendulum").training(expectile=0.7, beta=3.0)
        >>> config.expectile
        0.7
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or IQL)
        self.lr = None
        self.beta = 0.1
        self.train_batch_size = 256
        self.twin_q = True
        self.expectile = 0.8
        self.actor_lr: Any = 3e-4
        self.critic_lr: Any = 3e-4
        self.value_lr: Any = 3e-4
        self.target_network_update_freq = 0
        self.tau = 1.0

    def training(
        self,
        *,
        twin_q: bool = UNSET,
        expectile: float = UNSET,
        actor_lr: Any = UNSET,
        critic_lr: Any = UNSET,
        value_lr: Any = UNSET,
        target_network_update_freq: int = UNSET,
        tau: float = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how IQL learns. `beta` (how much more actions count that critics prefer) is MARWIL's; others are in
        `AlgorithmConfig.training`.

        Args:
            twin_q: two critics, of which the smaller value counts.
            expectile: between 0 and 1; 0.5 for the mean of what recorded actions are worth, higher for what the good ones are.
            actor_lr: learning rate of the policy, or a schedule.
            critic_lr: of the critics.
            value_lr: of the value function.
            target_network_update_freq: steps learned from between two updates of the target critics; 0 for one after each gradient.
            tau: how far they then go: 1 copies.
            **others: `MARWILConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        if not 0 < self.expectile < 1:
            raise ConfigError(f"expectile is {self.expectile!r}; give a number between 0 and 1")
        if not self.beta > 0:
            raise ConfigError(f"beta is {self.beta!r}; give a number > 0")
        if self.lr is not None:
            raise ConfigError(
                f"lr is {self.lr!r}, which IQL does not go by; set actor_lr, critic_lr and value_lr, and leave lr None"
            )

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_iql_rl_module import DefaultIQLRLModule

        return RLModuleSpec(module_class=DefaultIQLRLModule)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {**super()._model_config_auto_includes, "twin_q": self.twin_q}

    def get_default_learner_class(self) -> type[Learner]:
        return IQLLearner


class IQLLearner(OfflineTransitionsLearner):
    """IQL's losses: of the value function, the critics and the policy. Each has an optimizer of its own."""

    def build(self) -> None:
        if self._is_built:
            return
        super().build()
        for module_id in self.module:
            refuse_memory(self.module[module_id])

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [*super().rl_module_required_apis(), QNetAPI, ValueFunctionAPI]

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        config = config or self.config_of(module_id)
        module: Any = self.module[module_id].unwrapped()
        critics = list(module.critics.parameters())
        values = [*module.vf.parameters(), *module.critic_encoder.parameters()]
        others = {id(parameter) for parameter in [*critics, *values]}
        policy = [parameter for parameter in self.get_parameters(module) if id(parameter) not in others]
        for name, params, lr in (
            ("qf", critics, config.critic_lr),
            ("value", values, config.value_lr),
            ("policy", policy, config.actor_lr),
        ):
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=self.adam(params),
                params=params,
                lr_or_lr_schedule=lr,
            )

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]) -> Tensor:
        module: Any = self.module[module_id].unwrapped()
        values = values_of(module, batch)
        with torch.no_grad():
            worth = module.forward_target(batch)[QF_PREDS].amin(0)
            values_after = values_of(module, {Columns.OBS: batch[Columns.NEXT_OBS]})
            wanted = batch[Columns.REWARDS] + self.discounts(batch, config) * values_after

        above = worth - values
        weights = torch.where(above > 0, config.expectile, 1 - config.expectile)
        value_loss = (weights * above.square()).mean()

        every = module.compute_q_values(batch)[QF_PREDS]
        critic_loss = (every - wanted).square().mean(-1).sum()

        policy = module.get_train_action_dist_cls().from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        preferred = torch.exp(config.beta * above.detach()).clamp(max=LARGEST_WEIGHT)
        policy_loss = -(preferred * policy.logp(batch[Columns.ACTIONS])).mean()

        self.log_losses(
            module_id,
            {
                "policy_loss": policy_loss,
                "value_loss": value_loss,
                "qf_loss": critic_loss,
                "qf_mean": every.detach().mean(),
                "vf_preds_mean": values.detach().mean(),
                "advantage_mean": above.detach().mean(),
            },
        )
        loss: Tensor = value_loss + critic_loss + policy_loss
        return loss


class IQL(OfflineAlgorithm):
    """IQL. Made by `IQLConfig().build_algo()`."""

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return IQLConfig()
