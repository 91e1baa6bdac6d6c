"""Importance weighted actor-learner architectures: Espeholt et al., "IMPALA: Scalable Distributed Deep-RL with Importance Weighted
Actor-Learner Architectures", 2018 (arXiv 1802.01561).

Runners sample without a pause, each at its own pace and with weights that are a little old; learners take what has arrived, a batch at a
time, and V-trace corrects for what the policy has become since.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.learning.batch_queue import BatchQueue
from shoal.rllib._internal.learning.episode_batch import EpisodeBatch, batch_of, take_rows
from shoal.rllib._internal.learning.sequences import sequences_of
from shoal.rllib._internal.learning.state_values import values_of
from shoal.rllib._internal.nested import map_leaves
from shoal.rllib._internal.numerics.vtrace import VTrace, vtrace
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.core import ALL_MODULES
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch, Learner
from shoal.rllib.core.learner.torch.torch_learner import TorchLearner
from shoal.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import (
    DIFF_NUM_GRAD_UPDATES_VS_SAMPLER_POLICY,
    LEARNER_GROUP,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from shoal.rllib.utils.schedules.scheduler import Scheduler

CHUNK_ENDS = "chunk_ends"
"""The column that says which steps are the last of a chunk: of an episode, or of what was sampled of it."""
LEARNER_RESULTS_CURR_ENTROPY_COEFF_KEY = "curr_entropy_coeff"


class IMPALAConfig(AlgorithmConfig):
    """The configuration of IMPALA.

    An iteration is as many training steps (of a batch each) as it takes to sample `min_sample_timesteps_per_iteration` = 5,000 steps.

    Example:
        >>> from shoal.rllib.algorithms.impala import IMPALAConfig
        >>> config = IMPALAConfig().environment("CartPole-v1").training(lr=1e-3, vf_loss_coeff=0.25)
        >>> algo = config.env_runners(num_env_runners=0).build_algo()
        >>> _ = algo.train()
        >>> algo.stop()
    """

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class or IMPALA)
        self.lr = 5e-4
        self.train_batch_size = 500
        self.rollout_fragment_length = 50
        self.num_env_runners = 2
        self.grad_clip = 40.0
        self.min_sample_timesteps_per_iteration = 5000
        self.vtrace = True
        self.vtrace_clip_rho_threshold = 1.0
        self.vtrace_clip_pg_rho_threshold = 1.0
        self.vf_loss_coeff = 0.5
        self.entropy_coeff: Any = 0.01
        self.learner_queue_size = 3
        self.broadcast_interval = 1

    def training(
        self,
        *,
        vtrace: bool = UNSET,
        vtrace_clip_rho_threshold: float = UNSET,
        vtrace_clip_pg_rho_threshold: float = UNSET,
        vf_loss_coeff: float = UNSET,
        entropy_coeff: Any = UNSET,
        learner_queue_size: int = UNSET,
        broadcast_interval: int = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how IMPALA learns. What all algorithms have is in `AlgorithmConfig.training`.

        Args:
            vtrace: True: there is no IMPALA without it.
            vtrace_clip_rho_threshold: how much an action that has become likelier counts for values, at most.
            vtrace_clip_pg_rho_threshold: the same for the policy's gradient.
            vf_loss_coeff: weight of the value function's loss.
            entropy_coeff: weight of the entropy, or a schedule.
            learner_queue_size: batches that wait for the learners at most; where there are as many, runners are asked for no more, so that
                nothing that was sampled is lost.
            broadcast_interval: updates between two times that runners are given the weights.
            **others: `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        if not self.vtrace:
            raise ConfigError(
                f"vtrace is {self.vtrace!r}, and {type(self).__name__} learns by V-trace; leave it True, or use PPO"
            )
        if self.shuffle_batch_per_epoch:
            raise ConfigError(
                "shuffle_batch_per_epoch is True, and V-trace goes from each step to the next: minibatches keep their order; leave it False"
            )

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule

        return RLModuleSpec(module_class=DefaultActorCriticRLModule)

    def get_default_learner_class(self) -> type[Learner]:
        return IMPALALearner


@dataclass
class Steps:
    """What the loss looks at: steps of several chunks, one after the other.

    Attributes:
        dist_inputs: the policy's outputs.
        actions: what was done.
        behaviour_logp: how likely the policy that acted was to do it.
        rewards: what it brought.
        values: of the observations before.
        bootstrap_values: of the observation after each chunk's last step; 0 where the episode terminated.
        lengths: steps of each chunk.
    """

    dist_inputs: torch.Tensor
    actions: Any
    behaviour_logp: torch.Tensor
    rewards: torch.Tensor
    values: torch.Tensor
    bootstrap_values: torch.Tensor
    lengths: torch.Tensor


class IMPALALearner(TorchLearner):
    """IMPALA's loss."""

    recorded_outputs = (Columns.ACTION_LOGP,)

    def build(self) -> None:
        if self._is_built:
            return
        super().build()
        self.entropy_coeff_schedulers_per_module: dict[str, Scheduler] = {}
        for module_id in self.module:
            self._start_module(module_id)

    def _start_module(self, module_id: str) -> None:
        """Makes what goes with a module from the start."""
        config: Any = self.config_of(module_id)
        self.entropy_coeff_schedulers_per_module[module_id] = Scheduler(config.entropy_coeff, framework=None)

    def add_module(self, *, module_id: str, **kwargs: Any) -> Any:
        spec = super().add_module(module_id=module_id, **kwargs)
        self._start_module(module_id)
        return spec

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [ValueFunctionAPI]

    # --- the batch ----------------------------------------------------------------------------------------------------------------

    def prepare_batch(self, module_id: str, batch: EpisodeBatch) -> Batch:
        """Adds what comes after each step, and where chunks end."""
        module: Any = self.module[module_id].unwrapped()
        if module.is_stateful():
            return self._prepare_sequences(module, batch)
        last = torch.cumsum(batch.lengths, 0) - 1
        ends = torch.zeros(int(batch.lengths.sum()), dtype=torch.bool)
        ends[last] = True
        terminated = torch.zeros_like(ends)
        terminated[last] = batch.terminated
        batch.columns[Columns.NEXT_OBS] = take_rows(batch.observations, batch.step_rows + 1)
        batch.columns[Columns.TERMINATEDS] = terminated.to(self.device)
        batch.columns[CHUNK_ENDS] = ends.to(self.device)
        return batch.columns

    def _prepare_sequences(self, module: Any, batch: EpisodeBatch) -> Batch:
        """The same for a module with a memory: each sequence is a chunk."""
        whole = batch_of(batch.episodes, self.device, extras=[*(self.recorded_outputs or ()), Columns.STATE_OUT])
        whole.columns.update(batch.columns)
        longest = int(module.model_config.get("max_seq_len", 20))
        sequences = sequences_of(whole, module.get_initial_state(), longest)
        last = sequences.rows.gather(1, sequences.mask.sum(1, keepdim=True) - 1).squeeze(1)  # each sequence's last step
        terminated = torch.zeros(int(whole.lengths.sum()), dtype=torch.bool)
        terminated[torch.cumsum(whole.lengths, 0) - 1] = whole.terminated
        after = take_rows(whole.observations, whole.step_rows[last] + 1)
        state_after = take_rows(whole.columns.pop(Columns.STATE_OUT), last)
        columns = {name: sequences.pad(column) for name, column in whole.columns.items()}
        columns[Columns.STATE_IN] = sequences.state_in
        columns[Columns.LOSS_MASK] = sequences.mask
        columns[Columns.NEXT_OBS] = map_leaves(lambda leaf: leaf.unsqueeze(1), after)
        columns[Columns.NEXT_STATE_IN] = state_after
        columns[Columns.TERMINATEDS] = terminated[last].to(self.device)
        return columns

    def steps_of(self, module: Any, batch: Batch, fwd_out: dict[str, Any]) -> Steps:
        """Returns a minibatch as the loss looks at it."""
        values = values_of(module, batch, embeddings=fwd_out.get(Columns.EMBEDDINGS))
        mask = batch.get(Columns.LOSS_MASK)
        after: Batch
        if mask is None:
            ends = batch[CHUNK_ENDS].clone()
            ends[-1] = True  # a minibatch may end within a chunk
            rows = ends.nonzero().squeeze(1)
            lengths = rows.diff(prepend=rows.new_tensor([-1]))
            terminated = batch[Columns.TERMINATEDS][rows]
            after = {Columns.OBS: take_rows(batch[Columns.NEXT_OBS], rows)}
        else:
            lengths, terminated = mask.sum(1), batch[Columns.TERMINATEDS]
            after = {Columns.OBS: batch[Columns.NEXT_OBS], Columns.STATE_IN: batch[Columns.NEXT_STATE_IN]}
        with torch.no_grad():
            bootstrap = values_of(module, after)
        bootstrap = bootstrap if mask is None else bootstrap.squeeze(1)
        return Steps(
            dist_inputs=in_a_row(fwd_out[Columns.ACTION_DIST_INPUTS], mask),
            actions=in_a_row(batch[Columns.ACTIONS], mask),
            behaviour_logp=in_a_row(batch[Columns.ACTION_LOGP], mask),
            rewards=in_a_row(batch[Columns.REWARDS], mask),
            values=in_a_row(values, mask),
            bootstrap_values=bootstrap * ~terminated,
            lengths=lengths,
        )

    # --- the loss -----------------------------------------------------------------------------------------------------------------

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]
    ) -> torch.Tensor:
        module: Any = self.module[module_id].unwrapped()
        steps = self.steps_of(module, batch, fwd_out)
        current = module.get_train_action_dist_cls().from_logits(steps.dist_inputs)
        logp = current.logp(steps.actions)
        corrected = self.corrected(steps, logp, config)
        policy_loss = -(corrected.advantages * logp).mean()
        return self.total_loss(module_id, config, policy_loss, steps.values, corrected.value_targets, current)

    def corrected(self, steps: Steps, target_logp: torch.Tensor, config: Any) -> VTrace:
        """Returns value targets and advantages by V-trace, for a policy that has these log-probabilities of what was done."""
        return vtrace(
            target_logp=target_logp,
            behaviour_logp=steps.behaviour_logp,
            rewards=steps.rewards,
            values=steps.values,
            bootstrap_values=steps.bootstrap_values,
            lengths=steps.lengths,
            gamma=config.gamma,
            lambda_=config.get("lambda_", 1.0),
            clip_rho_threshold=config.vtrace_clip_rho_threshold,
            clip_pg_rho_threshold=config.vtrace_clip_pg_rho_threshold,
        )

    def total_loss(
        self,
        module_id: str,
        config: Any,
        policy_loss: torch.Tensor,
        values: torch.Tensor,
        value_targets: torch.Tensor,
        current: Any,
    ) -> torch.Tensor:
        """Returns the policy's loss, with that of the values and with the entropy."""
        vf_loss = 0.5 * (values - value_targets).square().mean()
        entropy = current.entropy().mean()
        entropy_coeff = float(self.entropy_coeff_schedulers_per_module[module_id].get_current_value())
        self.log_losses(module_id, {"policy_loss": policy_loss, "vf_loss": vf_loss, "entropy": entropy})
        loss: torch.Tensor = policy_loss + config.vf_loss_coeff * vf_loss - entropy_coeff * entropy
        return loss

    def before_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().before_gradient_based_update(timesteps=timesteps)
        for module_id, schedule in self.entropy_coeff_schedulers_per_module.items():
            schedule.update(timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0))
            if self.should_module_be_updated(module_id):
                value = float(schedule.get_current_value())
                self.metrics.log_value((module_id, LEARNER_RESULTS_CURR_ENTROPY_COEFF_KEY), value, window=1)


