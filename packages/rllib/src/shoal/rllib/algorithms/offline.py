"""What algorithms share that learn from recorded data: no environments, but spaces; batches of recorded steps; passes over all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from shoal.rllib._internal.learning.episode_batch import EpisodeBatch
from shoal.rllib._internal.offline.evaluation import OfflineEvaluation, check_offline_evaluation
from shoal.rllib._internal.offline.spaces import module_spaces, recorded_spaces
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.off_policy import OffPolicyLearner
from shoal.rllib.core.learner.learner import Batch
from shoal.rllib.offline.offline_data import OfflineData
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import (
    EVALUATION_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    OFFLINE_EVALUATION_ITERATION_TIMER,
    OFFLINE_SAMPLING_TIMER,
    TIMERS,
)


def check_offline(config: AlgorithmConfig) -> None:
    """Raises ConfigError where there is no data, or more than one policy."""
    name = type(config).__name__.removesuffix("Config")
    if not config.is_offline:
        raise ConfigError(
            f'{name} learns from recorded data, and there is none: call offline_data(input_="/tmp/cartpole"). Any algorithm that samples '
            'records by offline_data(output="/tmp/cartpole")'
        )
    if config.is_multi_agent:
        raise ConfigError(f"{name} learns one policy from recorded data, and there are {sorted(config.policies)}")
    if config.env_runner_cls is not None:
        raise ConfigError(f"env_runner_cls is {config.env_runner_cls!r}, and {name} has no runners; leave it None")
    check_offline_evaluation(config)
    size = config.dataset_num_iters_per_learner
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise ConfigError(
            f"dataset_num_iters_per_learner is {size!r}; give a number of batches >= 1, or None for all of the data"
        )


class OfflineAlgorithm(Algorithm):
    """Learns from `config.input_`. An iteration is `dataset_num_iters_per_learner` batches, or one pass over the data.

    Steps that are learned from count as sampled ones: for schedules, and for stopping criteria.
    """

    needs_env_runners = False
    # Whether batches are made of whole episodes, rather than of steps from anywhere.
    learns_from_episodes: ClassVar[bool] = False
    # Whether batches have rewards and next observations, too.
    learns_from_rewards: ClassVar[bool] = True
    _offline_evaluation: OfflineEvaluation | None = None

    def setup(self, config: AlgorithmConfig) -> None:
        recorded = recorded_spaces(config)
        self._spaces = None
        self.learner_group = config.build_learner_group(spaces=module_spaces(config, recorded))
        kind = config.offline_data_class or OfflineData
        self.offline_data = kind(config, spaces=recorded, **config.offline_data_class_kwargs)
        if len(self.offline_data) == 0 and config.dataset_num_iters_per_learner is None:
            raise ConfigError(
                "nobody knows how many steps the data has before it was read once, so an iteration cannot be a pass over it; set "
                "offline_data(dataset_num_iters_per_learner=...) to a number of batches"
            )
        if config.evaluation_interval or config.evaluation_num_env_runners:
            self._make_evaluation()
        if config.offline_evaluation_interval:
            self._make_offline_evaluation()

    def _make_offline_evaluation(self) -> OfflineEvaluation:
        made = self._offline_evaluation = OfflineEvaluation(self.config)
        return made

    def evaluate_offline(self) -> dict[str, Any]:
        evaluation = self._offline_evaluation or self._make_offline_evaluation()
        with self.metrics.log_time((TIMERS, OFFLINE_EVALUATION_ITERATION_TIMER)):
            return evaluation.run(self)

    def step(self) -> dict[str, Any]:
        result = super().step()
        evaluation = self._offline_evaluation
        if evaluation is not None and evaluation.is_due(self.iteration + 1):
            result.setdefault(EVALUATION_RESULTS, {}).update(self.evaluate_offline())
        return result

    @classmethod
    def default_resource_request(cls, config: Any) -> Any:
        settings = config if isinstance(config, AlgorithmConfig) else cls.get_default_config().update_from_dict(config)
        without = settings.copy(copy_frozen=False)
        without.num_env_runners = 0
        return super().default_resource_request(without)

    @property
    def batches_per_iteration(self) -> int:
        """How many batches an iteration learns from."""
        given = self.config.dataset_num_iters_per_learner
        return int(given) if given else max(1, -(-len(self.offline_data) // self.config.total_train_batch_size))

    def next_batch(self, data: Any, count: int) -> dict[str, Any]:
        """Returns what the learners are given: `batch` or `episodes`, of so many steps of recorded data."""
        config = self.config
        if data.makes_batches:
            return {"batch": data.sample(count)}
        if self.learns_from_episodes:
            return {"episodes": data.sample_episodes(count)}
        if self.learner_group.has_connectors:
            return {"episodes": data.sample_steps_as_episodes(count)}
        n_step = int(config.get("n_step", 1)) if self.learns_from_rewards else 1
        return {"batch": data.sample(count, n_step=n_step, whole=self.learns_from_rewards)}

    def training_step(self) -> None:
        """Learns from one batch after the other."""
        config = self.config
        for _ in range(self.batches_per_iteration):
            with self.metrics.log_time((TIMERS, OFFLINE_SAMPLING_TIMER)):
                given = self.next_batch(self.offline_data, config.total_train_batch_size)
            with self.learner_timer():
                results = self.learner_group.update(
                    **given,
                    timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_steps_sampled},
                    num_epochs=config.num_epochs,
                    minibatch_size=config.minibatch_size,
                    shuffle_batch_per_epoch=config.shuffle_batch_per_epoch,
                )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
            self.env_steps_sampled += config.total_train_batch_size

    def get_algorithm_state(self) -> dict[str, Any]:
        return {**super().get_algorithm_state(), "offline_data": self.offline_data.get_state()}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        super().set_algorithm_state(state)
        self.offline_data.set_state(state["offline_data"])


class OfflineTransitionsLearner(OffPolicyLearner):
    """Learns from recorded transitions, with target networks that follow."""

    recorded_outputs = ()

    def prepare_batch(self, module_id: str, batch: EpisodeBatch) -> Batch:
        columns = super().prepare_batch(module_id, batch)
        columns["n_step"] = torch.ones(len(columns["rewards"]))
        return columns
