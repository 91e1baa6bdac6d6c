"""Proximal policy optimisation: Schulman et al., "Proximal Policy Optimization Algorithms", 2017 (arXiv 1707.06347).

Sample a batch with the current policy; estimate advantages; go through the batch several times in minibatches, with steps that stop paying
once the policy has moved too far from the one that sampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.learning.episode_batch import EpisodeBatch, take_rows
from shoal.rllib._internal.learning.sequences import sequences_of
from shoal.rllib._internal.learning.state_values import values_of
from shoal.rllib._internal.numerics.gae import generalized_advantages
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.learner.torch.torch_learner import TorchLearner
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME
from shoal.rllib.utils.schedules.scheduler import Scheduler
from shoal.rllib.utils.torch_utils import explained_variance

LEARNER_RESULTS_KL_KEY = "mean_kl_loss"
LEARNER_RESULTS_CURR_KL_COEFF_KEY = "curr_kl_coeff"
LEARNER_RESULTS_CURR_ENTROPY_COEFF_KEY = "curr_entropy_coeff"
LEARNER_RESULTS_VF_LOSS_UNCLIPPED_KEY = "vf_loss_unclipped"
LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY = "vf_explained_var"


class PPOConfig(AlgorithmConfig):
    """The configuration of PPO.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> config = PPOConfig().environment("CartPole-v1").training(lr=3e-4, num_epochs=10)
        >>> algo = config.env_runners(num_env_runners=0).build_algo()
        >>> _ = algo.train()
        >>> algo.stop()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or PPO)
        self.lr = 5e-5
        self.train_batch_size = 4000
        self.minibatch_size = 128
        self.num_epochs = 30
        self.shuffle_batch_per_epoch = True
        self.num_env_runners = 2
        self.rollout_fragment_length = "auto"
        self.use_critic = True
        self.use_gae = True
        self.lambda_ = 1.0
        self.use_kl_loss = True
        self.kl_coeff = 0.2
        self.kl_target = 0.01
        self.vf_loss_coeff = 1.0
        self.entropy_coeff: Any = 0.0
        self.clip_param = 0.3
        self.vf_clip_param = 10.0

    def training(
        self,
        *,
        use_critic: bool = UNSET,
        use_gae: bool = UNSET,
        lambda_: float = UNSET,
        use_kl_loss: bool = UNSET,
        kl_coeff: float = UNSET,
        kl_target: float = UNSET,
        vf_loss_coeff: float = UNSET,
        entropy_coeff: Any = UNSET,
        clip_param: float = UNSET,
        vf_clip_param: float = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how PPO learns. What all algorithms have is in `AlgorithmConfig.training`.

        Args:
            use_critic: whether there is a value function.
            use_gae: whether advantages are estimated by it (GAE).
            lambda_: from 0 (advantages by the value function) to 1 (by returns).
            use_kl_loss: whether the divergence from the sampling policy is part of the loss.
            kl_coeff: its first weight; it follows `kl_target`.
            kl_target: the divergence, in nats, that is aimed at.
            vf_loss_coeff: weight of the value function's loss.
            entropy_coeff: weight of the entropy, or a schedule.
            clip_param: how far the ratio of probabilities may move from 1 and still pay.
            vf_clip_param: largest loss of a value.
            **others: `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule

        return RLModuleSpec(module_class=DefaultActorCriticRLModule)

    def get_default_learner_class(self) -> type[Learner]:
        return PPOLearner

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {**super()._model_config_auto_includes, "vf_share_layers": False}

    def _validate_batch(self) -> None:
        if self.rollout_fragment_length == "auto" or self.batch_mode == "complete_episodes" or self.in_evaluation:
            return
        lanes = self.num_envs_per_env_runner * max(self.num_env_runners, 1)
        if int(self.rollout_fragment_length) * lanes > self.total_train_batch_size:
            raise ConfigError(
                f"rollout_fragment_length is {self.rollout_fragment_length}, so {lanes} environments make "
                f"{int(self.rollout_fragment_length) * lanes} steps, more than the batch of {self.total_train_batch_size}; use 'auto', "
                "or a larger train_batch_size_per_learner"
            )


class PPOLearner(TorchLearner):
    """PPO's loss, and what it needs of episodes: advantages and targets of values."""

    recorded_outputs = (Columns.ACTION_LOGP, Columns.ACTION_DIST_INPUTS)

    def build(self) -> None:
        if self._is_built:
            return
        super().build()
        self.curr_kl_coeffs_per_module: dict[str, float] = {}
        self.entropy_coeff_schedulers_per_module: dict[str, Scheduler] = {}
        for module_id in self.module:
            self._start_coefficients(module_id)

    def _start_coefficients(self, module_id: str) -> None:
        config: Any = self.config_of(module_id)
        self.curr_kl_coeffs_per_module[module_id] = float(config.kl_coeff)
        self.entropy_coeff_schedulers_per_module[module_id] = Scheduler(config.entropy_coeff, framework=None)

    def add_module(self, *, module_id: str, **kwargs: Any) -> Any:
        spec = super().add_module(module_id=module_id, **kwargs)
        self._start_coefficients(module_id)
        return spec

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [ValueFunctionAPI]

    # --- the batch ----------------------------------------------------------------------------------------------------------------

    def prepare_batch(self, module_id: str, batch: EpisodeBatch) -> Batch:
        """Adds advantages and value targets, of values as the critic has them before the update."""
        config: Any = self.config_of(module_id)
        module: Any = self.module[module_id].unwrapped()
        if module.is_stateful():
            return self._prepare_sequences(module, batch, config)
        inputs = {Columns.OBS: batch.observations}
        with torch.no_grad():
            values = values_of(module, inputs)
        self._add_advantages(batch, values[batch.step_rows], values[batch.last_rows], config)
        # Modules may take observations apart there, and go by the parts when they are trained.
        if inputs.keys() != {Columns.OBS} or inputs[Columns.OBS] is not batch.observations:
            batch.columns.update({name: take_rows(column, batch.step_rows) for name, column in inputs.items()})
        return batch.columns

    def _prepare_sequences(self, module: Any, batch: EpisodeBatch, config: Any) -> Batch:
        """The same for a module with a memory: steps become sequences."""
        from shoal.rllib._internal.learning.episode_batch import batch_of

        whole = batch_of(batch.episodes, self.device, extras=[*(self.recorded_outputs or ()), Columns.STATE_OUT])
        whole.columns.update(batch.columns)
        longest = int(module.model_config.get("max_seq_len", 20))
        sequences = sequences_of(whole, module.get_initial_state(), longest)
        after = {
            Columns.OBS: take_rows(whole.observations, whole.last_rows),
            Columns.STATE_IN: take_rows(whole.columns[Columns.STATE_OUT], torch.cumsum(whole.lengths, 0) - 1),
        }
        after[Columns.OBS] = _with_time_axis(after[Columns.OBS])
        inputs = {Columns.OBS: sequences.pad(whole.columns[Columns.OBS]), Columns.STATE_IN: sequences.state_in}
        with torch.no_grad():
            values = sequences.flatten(values_of(module, inputs))
            bootstrap = values_of(module, after).squeeze(1)
        self._add_advantages(whole, values, bootstrap, config)
        del whole.columns[Columns.STATE_OUT]
        columns = {name: sequences.pad(column) for name, column in whole.columns.items()}
        columns[Columns.STATE_IN] = sequences.state_in
        columns[Columns.LOSS_MASK] = sequences.mask
        return columns

    def _add_advantages(self, batch: EpisodeBatch, values: torch.Tensor, bootstrap: torch.Tensor, config: Any) -> None:
        lambda_ = config.lambda_ if config.use_gae else 1.0
        baseline = values if config.use_critic else torch.zeros_like(values)
        advantages, targets = generalized_advantages(
            rewards=batch.columns[Columns.REWARDS],
            values=baseline,
            bootstrap_values=bootstrap * ~batch.terminated,
            lengths=batch.lengths,
            gamma=config.gamma,
            lambda_=lambda_,
        )
        batch.columns[Columns.VALUE_TARGETS] = targets
        batch.columns[Columns.ADVANTAGES] = (advantages - advantages.mean()) / advantages.std(correction=0).clamp(
            min=1e-4
        )

    # --- the loss -----------------------------------------------------------------------------------------------------------------

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        module: Any = self.module[module_id].unwrapped()
        mask = batch.get(Columns.LOSS_MASK)
        kind: Any = module.get_train_action_dist_cls()
        current = kind.from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        ratio = torch.exp(current.logp(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP])
        advantages = batch[Columns.ADVANTAGES]
        # The same as the advantages times the clipped ratio, wherever that is the lesser one; and it needs no gradient.
        clipped = advantages + config.clip_param * advantages.abs()
        policy_loss = -_mean(torch.minimum(advantages * ratio, clipped), mask)
        loss = policy_loss
        logged: dict[str, Any] = {"policy_loss": policy_loss}

        if config.use_critic:
            values = values_of(module, batch, embeddings=fwd_out.get(Columns.EMBEDDINGS))
            squared = (values - batch[Columns.VALUE_TARGETS]).square()
            bounded = squared if config.vf_clip_param == math.inf else squared.clamp(max=config.vf_clip_param)
            vf_loss = _mean(bounded, mask)
            loss = loss + config.vf_loss_coeff * vf_loss
            logged["vf_loss"] = vf_loss
            logged[LEARNER_RESULTS_VF_LOSS_UNCLIPPED_KEY] = squared
            logged[LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY] = (batch[Columns.VALUE_TARGETS], values)

        entropy_coeff = self.entropy_coeff_schedulers_per_module[module_id].get_current_value()
        if entropy_coeff:
            entropy = _mean(current.entropy(), mask)
            loss = loss - entropy_coeff * entropy
            logged["entropy"] = entropy
        else:
            logged["entropy"] = current

        if config.use_kl_loss:
            sampled_by = kind.from_logits(batch[Columns.ACTION_DIST_INPUTS])
            kl = _mean(sampled_by.kl(current), mask)
            loss = loss + self.curr_kl_coeffs_per_module[module_id] * kl
            logged[LEARNER_RESULTS_KL_KEY] = kl
        logged[Columns.LOSS_MASK] = mask
        self.log_losses(module_id, logged)
        return loss

    # --- around an update ---------------------------------------------------------------------------------------------------------

    def before_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().before_gradient_based_update(timesteps=timesteps)
        for module_id, schedule in self.entropy_coeff_schedulers_per_module.items():
            schedule.update(timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0))
            if self.should_module_be_updated(module_id):
                value = float(schedule.get_current_value())
                self.metrics.log_value((module_id, LEARNER_RESULTS_CURR_ENTROPY_COEFF_KEY), value, window=1)

    def after_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        for module_id, logged in self._logged.items():
            self._read_out(logged)
            if LEARNER_RESULTS_KL_KEY in logged:
                self._update_module_kl_coeff(module_id, float(logged[LEARNER_RESULTS_KL_KEY].detach()))

    def _read_out(self, logged: dict[str, Any]) -> None:
        """Works out what only the last minibatch is asked for."""
        mask = logged.pop(Columns.LOSS_MASK, None)
        with torch.no_grad():
            if LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY in logged:
                targets, values = (
                    of if mask is None else of[mask] for of in logged[LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY]
                )
                logged[LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY] = explained_variance(targets.flatten(), values.flatten())
                logged[LEARNER_RESULTS_VF_LOSS_UNCLIPPED_KEY] = _mean(
                    logged[LEARNER_RESULTS_VF_LOSS_UNCLIPPED_KEY], mask
                )
            if not isinstance(logged.get("entropy", 0.0), float | torch.Tensor):
                logged["entropy"] = _mean(logged["entropy"].entropy(), mask)

    def _update_module_kl_coeff(self, module_id: str, kl: float) -> None:
        """Doubles or halves (roughly) the divergence's weight where it is far from its target."""
        target = float(self.config_of(module_id).get("kl_target"))
        if kl > 2.0 * target:
            self.curr_kl_coeffs_per_module[module_id] *= 1.5
        elif kl < 0.5 * target:
            self.curr_kl_coeffs_per_module[module_id] *= 0.5
        coefficient = self.curr_kl_coeffs_per_module[module_id]
        self.metrics.log_value((module_id, LEARNER_RESULTS_CURR_KL_COEFF_KEY), coefficient, window=1)

    def get_algorithm_state(self) -> dict[str, Any]:
        return {"kl_coeffs": dict(self.curr_kl_coeffs_per_module)}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        self.curr_kl_coeffs_per_module.update(state["kl_coeffs"])


def _mean(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    return values.mean() if mask is None else values[mask].mean()


def _with_time_axis(tree: Any) -> Any:
    from shoal.rllib._internal.nested import map_leaves

    return map_leaves(lambda leaf: leaf.unsqueeze(1), tree)


class PPO(Algorithm):
    """PPO. Made by `PPOConfig().build_algo()`."""

    @classmethod
    def get_default_config(cls) -> PPOConfig:
        return PPOConfig()

    def training_step(self) -> None:
        """Samples a batch, learns from it, and has the runners go by the new weights."""
        episodes = self.sample_batch(self.config.total_train_batch_size)
        with self.learner_timer():
            results = self.learner_group.update(
                episodes=episodes,
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_steps_sampled},
                num_epochs=self.config.num_epochs,
                minibatch_size=self.config.minibatch_size,
                shuffle_batch_per_epoch=self.config.shuffle_batch_per_epoch,
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.sync_weights()