def in_a_row(column: Any, mask: torch.Tensor | None) -> Any:
    """Returns a column of sequences (sequences, time, ...) as one of steps; one of steps as it is."""
    return column if mask is None else map_leaves(lambda leaf: leaf[mask], column)


class IMPALA(Algorithm):
    """IMPALA. Made by `IMPALAConfig().build_algo()`.

    Without actors (`num_env_runners=0`, `num_learners=0`) it samples and learns in turns, and one seed gives one result.
    """

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        return IMPALAConfig()

    def setup(self, config: Any) -> None:
        super().setup(config)
        self.waiting = self.make_queue(config)
        self._updates = 0

    def make_queue(self, config: Any) -> BatchQueue:
        """Returns where batches wait for the learners."""
        return BatchQueue(config.total_train_batch_size, config.learner_queue_size)

    def training_step(self) -> None:
        """Takes what runners have sampled, and has the learners learn from one batch. Waits for a runner only where there is no batch."""
        if self.runners.num_env_runners and not self.waiting.is_full:
            self.gather(timeout_s=0.0)  # who has answered samples on while the learners learn
        while (batch := self.waiting.take()) is None:
            self.gather(timeout_s=None)
        self.learn_from(batch)
        for name, value in (("num_batches_waiting", len(self.waiting)), ("num_batches_dropped", self.waiting.dropped)):
            self.metrics.log_value((LEARNER_GROUP, name), value, reduce="item")

    def gather(self, timeout_s: float | None) -> None:
        """Takes what runners have sampled since the last time; with None waits for a first one."""
        with self.sampling_timer():
            sampled = self.runners.sample_async(
                timeout_s=timeout_s, by_reference=self._by_reference, timesteps=self.env_steps_sampled
            )
        self.take_samples(sampled)
        for one in sampled:
            self.waiting.add(one.episodes, one.counted)
            late = (self.runners.weights_version - one.weights_version) * self.config.broadcast_interval
            key = (LEARNER_RESULTS, ALL_MODULES, DIFF_NUM_GRAD_UPDATES_VS_SAMPLER_POLICY)
            self.metrics.log_value(key, late, window=20)

    @property
    def _by_reference(self) -> bool:
        """Whether what runners sample goes to learners without coming here."""
        return self.learner_group.is_remote and self.runners.num_env_runners > 0

    def learn_from(self, batch: list[Any]) -> None:
        """Has the learners learn from parts that runners sampled, and the runners go by the weights where that is due.

        Learners that are actors learn while this goes on; then results and weights are those of earlier batches.
        """
        config = self.config
        self._updates += 1
        given: dict[str, Any] = {"episodes_refs": batch}
        if not self._by_reference:
            episodes = [episode for part in batch for episode in part]
            if self.waiting.hands_out_again and self.learner_group.has_connectors:
                episodes = copy.deepcopy(episodes)  # pieces may change them, and are to see them as they were next time
            given = {"episodes": episodes}
        with self.learner_timer():
            results = self.learner_group.update(
                **given,
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_steps_sampled},
                async_update=True,
                return_state=self._updates % config.broadcast_interval == 0,
                num_epochs=config.num_epochs,
                minibatch_size=config.minibatch_size,
            )
        found = [result.pop("_rl_module_state_after_update", None) for result in results]
        if results:
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        if weights := [one for one in found if one is not None]:
            self.hand_on(weights[-1])

    def hand_on(self, weights: dict[str, Any]) -> None:
        """Has the runners go by these weights from their next fragments on; waits for none."""
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.runners.exchange_env_runner_states(timesteps=self.env_steps_sampled)
            self.runners.sync_weights(weights=weights)

    def get_algorithm_state(self) -> dict[str, Any]:
        return {"waiting": self.waiting.get_state(self._brought_here), "updates": self._updates}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        self.waiting.set_state(dict(state["waiting"]), self._put_away)
        self._updates = state["updates"]

    def _brought_here(self, part: Any) -> Any:
        if not self._by_reference:
            return part
        import shoal

        return shoal.get(part)

    def _put_away(self, episodes: list[Any]) -> Any:
        if not self._by_reference:
            return episodes
        import shoal

        return shoal.put(episodes)
