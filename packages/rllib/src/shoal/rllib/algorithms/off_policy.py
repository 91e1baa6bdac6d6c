"""What algorithms share that learn from a replay buffer: settings, batches, target networks, and the parts of a training step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch

from shoal.rllib._internal.config.unset import UNSET
from shoal.rllib._internal.learning.chance import BUFFER, derived_seed
from shoal.rllib._internal.learning.episode_batch import EpisodeBatch, take_rows
from shoal.rllib._internal.learning.replay import (
    buffer_of,
    columns_by_module,
    sample_and_train_rounds,
    share_weights,
)
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.learner.learner import Batch
from shoal.rllib.core.learner.torch.torch_learner import TorchLearner
from shoal.rllib.core.rl_module.apis.target_network_api import TargetNetworkAPI
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import (
    LAST_TARGET_UPDATE_TS,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_TARGET_UPDATES,
    REPLAY_BUFFER_ADD_DATA_TIMER,
    REPLAY_BUFFER_RESULTS,
    REPLAY_BUFFER_SAMPLE_TIMER,
    REPLAY_BUFFER_UPDATE_PRIOS_TIMER,
    TD_ERROR_KEY,
    TIMERS,
)
from shoal.rllib.utils.schedules.scheduler import Scheduler
from shoal.rllib.utils.torch_utils import Followed


class OffPolicyConfig(AlgorithmConfig):
    """Settings of replay and target networks."""

    def __init__(self, algo_class: type[Algorithm] | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.rollout_fragment_length = "auto"
        self.evaluation_config = {"explore": False}
        self.target_network_update_freq = 0
        self.tau = 1.0
        self.replay_buffer_config: dict[str, Any] = {
            "type": "PrioritizedEpisodeReplayBuffer",
            "capacity": 50_000,
            "alpha": 0.6,
            "beta": 0.4,
        }
        self.num_steps_sampled_before_learning_starts = 1000
        self.store_buffer_in_checkpoints = False
        self.n_step: int | tuple[int, int] = 1
        self.training_intensity: float | None = None

    def training(
        self,
        *,
        target_network_update_freq: int = UNSET,
        tau: float = UNSET,
        replay_buffer_config: Mapping[str, Any] = UNSET,
        num_steps_sampled_before_learning_starts: int = UNSET,
        store_buffer_in_checkpoints: bool = UNSET,
        n_step: int | tuple[int, int] = UNSET,
        training_intensity: float | None = UNSET,
        **others: Any,
    ) -> Self:
        """Sets how replay and target networks go.

        Args:
            target_network_update_freq: sampled steps between two updates of the target networks; 0 for one after each gradient.
            tau: how far they then go: 1 copies.
            replay_buffer_config: 'type' (a name or class of `shoal.rllib.utils.replay_buffers`), 'capacity', and with priorities
                'alpha' and 'beta' (a number or a schedule). What is not given stays.
            num_steps_sampled_before_learning_starts: steps that are sampled before the first gradient.
            store_buffer_in_checkpoints: whether checkpoints have the buffer's content; otherwise it begins empty.
            n_step: steps of a transition, or a pair (least, most) to draw it each time.
            training_intensity: steps learned from for each step sampled; None for a batch for each fragment.
            **others: `AlgorithmConfig.training`'s.

        Raises:
            ConfigError: (a ValueError) a value that the setting cannot have.
        """
        super().training(**others)
        if replay_buffer_config is not UNSET:
            replay_buffer_config = {**self.replay_buffer_config, **replay_buffer_config}
        return self._take("training", {**locals(), "others": {}})

    def validate(self) -> None:
        super().validate()
        buffer_of(self, self.replay_buffer_config, seed=None)  # names what it cannot be made with
        least, most = self.n_step if isinstance(self.n_step, tuple | list) else (self.n_step, self.n_step)
        if not (isinstance(least, int) and isinstance(most, int) and 1 <= least <= most):
            raise ConfigError(f"n_step is {self.n_step!r}; give a number >= 1, or a pair (least, most)")
        if self.training_intensity is not None and not self.training_intensity > 0:
            raise ConfigError(f"training_intensity is {self.training_intensity!r}; give a number > 0, or None")

    def get_rollout_fragment_length(self, worker_index: int = 0) -> int:
        if self.rollout_fragment_length != "auto":
            return int(self.rollout_fragment_length)
        return int(self.n_step[1] if isinstance(self.n_step, tuple | list) else self.n_step)


class OffPolicyLearner(TorchLearner):
    """Makes batches of transitions, and has target networks follow."""

    recorded_outputs: tuple[str, ...] = ("weights", "n_step")

    def build(self) -> None:
        if self._is_built:
            return
        super().build()
        self._last_target_update: dict[str, int] = dict.fromkeys(self.module.keys(), 0)
        self._pairs: dict[str, tuple[Any, list[Followed]]] = {}

    def _make_module(self) -> MultiRLModule:
        multi = super()._make_module()
        for module in multi.values():
            _make_targets(module)
        return multi

    def _built(self, spec: RLModuleSpec) -> RLModule:
        module = super()._built(spec)
        _make_targets(module)
        return module

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        return [TargetNetworkAPI]

    def _followed(self, module_id: str) -> list[Followed]:
        """A module's pairs of networks, whose parameters are looked up once."""
        module = self.module[module_id]
        if module_id not in self._pairs or self._pairs[module_id][0] is not module:
            inner = module.unwrapped()
            pairs = inner.get_target_network_pairs() if isinstance(inner, TargetNetworkAPI) else []
            self._pairs[module_id] = module, [Followed(main, target) for main, target in pairs]
        return self._pairs[module_id][1]

    def prepare_batch(self, module_id: str, batch: EpisodeBatch) -> Batch:
        """Adds what an episode of one transition ends with."""
        rows = batch.step_rows + 1
        last = torch.cumsum(batch.lengths, 0) - 1
        terminated = torch.zeros(len(rows), dtype=torch.bool)
        terminated[last] = batch.terminated
        batch.columns[Columns.NEXT_OBS] = take_rows(batch.observations, rows)
        batch.columns[Columns.TERMINATEDS] = terminated
        return batch.columns

    def discounts(self, batch: Batch, config: Any) -> torch.Tensor:
        """What the value after each transition counts: 0 where the episode terminated."""
        counted: torch.Tensor = (config.gamma ** batch["n_step"]) * ~batch[Columns.TERMINATEDS]
        return counted

    def log_td_errors(self, module_id: str, td_errors: torch.Tensor) -> None:
        """Notes how wrong each row was valued: the buffer's priorities go by it."""
        self.metrics.log_value((module_id, TD_ERROR_KEY), td_errors, reduce="item")

    def after_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        now = timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0)
        for module_id in self.module.keys():  # noqa: SIM118 - a module of modules is no dict
            config: Any = self.config_of(module_id)
            last = self._last_target_update.get(module_id, 0)
            if now - last < config.target_network_update_freq or not self.should_module_be_updated(module_id):
                continue
            for followed in self._followed(module_id):
                followed.step(config.tau)
            self._last_target_update[module_id] = now
            self.metrics.log_value((module_id, NUM_TARGET_UPDATES), 1, reduce="lifetime_sum")
            self.metrics.log_value((module_id, LAST_TARGET_UPDATE_TS), now, window=1)

    def get_algorithm_state(self) -> dict[str, Any]:
        return {**super().get_algorithm_state(), "last_target_update": dict(self._last_target_update)}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        super().set_algorithm_state(state)
        self._last_target_update = dict(state["last_target_update"])


