"""Deep Q-learning, with what Rainbow puts together: Mnih et al., "Human-level control through deep reinforcement learning", 2015; Hessel
et al., "Rainbow: Combining Improvements in Deep Reinforcement Learning", 2018 (arXiv 1710.02298).

Sample a few steps with the actions that are valued best (and some at random) and keep them; learn from steps that are kept, most often from
those that were valued wrongly; once in a while have the target network, by which next steps are valued, follow. What is common to all
algorithms with a replay buffer is in `off_policy.py`.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch.nn import functional

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.numerics.distributional import project
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.off_policy import OffPolicyAlgorithm, OffPolicyConfig, OffPolicyLearner
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.rl_module.apis.q_net_api import QNetAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.core.rl_module.torch.default_q_rl_module import QF_LOGITS, QF_PREDS, QF_PROBS
from shoal.rllib.utils.error import ConfigError

QF_LOSS_KEY = "qf_loss"
QF_MEAN_KEY = "qf_mean"
QF_MAX_KEY = "qf_max"
QF_MIN_KEY = "qf_min"
TD_ERROR_MEAN_KEY = "td_error_mean"


class DQNConfig(OffPolicyConfig):
    """The configuration of DQN.

    Example:
        >>> from shoal.rllib.algorithms.dqn import DQNConfig
        >>> config = DQNConfig().environment("CartPole-v1").training(lr=1e-3, n_step=3)
        >>> algo = config.build_algo()
        >>> _ = algo.train()
        >>> algo.stop()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or DQN)
        self.lr = 5e-4
        self.grad_clip = 40.0
        self.train_batch_size = 32
        self.min_sample_timesteps_per_iteration = 1000
        self.target_network_update_freq = 500
        self.epsilon: Any = [[0, 1.0], [10_000, 0.05]]
        self.adam_epsilon = 1e-8
        self.num_atoms = 1
        self.v_min = -10.0
        self.v_max = 10.0
        self.noisy = False
        self.sigma0 = 0.5
        self.dueling = True
        self.double_q = True
        self.td_error_loss_fn = "huber"
        self.burn_in_len = 0

    def training(
        self,
        *,
        epsilon: Any = UNSET,
        adam_epsilon: float = UNSET,
        num_atoms: int = UNSET,
        v_min: float = UNSET,
        v_max: float = UNSET,
        noisy: bool = UNSET,
        sigma0: float = UNSET,
        dueling: bool = UNSET,
        double_q: bool = UNSET,
        td_error_loss_fn: str = UNSET,
        burn_in_len: int = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how DQN learns. What others have, too, is in `OffPolicyConfig.training` and `AlgorithmConfig.training`.

        Args:
            epsilon: the share of random actions, or a schedule.
            adam_epsilon: of Adam.
            num_atoms: how many points a distribution of returns has; 1 for a value alone.
            v_min: the first of these points.
            v_max: the last.
            noisy: explore by noise in the heads' weights, in place of `epsilon`.
            sigma0: that noise's first size.
            dueling: value and advantages have heads of their own.
            double_q: the network that learns chooses next actions, and the target network values them.
            td_error_loss_fn: 'huber' or 'mse'.
            burn_in_len: 0: modules have no memory.
            **others: `OffPolicyConfig.training`'s and `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        if self.td_error_loss_fn not in ("huber", "mse"):
            raise ConfigError(f"td_error_loss_fn is {self.td_error_loss_fn!r}; give 'huber' or 'mse'")
        if self.num_atoms > 1 and not self.v_min < self.v_max:
            raise ConfigError(f"v_min is {self.v_min!r} and v_max {self.v_max!r}; give a v_min below v_max")
        if self.burn_in_len:
            raise ConfigError(f"burn_in_len is {self.burn_in_len!r}, and there is no memory to burn in; leave it 0")

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_q_rl_module import DefaultQRLModule

        return RLModuleSpec(module_class=DefaultQRLModule)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = ("double_q", "dueling", "epsilon", "noisy", "num_atoms", "sigma0", "v_min", "v_max")
        return {**super()._model_config_auto_includes, **{name: getattr(self, name) for name in own}}

    def get_default_learner_class(self) -> type[Learner]:
        return DQNLearner


class DQNLearner(OffPolicyLearner):
    """DQN's loss."""

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [*super().rl_module_required_apis(), QNetAPI]

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        config = config or self.config_of(module_id)
        params = self.get_parameters(self.module[module_id])
        optimizer = self.adam(params, eps=config.adam_epsilon)
        self.register_optimizer(module_id=module_id, optimizer=optimizer, params=params, lr_or_lr_schedule=config.lr)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        module: Any = self.module[module_id].unwrapped()
        after = {Columns.OBS: batch[Columns.NEXT_OBS]}
        actions = batch[Columns.ACTIONS].long()
        values = fwd_out[QF_PREDS]
        with torch.no_grad():
            target = module.forward_target(after)
            by = module.compute_q_values(after)[QF_PREDS] if config.double_q else target[QF_PREDS]
            best = by.argmax(-1)
        chosen = values.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        discounts = self.discounts(batch, config)
        if config.num_atoms > 1:
            rows = torch.arange(len(actions), device=actions.device)
            with torch.no_grad():
                wanted = project(
                    target[QF_PROBS][rows, best],
                    batch[Columns.REWARDS],
                    discounts,
                    v_min=config.v_min,
                    v_max=config.v_max,
                )
            losses = -(wanted * functional.log_softmax(fwd_out[QF_LOGITS][rows, actions], -1)).sum(-1)
            td_errors = losses.detach()
        else:
            after_values = target[QF_PREDS].gather(-1, best.unsqueeze(-1)).squeeze(-1)
            wanted = batch[Columns.REWARDS] + discounts * after_values
            loss_function: Any = functional.huber_loss if config.td_error_loss_fn == "huber" else functional.mse_loss
            losses = loss_function(chosen, wanted, reduction="none")
            td_errors = (chosen.detach() - wanted).abs()
        loss: torch.Tensor = (batch["weights"] * losses).mean()
        self.log_td_errors(module_id, td_errors)
        self.log_losses(
            module_id,
            {
                QF_LOSS_KEY: loss,
                QF_MEAN_KEY: chosen.detach().mean(),
                QF_MAX_KEY: values.detach().max(),
                QF_MIN_KEY: values.detach().min(),
                TD_ERROR_MEAN_KEY: td_errors.mean(),
            },
        )
        return loss


class DQN(OffPolicyAlgorithm):
    """DQN. Made by `DQNConfig().build_algo()`."""

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return DQNConfig()

    def training_step(self) -> None:
        """Samples a fragment and keeps it; learns from a batch of what is kept. Several times, where `training_intensity` asks for it."""
        for _ in range(self.sample_rounds):
            self.sample_and_store()
        if self.may_learn:
            for _ in range(self.train_rounds):
                self.learn_from_buffer()
            self.hand_on_weights()
