"""Asynchronous proximal policy optimisation: Luo et al., "IMPACT: Importance Weighted Asynchronous Architectures with Clipped Target
Networks", 2020 (arXiv 1912.00167).

IMPALA's runners and learners, with PPO's clipping. Batches are used several times; what a policy must not move too far from is a target
network that follows it now and then, as each runner's policy is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.learning.batch_queue import BatchQueue, CircularBuffer
from shoal.rllib._internal.learning.chance import ALGORITHM, derived_seed
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.impala.impala import IMPALA, IMPALAConfig, IMPALALearner, in_a_row
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.rl_module.apis.target_network_api import TARGET_NETWORK_ACTION_DIST_INPUTS, TargetNetworkAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.utils.metrics import LAST_TARGET_UPDATE_TS, NUM_MODULE_STEPS_TRAINED_LIFETIME, NUM_TARGET_UPDATES
from shoal.rllib.utils.torch_utils import Followed

LEARNER_RESULTS_KL_KEY = "mean_kl_loss"
LEARNER_RESULTS_CURR_KL_COEFF_KEY = "curr_kl_coeff"
LEARNER_RESULTS_MEAN_IS_KEY = "mean_IS"
LEARNER_RESULTS_VAR_IS_KEY = "var_IS"


class APPOConfig(IMPALAConfig):
    """The configuration of APPO.

    Example:
        >>> from shoal.rllib.algorithms.appo import APPOConfig
        >>> config = APPOConfig().environment("CartPole-v1").training(lr=1e-3, clip_param=0.3)
        >>> algo = config.env_runners(num_env_runners=0).build_algo()
        >>> _ = algo.train()
        >>> algo.stop()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or APPO)
        self.use_gae = True
        self.lambda_ = 1.0
        self.clip_param = 0.4
        self.use_kl_loss = False
        self.kl_coeff = 1.0
        self.kl_target = 0.01
        self.target_network_update_freq: float = 2
        self.tau = 1.0
        self.target_worker_clipping = 2.0
        self.use_circular_buffer = True
        self.circular_buffer_num_batches = 8
        self.circular_buffer_iterations_per_batch = 2
        self.simple_queue_size = 32

    def training(
        self,
        *,
        use_gae: bool = UNSET,
        lambda_: float = UNSET,
        clip_param: float = UNSET,
        use_kl_loss: bool = UNSET,
        kl_coeff: float = UNSET,
        kl_target: float = UNSET,
        target_network_update_freq: float = UNSET,
        tau: float = UNSET,
        target_worker_clipping: float = UNSET,
        use_circular_buffer: bool = UNSET,
        circular_buffer_num_batches: int = UNSET,
        circular_buffer_iterations_per_batch: int = UNSET,
        simple_queue_size: int = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how APPO learns. What others have, too, is in `IMPALAConfig.training` and `AlgorithmConfig.training`.

        Args:
            use_gae: accepted for Ray's sake: advantages are V-trace's.
            lambda_: from 0 (advantages by the value function) to 1 (by returns).
            clip_param: how far the ratio of the policy's probabilities to the target's may move from 1 and still pay.
            use_kl_loss: whether the divergence from the target is part of the loss.
            kl_coeff: its first weight; it follows `kl_target` whenever the target is updated.
            kl_target: the divergence, in nats, that is aimed at.
            target_network_update_freq: how often the target follows: after so many times as many steps as a buffer full of batches
                has when each of them is used as often as may be (without the circular buffer: after so many batches).
            tau: how far it then goes: 1 copies.
            target_worker_clipping: how much likelier a runner's policy than the target may have been to do what it did, at most.
            use_circular_buffer: whether batches are used several times, the newest of them in an order of chance; otherwise each once.
            circular_buffer_num_batches: how many batches there are at most; the oldest makes room for a new one.
            circular_buffer_iterations_per_batch: how often each is used at most.
            simple_queue_size: batches that wait at most, without the circular buffer.
            **others: `IMPALAConfig.training`'s and `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_appo_rl_module import DefaultAPPORLModule

        return RLModuleSpec(module_class=DefaultAPPORLModule)

    def get_default_learner_class(self) -> type[Learner]:
        return APPOLearner

    @property
    def steps_between_target_updates(self) -> float:
        """How many steps a learner learns from between two updates of the target."""
        batches = self.circular_buffer_num_batches * self.circular_buffer_iterations_per_batch
        return (
            self.target_network_update_freq
            * self.train_batch_size_per_learner
            * (batches if self.use_circular_buffer else 1)
        )


class APPOLearner(IMPALALearner):
    """APPO's loss, and the target that follows."""

    def build(self) -> None:
        if self._is_built:
            return
        self.curr_kl_coeffs_per_module: dict[str, float] = {}
        self._followed: dict[str, list[Followed]] = {}
        self._last_target_update: dict[str, int] = {}
        super().build()

    def _start_module(self, module_id: str) -> None:
        super()._start_module(module_id)
        module: Any = self.module[module_id].unwrapped()
        if not isinstance(module, TargetNetworkAPI):
            return  # it is not trained: those that are have been checked
        config: Any = self.config_of(module_id)
        self.curr_kl_coeffs_per_module[module_id] = float(config.kl_coeff)
        module.make_target_networks()
        self._followed[module_id] = [Followed(main, target) for main, target in module.get_target_network_pairs()]
        self._last_target_update[module_id] = 0

    def remove_module(self, module_id: str, **kwargs: Any) -> Any:
        for own in (self.curr_kl_coeffs_per_module, self._followed, self._last_target_update):
            own.pop(module_id, None)
        return super().remove_module(module_id, **kwargs)

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [*super().rl_module_required_apis(), TargetNetworkAPI]

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        module: Any = self.module[module_id].unwrapped()
        kind: Any = module.get_train_action_dist_cls()
        steps = self.steps_of(module, batch, fwd_out)
        current = kind.from_logits(steps.dist_inputs)
        logp = current.logp(steps.actions)
        with torch.no_grad():
            outputs = module.forward_target(batch)[TARGET_NETWORK_ACTION_DIST_INPUTS]
            target = kind.from_logits(in_a_row(outputs, batch.get(Columns.LOSS_MASK)))
            target_logp = target.logp(steps.actions)
            corrected = self.corrected(steps, target_logp, config)
            worker_ratio = (steps.behaviour_logp - target_logp).exp().clamp(max=config.target_worker_clipping)
        # As the policy's probability over the target's, but for the clipping.
        ratio = worker_ratio * (logp - steps.behaviour_logp).exp()
        clipped = ratio.clamp(1 - config.clip_param, 1 + config.clip_param)
        policy_loss = -torch.minimum(corrected.advantages * ratio, corrected.advantages * clipped).mean()
        loss = self.total_loss(module_id, config, policy_loss, steps.values, corrected.value_targets, current)
        logged = {
            LEARNER_RESULTS_MEAN_IS_KEY: worker_ratio.mean(),
            LEARNER_RESULTS_VAR_IS_KEY: worker_ratio.var(correction=0),
        }
        if config.use_kl_loss:
            kl = target.kl(current).mean()
            loss = loss + self.curr_kl_coeffs_per_module[module_id] * kl
            logged[LEARNER_RESULTS_KL_KEY] = kl
        self.log_losses(module_id, logged)
        return loss

    # --- the target ---------------------------------------------------------------------------------------------------------------

    def after_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        for module_id, followed in self._followed.items():
            config: Any = self.config_of(module_id)
            trained = int(self.metrics.peek((module_id, NUM_MODULE_STEPS_TRAINED_LIFETIME), default=0))
            if trained - self._last_target_update[module_id] < config.steps_between_target_updates:
                continue
            if not self.should_module_be_updated(module_id):
                continue
            for pair in followed:
                pair.step(config.tau)
            self._last_target_update[module_id] = trained
            self.metrics.log_value((module_id, NUM_TARGET_UPDATES), 1, reduce="lifetime_sum")
            self.metrics.log_value((module_id, LAST_TARGET_UPDATE_TS), trained, window=1)
            if (kl := self._logged.get(module_id, {}).get(LEARNER_RESULTS_KL_KEY)) is not None:
                self._update_module_kl_coeff(module_id, float(kl.detach()))

    def _update_module_kl_coeff(self, module_id: str, kl: float) -> None:
        """Doubles or halves (roughly) the divergence's weight where it is far from its target."""
        wanted = float(self.config_of(module_id).get("kl_target"))
        if kl > 2.0 * wanted:
            self.curr_kl_coeffs_per_module[module_id] *= 1.5
        elif kl < 0.5 * wanted:
            self.curr_kl_coeffs_per_module[module_id] *= 0.5
        coefficient = self.curr_kl_coeffs_per_module[module_id]
        self.metrics.log_value((module_id, LEARNER_RESULTS_CURR_KL_COEFF_KEY), coefficient, window=1)

    def get_algorithm_state(self) -> dict[str, Any]:
        return {
            **super().get_algorithm_state(),
            "kl_coeffs": dict(self.curr_kl_coeffs_per_module),
            "last_target_update": dict(self._last_target_update),
        }

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        super().set_algorithm_state(state)
        self.curr_kl_coeffs_per_module.update(state["kl_coeffs"])
        self._last_target_update.update(state["last_target_update"])


class APPO(IMPALA):
    """APPO. Made by `APPOConfig().build_algo()`."""

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return APPOConfig()

    def make_queue(self, config: Any) -> BatchQueue:
        steps = config.total_train_batch_size
        if not config.use_circular_buffer:
            return BatchQueue(steps, config.simple_queue_size)
        return CircularBuffer(
            steps,
            config.circular_buffer_num_batches,
            config.circular_buffer_iterations_per_batch,
            derived_seed(config.seed, ALGORITHM),
        )