def _make_targets(module: Any) -> None:
    inner = module.unwrapped()
    if isinstance(inner, TargetNetworkAPI):
        inner.make_target_networks()


class OffPolicyAlgorithm(Algorithm):
    """Keeps what is sampled, and learns from batches of what it has kept."""

    def setup(self, config: Any) -> None:
        super().setup(config)
        self.local_replay_buffer = buffer_of(
            config, config.replay_buffer_config, seed=derived_seed(config.seed, BUFFER)
        )
        self.sample_rounds, self.train_rounds = sample_and_train_rounds(config)
        self._beta = Scheduler(config.replay_buffer_config.get("beta", 0.0), framework=None)
        self._shared = share_weights(self.learner_group, self.runners)
        self._steps_trained = self._trained_before = 0
        self._lookback = int(getattr(self.env_runner, "lookback", 0))

    def sample_and_store(self, **arguments: Any) -> None:
        """Has all runners sample a fragment, and keeps what they bring."""
        episodes = self.sample_batch(**arguments)
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_ADD_DATA_TIMER)):
            self.local_replay_buffer.add(episodes)

    @property
    def may_learn(self) -> bool:
        """Whether enough steps were sampled, and some are kept."""
        enough = self.env_steps_sampled >= self.config.num_steps_sampled_before_learning_starts
        return enough and len(self.local_replay_buffer) > 0

    def learn_from_buffer(self) -> None:
        """Learns from one batch of what is kept, and sets its priorities."""
        settings, buffer, log_time = self.config, self.local_replay_buffer, self.metrics.log_time
        now, count = self.env_steps_sampled, settings.total_train_batch_size
        self._steps_trained += count
        arguments = {"n_step": settings.n_step, "gamma": settings.gamma, "beta": float(self._beta.update(now))}
        given: dict[str, Any] = {}
        with log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            if not self.learner_group.has_connectors:
                given["batch"] = columns_by_module(buffer.sample_columns(count, **arguments))
            else:
                given["episodes"] = buffer.sample(
                    count, sample_episodes=True, to_numpy=True, lookback=self._lookback, **arguments
                )
        with log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(**given, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: now})
        with log_time((TIMERS, REPLAY_BUFFER_UPDATE_PRIOS_TIMER)):
            self._update_priorities(results)
        self.metrics.aggregate(results, key=LEARNER_RESULTS)

    def _training_steps(self) -> None:
        self._trained_before = self._steps_trained
        super()._training_steps()

    def _trained_since(self, first: int) -> int:
        return self._steps_trained - self._trained_before

    def _update_priorities(self, results: list[dict[str, Any]]) -> None:
        """Takes TD errors out of the learners' results: the rows of a batch went to them in turns."""
        for module_id in results[0]:
            parts = [
                result[module_id].pop(TD_ERROR_KEY).peek() for result in results if TD_ERROR_KEY in result[module_id]
            ]
            if not parts or not hasattr(self.local_replay_buffer, "update_priorities"):
                continue
            errors = np.empty(sum(map(len, parts)))
            for rank, part in enumerate(parts):
                errors[rank :: len(parts)] = part
            self.local_replay_buffer.update_priorities(errors, module_id)

    def hand_on_weights(self) -> None:
        """Has the runners act by what was learned, and notes how full the buffer is."""
        for name, value in self.local_replay_buffer.get_metrics().items():
            if not isinstance(value, dict):
                self.metrics.log_value((REPLAY_BUFFER_RESULTS, name), value, reduce="item")
        if self._shared is None or self._shared is not getattr(self.env_runner, "module", None):
            self.sync_weights()

    def get_algorithm_state(self) -> dict[str, Any]:
        state = super().get_algorithm_state()
        if self.config.store_buffer_in_checkpoints:
            state["replay_buffer"] = self.local_replay_buffer.get_state()
        return state

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        super().set_algorithm_state(state)
        if "replay_buffer" in state:
            self.local_replay_buffer.set_state(state["replay_buffer"])
