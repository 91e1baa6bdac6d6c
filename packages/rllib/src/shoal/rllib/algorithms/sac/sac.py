"""Soft actor-critic: Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", 2018 (arXiv 1812.05905); for discrete actions
Christodoulou, "Soft Actor-Critic for Discrete Action Settings", 2019 (arXiv 1910.07207).

Sample a step with the current policy and keep it. Learn from steps that are kept: critics value actions by rewards and by the entropy that
the policy has afterwards; the policy prefers what they value, and the temperature keeps its entropy near a target. What is common to all
algorithms with a replay buffer is in `off_policy.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.off_policy import OffPolicyAlgorithm, OffPolicyConfig, OffPolicyLearner
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch.default_sac_rl_module import QF_PREDS
from shoal.rllib.utils.error import ConfigError

POLICY_LOSS_KEY = "policy_loss"
QF_LOSS_KEY = "qf_loss"
QF_MEAN_KEY = "qf_mean"
QF_MAX_KEY = "qf_max"
QF_MIN_KEY = "qf_min"
LOGPS_KEY = "logps"
TD_ERROR_MEAN_KEY = "td_error_mean"


class SACConfig(OffPolicyConfig):
    """The configuration of SAC.

    Example:
        >>> from shoal.rllib.algorithms.sac import SACConfig
        >>> config = SACConfig().environment("Pendulum-v1").training(actor_lr=3e-4, num_steps_sampled_before_learning_starts=100)
        >>> algo = config.build_algo()
        >>> _ = algo.train()
        >>> algo.stop()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or SAC)
        self.lr = None
        self.actor_lr: Any = 3e-5
        self.critic_lr: Any = 3e-4
        self.alpha_lr: Any = 3e-4
        self.train_batch_size = 256
        self.tau = 0.005
        self.target_network_update_freq = 0
        self.replay_buffer_config = {
            "type": "PrioritizedEpisodeReplayBuffer",
            "capacity": 1_000_000,
            "alpha": 0.6,
            "beta": 0.4,
        }
        self.num_steps_sampled_before_learning_starts = 1500
        self.min_time_s_per_iteration = 1
        self.min_sample_timesteps_per_iteration = 100
        self.twin_q = True
        self.initial_alpha = 1.0
        self.target_entropy: float | str = "auto"

    def training(
        self,
        *,
        actor_lr: Any = UNSET,
        critic_lr: Any = UNSET,
        alpha_lr: Any = UNSET,
        twin_q: bool = UNSET,
        initial_alpha: float = UNSET,
        target_entropy: float | str = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how SAC learns. What others have, too, is in `OffPolicyConfig.training` and `AlgorithmConfig.training`.

        Args:
            actor_lr: learning rate of the policy, or a schedule.
            critic_lr: of the critics.
            alpha_lr: of the temperature; 0 keeps it.
            twin_q: two critics, of which the smaller value counts.
            initial_alpha: the first temperature, > 0.
            target_entropy: the entropy that is aimed at, in nats; 'auto' for minus an action's size (Box), or 0.98 of the largest
                that there is (Discrete).
            **others: `OffPolicyConfig.training`'s and `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        if self.lr is not None:
            raise ConfigError(
                f"lr is {self.lr!r}, which SAC does not go by; set actor_lr, critic_lr and alpha_lr, and leave lr None"
            )
        if not self.initial_alpha > 0:
            raise ConfigError(f"initial_alpha is {self.initial_alpha!r}; give a number > 0")
        if isinstance(self.target_entropy, str) and self.target_entropy != "auto":
            raise ConfigError(f"target_entropy is {self.target_entropy!r}; give a number, or 'auto'")
        if not self.normalize_actions:
            raise ConfigError("normalize_actions is False, and SAC's actions are between -1 and 1; leave it True")

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_sac_rl_module import DefaultSACRLModule

        return RLModuleSpec(module_class=DefaultSACRLModule)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {"twin_q": self.twin_q, "initial_alpha": self.initial_alpha}
        return {**super()._model_config_auto_includes, "fcnet_activation": "relu", **own}

    def get_default_learner_class(self) -> type[Learner]:
        return SACLearner


class SACLearner(OffPolicyLearner):
    """SAC's losses: of the critics, the policy and the temperature."""

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [*super().rl_module_required_apis(), QNetAPI]

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        config = config or self.config_of(module_id)
        module: Any = self.module[module_id].unwrapped()
        critics = list(module.critics.parameters())
        others = {id(parameter) for parameter in [*critics, module.log_alpha]}
        policy = [parameter for parameter in self.get_parameters(module) if id(parameter) not in others]
        for name, params, lr in (
            ("qf", critics, config.critic_lr),
            ("policy", policy, config.actor_lr),
            ("alpha", [module.log_alpha], config.alpha_lr),
        ):
            self.register_optimizer(
                module_id=module_id,
                optimizer_name=name,
                optimizer=self.adam(params),
                params=params,
                lr_or_lr_schedule=lr,
            )

    def target_entropy(self, module_id: str) -> float:
        """The entropy that a module's temperature aims at, in nats."""
        given = self.config_of(module_id).get("target_entropy")
        space: Any = self.module[module_id].unwrapped().action_space
        if given != "auto":
            return float(given)
        if self.module[module_id].unwrapped().is_discrete:  # type: ignore[attr-defined]
            return 0.98 * math.log(int(space.n))
        return -float(math.prod(space.shape))

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]) -> Tensor:
        module: Any = self.module[module_id].unwrapped()
        alpha = module.log_alpha.detach().exp()
        soft_values = self._discrete if module.is_discrete else self._continuous
        after = {Columns.OBS: batch[Columns.NEXT_OBS]}
        with torch.no_grad():
            values_after, _ = soft_values(module, after, module.forward_train(after), alpha, module.forward_target)
            wanted = batch[Columns.REWARDS] + self.discounts(batch, config) * values_after
        every = module.compute_q_values(batch)[QF_PREDS]
        if module.is_discrete:
            every = every.gather(-1, batch[Columns.ACTIONS].long()[None, :, None].expand(len(every), -1, 1)).squeeze(-1)
        apart = every - wanted
        critic_loss = 0.5 * (batch["weights"] * apart.square()).mean(-1).sum()

        with module.critics_as_they_are():
            values, entropy = soft_values(module, batch, fwd_out, alpha, module.compute_q_values)
        policy_loss = -values.mean()
        surplus = entropy.detach().mean() - self.target_entropy(module_id)
        alpha_loss = module.log_alpha * surplus

        td_errors = apart.detach().abs().mean(0)
        self.log_td_errors(module_id, td_errors)
        values_now = every.detach()
        self.log_losses(
            module_id,
            {
                POLICY_LOSS_KEY: policy_loss,
                QF_LOSS_KEY: critic_loss,
                "alpha_loss": alpha_loss,
                "alpha_value": alpha,
                LOGPS_KEY: -entropy.detach().mean(),
                QF_MEAN_KEY: values_now.mean(),
                QF_MAX_KEY: values_now.max(),
                QF_MIN_KEY: values_now.min(),
                TD_ERROR_MEAN_KEY: td_errors.mean(),
            },
        )
        loss: Tensor = critic_loss + policy_loss + alpha_loss
        return loss

    def _continuous(
        self, module: Any, batch: Mapping[str, Any], fwd_out: Mapping[str, Any], alpha: Tensor, critics: Any
    ) -> tuple[Tensor, Tensor]:
        """The policy's soft value of each observation, and its entropy there, as one action that it draws says."""
        policy = module.get_train_action_dist_cls().from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        actions, logp = policy.rsample_and_logp()
        values = critics({Columns.OBS: batch[Columns.OBS], Columns.ACTIONS: actions})[QF_PREDS].amin(0)
        return values - alpha * logp, -logp

    def _discrete(
        self, module: Any, batch: Mapping[str, Any], fwd_out: Mapping[str, Any], alpha: Tensor, critics: Any
    ) -> tuple[Tensor, Tensor]:
        """The same, as all actions say by their probabilities."""
        policy = module.get_train_action_dist_cls().from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        values = critics(batch)[QF_PREDS].amin(0)
        entropy = policy.entropy()
        return (policy.probs * values).sum(-1) + alpha * entropy, entropy


class SAC(OffPolicyAlgorithm):
    """SAC. Made by `SACConfig().build_algo()`."""

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return SACConfig()

    def training_step(self) -> None:
        """Samples a fragment and keeps it; learns from a batch of what is kept. Before, actions are drawn from the action space."""
        for _ in range(self.sample_rounds):
            self.sample_and_store(random_actions=not self.may_learn)
        if self.may_learn:
            for _ in range(self.train_rounds):
                self.learn_from_buffer()
            self.hand_on_weights()
