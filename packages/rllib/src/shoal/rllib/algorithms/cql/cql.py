"""Conservative Q-learning: Kumar et al., "Conservative Q-Learning for Offline Reinforcement Learning", NeurIPS 2020 (arXiv 2006.04779).

SAC on recorded data, with critics that are held down: values of actions that nobody has tried are pushed below those of recorded ones, so
the policy is not drawn to where critics are wrong. Before that, for `bc_iters` updates, the policy imitates. What it takes over of SAC is
in `sac.py`; passes over the data are in `offline.py`.
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
from shoal.rllib.algorithms.offline import OfflineAlgorithm, OfflineTransitionsLearner, check_offline
from shoal.rllib.algorithms.sac.sac import (
    LOGPS_KEY,
    POLICY_LOSS_KEY,
    QF_LOSS_KEY,
    QF_MAX_KEY,
    QF_MEAN_KEY,
    QF_MIN_KEY,
    TD_ERROR_MEAN_KEY,
    SACConfig,
    SACLearner,
)
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.rl_module.torch.default_sac_rl_module import QF_PREDS
from shoal.rllib.utils.error import ConfigError

CQL_LOSS_KEY = "cql_loss"


class CQLConfig(SACConfig):
    """The configuration of CQL.

    Example:
        >>> from shoal.rllib.algorithms.cql import CQLConfig
        >>> config = CQLConfig().environment("Pendulum-v1").offline_data(input_="/tmp/pendulum").training(bc_iters=0, min_q_weight=5.0)
        >>> config.num_actions
        10
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or CQL)
        self.num_steps_sampled_before_learning_starts = 0
        self.min_time_s_per_iteration = None
        self.min_sample_timesteps_per_iteration = 0
        self.bc_iters = 20_000
        self.temperature = 1.0
        self.num_actions = 10
        self.lagrangian = False
        self.lagrangian_thresh = 5.0
        self.min_q_weight = 5.0
        self.deterministic_backup = True

    def training(
        self,
        *,
        bc_iters: int = UNSET,
        temperature: float = UNSET,
        num_actions: int = UNSET,
        lagrangian: bool = UNSET,
        lagrangian_thresh: float = UNSET,
        min_q_weight: float = UNSET,
        deterministic_backup: bool = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how CQL learns. What SAC has, too, is in `SACConfig.training`.

        Args:
            bc_iters: for how many updates, at first, the policy imitates instead of going by the critics.
            temperature: how soft the maximum over actions is, > 0.
            num_actions: actions that are drawn for each observation, from each of three distributions (Box actions; Discrete ones are all
                looked at).
            lagrangian: whether the weight of the conservative part follows `lagrangian_thresh`.
            lagrangian_thresh: how far values of untried actions may stand above recorded ones.
            min_q_weight: the weight of the conservative part.
            deterministic_backup: whether targets leave the policy's entropy out.
            **others: `SACConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        check_offline(self)
        for name in ("bc_iters", "min_q_weight"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; give a number >= 0")
        if not self.temperature > 0:
            raise ConfigError(f"temperature is {self.temperature!r}; give a number > 0")
        if not (isinstance(self.num_actions, int) and self.num_actions >= 1):
            raise ConfigError(f"num_actions is {self.num_actions!r}; give a whole number >= 1")
        if not isinstance(self.n_step, int):
            raise ConfigError(f"n_step is {self.n_step!r}; give a whole number >= 1")
        if self.n_step > 1 and self.learner_connector is not None:
            raise ConfigError(
                f"n_step is {self.n_step}, and learner connectors see single steps; leave n_step 1, or learner_connector None"
            )

    def get_default_learner_class(self) -> type[Learner]:
        return CQLLearner


class CQLLearner(OfflineTransitionsLearner, SACLearner):
    """CQL's losses: of the critics, the policy, the temperature, and (with `lagrangian`) the weight of the conservative part."""

    def build(self) -> None:
        if self._is_built:
            return
        self._updates: dict[str, int] = {}
        self._log_weights: dict[str, torch.nn.Parameter] = {}
        super().build()

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        super().configure_optimizers_for_module(module_id, config)
        config = config or self.config_of(module_id)
        if config.lagrangian:
            weight = torch.nn.Parameter(torch.zeros((), device=self.device))
            self._log_weights[module_id] = weight
            self.register_optimizer(
                module_id=module_id,
                optimizer_name="alpha_prime",
                optimizer=self.adam([weight]),
                params=[weight],
                lr_or_lr_schedule=config.alpha_lr,
            )

    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]) -> Tensor:
        module: Any = self.module[module_id].unwrapped()
        kind = module.get_train_action_dist_cls()
        alpha = module.log_alpha.detach().exp()
        soft_values = self._discrete if module.is_discrete else self._continuous
        after = {Columns.OBS: batch[Columns.NEXT_OBS]}
        with torch.no_grad():
            fwd_after = module.forward_train(after)
            values_after, entropy_after = soft_values(module, after, fwd_after, alpha, module.forward_target)
            if config.deterministic_backup:
                values_after = values_after - alpha * entropy_after
            wanted = batch[Columns.REWARDS] + self.discounts(batch, config) * values_after

        of_all = module.compute_q_values(batch)[QF_PREDS]
        every = of_all
        if module.is_discrete:
            chosen = batch[Columns.ACTIONS].long()[None, :, None].expand(len(of_all), -1, 1)
            every = of_all.gather(-1, chosen).squeeze(-1)
        apart = every - wanted
        critic_loss = apart.square().mean(-1).sum()

        if not module.is_discrete:
            of_all = self._values_of_draws(module, batch, kind, fwd_out, fwd_after, config)
        soft_max = config.temperature * torch.logsumexp(of_all / config.temperature, -1)
        above = config.min_q_weight * (soft_max - every).mean(-1)
        cql_loss, weight_loss = self._weighted(module_id, above, config)

        policy = kind.from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
        self._updates[module_id] = self._updates.get(module_id, 0) + 1
        if self._updates[module_id] <= config.bc_iters:
            entropy = policy.entropy() if module.is_discrete else -policy.rsample_and_logp()[1]
            policy_loss = -(alpha * entropy + policy.logp(batch[Columns.ACTIONS])).mean()
        else:
            with module.critics_as_they_are():
                values, entropy = soft_values(module, batch, fwd_out, alpha, module.compute_q_values)
            policy_loss = -values.mean()
        alpha_loss = module.log_alpha * (entropy.detach().mean() - self.target_entropy(module_id))

        values_now = every.detach()
        self.log_losses(
            module_id,
            {
                POLICY_LOSS_KEY: policy_loss,
                QF_LOSS_KEY: critic_loss,
                CQL_LOSS_KEY: cql_loss,
                "alpha_loss": alpha_loss,
                "alpha_value": alpha,
                LOGPS_KEY: -entropy.detach().mean(),
                QF_MEAN_KEY: values_now.mean(),
                QF_MAX_KEY: values_now.max(),
                QF_MIN_KEY: values_now.min(),
                TD_ERROR_MEAN_KEY: apart.detach().abs().mean(),
            },
        )
        loss: Tensor = critic_loss + cql_loss + weight_loss + policy_loss + alpha_loss
        return loss

    def _values_of_draws(
        self,
        module: Any,
        batch: Batch,
        kind: Any,
        fwd_out: Mapping[str, Any],
        fwd_after: Mapping[str, Any],
        config: Any,
    ) -> Tensor:
        """Values of actions drawn evenly, by the policy, and by the policy as it acts a step later, less their log-densities: the
        logarithm of their mean exponential estimates that over all actions. Shape (critics, B, 3 draws)."""
        draws, shape = config.num_actions, batch[Columns.ACTIONS].shape
        with torch.no_grad():
            evenly = torch.rand(draws, *shape, device=self.device) * 2 - 1
            even = torch.full((draws, shape[0]), -math.prod(shape[1:]) * math.log(2.0), device=self.device)
            now, logp = kind.from_logits(fwd_out[Columns.ACTION_DIST_INPUTS]).sample_and_logp(sample_shape=(draws,))
            later, logp_later = kind.from_logits(fwd_after[Columns.ACTION_DIST_INPUTS]).sample_and_logp(
                sample_shape=(draws,)
            )
            actions = torch.cat([evenly, now, later])
            densities = torch.cat([even, logp, logp_later])

        def repeated(observations: Any) -> Any:
            if isinstance(observations, Tensor):
                return observations.expand(len(actions), *observations.shape).flatten(0, 1)
            from shoal.rllib._internal.nested import map_leaves

            return map_leaves(repeated, observations)

        inputs = {Columns.OBS: repeated(batch[Columns.OBS]), Columns.ACTIONS: actions.flatten(0, 1)}
        values: Tensor = module.compute_q_values(inputs)[QF_PREDS]
        return (values.view(len(values), *actions.shape[:2]) - densities).transpose(1, 2)

    def _weighted(self, module_id: str, above: Tensor, config: Any) -> tuple[Tensor, Tensor]:
        """The conservative part of the critics' loss, and the loss of its weight, where that follows a threshold."""
        if not config.lagrangian:
            return above.sum(), above.new_zeros(())
        weight = self._log_weights[module_id].exp().clamp(max=1e6)
        surplus = above - config.lagrangian_thresh
        self.log_losses(module_id, {"alpha_prime_value": weight.detach()})
        return (weight.detach() * surplus).sum(), -0.5 * (weight * surplus.detach()).sum()

    def get_algorithm_state(self) -> dict[str, Any]:
        weights = {module_id: float(weight.detach()) for module_id, weight in self._log_weights.items()}
        return {**super().get_algorithm_state(), "updates": dict(self._updates), "log_weights": weights}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        super().set_algorithm_state(state)
        self._updates = dict(state["updates"])
        with torch.no_grad():
            for module_id, weight in self._log_weights.items():
                weight.fill_(state["log_weights"][module_id])


class CQL(OfflineAlgorithm):
    """CQL. Made by `CQLConfig().build_algo()`."""

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return CQLConfig()
