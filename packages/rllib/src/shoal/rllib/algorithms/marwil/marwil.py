"""Monotonic advantage re-weighted imitation learning: Wang et al., "Exponentially Weighted Imitation Learning for Batched Historical
Data", NeurIPS 2018.

Imitate what was recorded, the more so the better it turned out: each action's likelihood is weighted by the exponential of its advantage,
which is what followed it, less what the value function expected. `beta` 0 is plain imitation (`bc.py`). Passes over the data, and what is
common to all algorithms that learn from recorded data, are in `offline.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.learning.episode_batch import EpisodeBatch
from shoal.rllib._internal.learning.state_values import values_of
from shoal.rllib._internal.numerics.gae import generalized_advantages
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.offline import OfflineAlgorithm, check_offline
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.learner.torch.torch_learner import TorchLearner
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.torch_utils import explained_variance

POLICY_LOSS_KEY = "policy_loss"
LEARNER_RESULTS_MOVING_AVG_SQD_ADV_NORM_KEY = "moving_avg_sqd_adv_norm"
LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY = "vf_explained_variance"


class MARWILConfig(AlgorithmConfig):
    """The configuration of MARWIL.

    Example:
        >>> from shoal.rllib.algorithms.marwil import MARWILConfig
        >>> config = MARWILConfig().environment("CartPole-v1").offline_data(input_="/tmp/cartpole").training(beta=1.0, lr=1e-3)
        >>> config.beta
        1.0
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or MARWIL)
        self.lr = 1e-4
        self.train_batch_size = 2000
        self.lambda_ = 1.0
        self.beta = 1.0
        self.bc_logstd_coeff = 0.0
        self.vf_coeff = 1.0
        self.moving_average_sqd_adv_norm_update_rate = 1e-8
        self.moving_average_sqd_adv_norm_start = 100.0

    def training(
        self,
        *,
        beta: float = UNSET,
        lambda_: float = UNSET,
        bc_logstd_coeff: float = UNSET,
        vf_coeff: float = UNSET,
        moving_average_sqd_adv_norm_update_rate: float = UNSET,
        moving_average_sqd_adv_norm_start: float = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how MARWIL learns. What all algorithms have is in `AlgorithmConfig.training`.

        Args:
            beta: how much more actions count that turned out well; 0 imitates all of them alike.
            lambda_: from 0 (advantages by the value function) to 1 (by returns).
            bc_logstd_coeff: how much wide Gaussians are favoured.
            vf_coeff: weight of the value function's loss.
            moving_average_sqd_adv_norm_update_rate: how fast the average of squared advantages follows them; advantages are divided by its
                root.
            moving_average_sqd_adv_norm_start: its first value.
            **others: `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        check_offline(self)
        if not self.beta >= 0:
            raise ConfigError(f"beta is {self.beta!r}; give a number >= 0")
        if not self.moving_average_sqd_adv_norm_start >= 0:
            raise ConfigError(
                f"moving_average_sqd_adv_norm_start is {self.moving_average_sqd_adv_norm_start!r}; give a number >= 0"
            )

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """The columns that recorded rows have to have."""
        return (Columns.OBS, Columns.ACTIONS, Columns.REWARDS, Columns.TERMINATEDS)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule

        return RLModuleSpec(module_class=DefaultActorCriticRLModule)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        # Returns are far larger than log-likelihoods: in shared layers the value function's loss drowns the policy's.
        return {**super()._model_config_auto_includes, "vf_share_layers": False}

    def get_default_learner_class(self) -> type[Learner]:
        return MARWILLearner


class MARWILLearner(TorchLearner):
    """MARWIL's loss, and the targets of values that it needs of episodes."""

    recorded_outputs = ()

    def build(self) -> None:
        if self._is_built:
            return
        super().build()
        self.moving_avg_sqd_adv_norms_per_module: dict[str, torch.Tensor] = {}
        for module_id in self.module:
            refuse_memory(self.module[module_id])
            start = float(self.config_of(module_id).get("moving_average_sqd_adv_norm_start"))
            self.moving_avg_sqd_adv_norms_per_module[module_id] = torch.tensor(start, device=self.device)

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [ValueFunctionAPI]

    def prepare_batch(self, module_id: str, batch: EpisodeBatch) -> Batch:
        """Adds what values should be: discounted rewards to the episode's end, and the value of where it was cut."""
        config: Any = self.config_of(module_id)
        module: Any = self.module[module_id].unwrapped()
        with torch.no_grad():
            values = values_of(module, {Columns.OBS: batch.observations})
        _, batch.columns[Columns.VALUE_TARGETS] = generalized_advantages(
            rewards=batch.columns[Columns.REWARDS],
            values=values[batch.step_rows],
            bootstrap_values=values[batch.last_rows] * ~batch.terminated,
            lengths=batch.lengths,
            gamma=config.gamma,
            lambda_=config.lambda_,
        )
        return batch.columns

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        module: Any = self.module[module_id].unwrapped()
        policy = module.get_train_action_dist_cls().from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        logp = policy.logp(batch[Columns.ACTIONS])
        if config.bc_logstd_coeff and hasattr(policy, "scale"):
            logp = logp + config.bc_logstd_coeff * policy.scale.log().flatten(1).sum(-1)
        if config.beta == 0:
            imitation: torch.Tensor = -logp.mean()
            self.log_losses(module_id, {POLICY_LOSS_KEY: imitation})
            return imitation

        values = values_of(module, batch, embeddings=fwd_out.get(Columns.EMBEDDINGS))
        advantages = batch[Columns.VALUE_TARGETS] - values
        squared = advantages.square().mean()
        vf_loss = 0.5 * squared
        with torch.no_grad():
            norm = self.moving_avg_sqd_adv_norms_per_module[module_id]
            norm += config.moving_average_sqd_adv_norm_update_rate * (squared - norm)
            weights = torch.exp(config.beta * advantages / (1e-8 + norm.sqrt()))
            explained = explained_variance(batch[Columns.VALUE_TARGETS], values)
        policy_loss = -(weights * logp).mean()
        self.log_losses(
            module_id,
            {
                POLICY_LOSS_KEY: policy_loss,
                "vf_loss": vf_loss,
                LEARNER_RESULTS_MOVING_AVG_SQD_ADV_NORM_KEY: norm.clone(),
                LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY: explained,
            },
        )
        loss: torch.Tensor = policy_loss + config.vf_coeff * vf_loss
        return loss

    def get_algorithm_state(self) -> dict[str, Any]:
        norms = self.moving_avg_sqd_adv_norms_per_module
        return {"sqd_adv_norms": {module_id: float(norm) for module_id, norm in norms.items()}}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        for module_id, norm in state["sqd_adv_norms"].items():
            self.moving_avg_sqd_adv_norms_per_module[module_id] = torch.tensor(norm, device=self.device)


def refuse_memory(module: Any) -> None:
    """Raises ConfigError where a module has a memory: what it remembered was not recorded."""
    inner = module.unwrapped()
    if inner.is_stateful():
        raise ConfigError(
            f"{type(inner).__name__} has a memory (use_lstm), and recorded steps are learned from one by one; leave use_lstm False, and "
            "stack observations by the connectors FrameStackingEnvToModule and FrameStackingLearner"
        )


class MARWIL(OfflineAlgorithm):
    """MARWIL. Made by `MARWILConfig().build_algo()`."""

    learns_from_episodes = True

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return MARWILConfig()
