"""Samples episodes of one agent."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

from shoal.rllib._internal.nested import map_leaves
from shoal.rllib._internal.sampling.action_scaling import inverse_for, scaling_for
from shoal.rllib._internal.sampling.column_recorder import ColumnRecorder, Finished
from shoal.rllib._internal.sampling.fused_acting import Acted, FusedActing
from shoal.rllib._internal.sampling.stepping import Stepper, SyncStepper, VectorStepper
from shoal.rllib._internal.sampling.value_forms import base_of_zero
from shoal.rllib.core import COMPONENT_RL_MODULE, DEFAULT_AGENT_ID, DEFAULT_MODULE_ID
from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.env.env_runner import EnvRunner
from shoal.rllib.env.registration import name_of, resolve_env
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import EnvError
from shoal.rllib.utils.metrics import (
    ENV_STEP_TIMER,
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_DURATION_SEC_MEAN,
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_MODULE_RETURN_MEAN,
    EPISODE_RETURN_MAX,
    EPISODE_RETURN_MEAN,
    EPISODE_RETURN_MIN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
    RLMODULE_INFERENCE_TIMER,
    SAMPLE_TIMER,
    WEIGHTS_SEQ_NO,
)
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig

logger = logging.getLogger(__name__)

SAMPLER = "sampler"
"""The part of a runner's state that is about where it stands: environments, episodes, generators."""


class SingleAgentEnvRunner(EnvRunner):
    """Steps several copies of a gymnasium environment with one module.

    Args:
        config: of the algorithm.
        worker_index: 0 in the driver, else from 1.
        num_workers: how many remote runners there are.
        seed: in place of `config.seed`.
        spaces: what get_spaces() of another runner returned, for a runner without environments.
        recreated_worker: whether it replaces one that failed.

    Raises:
        EnvError: (a ValueError) there is no such environment, it cannot be made, or it does not do what its spaces say.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> config = PPOConfig().environment("CartPole-v1").env_runners(num_envs_per_env_runner=2)
        >>> runner = SingleAgentEnvRunner(config=config)
        >>> episodes = runner.sample(num_timesteps=100)
        >>> sum(len(episode) for episode in episodes)
        100
    """

    def __init__(
        self,
        *,
        config: AlgorithmConfig,
        worker_index: int = 0,
        num_workers: int = 0,
        seed: int | None = None,
        spaces: dict[str, Any] | None = None,
        recreated_worker: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(config=config, worker_index=worker_index, num_workers=num_workers)
        self._seed = config.seed if seed is None else seed
        self._recreated = recreated_worker
        self._spaces = spaces
        self._steps_sampled = 0  # by this runner
        self._global_timesteps: int | None = None  # by all runners, as last told
        self.metrics = MetricsLogger()
        self.num_envs = 0
        self.progress = 0  # how often environments were stepped: whoever waits can see whether it goes on
        self._seed_generators()
        self._stepper: Stepper | None = None
        if worker_index > 0 or num_workers == 0 or config.create_env_on_local_worker or spaces is None:
            self.make_env()
        self.make_module()

    # What it is made of.

    def make_env(self) -> None:
        """Makes the environments; those that it has are closed before.

        Raises:
            EnvError: there is no such environment, it cannot be made, or it does not do what its spaces say.
        """
        if self.env is not None:
            self.env.close()
        config = self.config
        if config.env is None:
            raise EnvError('there is no environment: call config.environment(env=...), for instance with "CartPole-v1"')
        self._creator = resolve_env(config.env)
        n = config.num_envs_per_env_runner
        mode = getattr(config.gym_env_vectorize_mode, "value", config.gym_env_vectorize_mode)
        makers = [lambda i=i: self._make_one(i) for i in range(n)]
        if mode == "sync":
            self.env = gym.vector.SyncVectorEnv(makers)
            self._stepper = SyncStepper(
                self.env, self._name, self._make_one, bool(config.restart_failed_sub_environments)
            )
        elif mode == "async":
            self.env = gym.vector.AsyncVectorEnv(makers)
            self._stepper = VectorStepper(self.env, self._name)
        else:
            self.env = gym.make_vec(config.env, num_envs=n, vectorization_mode=mode, **config.env_config)
            self._stepper = VectorStepper(self.env, self._name)
        self.num_envs = n
        self._recorder: ColumnRecorder | None = None

    def make_module(self) -> None:
        """Makes the module, without weights of a learner as yet."""
        spec = self.config.get_rl_module_spec(env=self.env, spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()
        self._acting: FusedActing | None = None

    def get_spaces(self) -> dict[str, Any]:
        if self.env is None:
            assert self._spaces is not None
            return self._spaces
        single = (self.env.single_observation_space, self.env.single_action_space)
        return {
            "__env__": (self.env.observation_space, self.env.action_space),
            "__env_single__": single,
            DEFAULT_MODULE_ID: single,
        }

    # Sampling.

    def sample(
        self,
        *,
        num_timesteps: int | None = None,
        num_episodes: int | None = None,
        explore: bool | None = None,
        random_actions: bool = False,
        force_reset: bool = False,
        **kwargs: Any,
    ) -> list[SingleAgentEpisode]:
        """Returns episodes, or chunks of them, as arrays.

        Args:
            num_timesteps: at least so many steps; the next call goes on where this one ended. None, and no `num_episodes` either: what
                the configuration says.
            num_episodes: so many whole episodes, from a reset on.
            explore: whether actions are drawn, rather than the likeliest. None: as configured.
            random_actions: draws actions from the action space instead.
            force_reset: starts with a reset.

        Raises:
            EnvError: an environment raised, or answered with what cannot be.
            ValueError: both `num_timesteps` and `num_episodes`, or numbers below 1.
        """
        if num_timesteps is not None and num_episodes is not None:
            raise ValueError(f"num_timesteps={num_timesteps} and num_episodes={num_episodes}: give one of them")
        for name, number in (("num_timesteps", num_timesteps), ("num_episodes", num_episodes)):
            if number is not None and number < 1:
                raise ValueError(f"{name}={number}: give a number >= 1")
        if self.env is None:
            raise EnvError(f"{self!r} has no environment: set create_env_on_local_worker=True in config.env_runners()")
        if num_timesteps is None and num_episodes is None:
            if self.config.batch_mode == "truncate_episodes":
                num_timesteps = self.config.get_rollout_fragment_length(self.worker_index) * self.num_envs
            else:
                num_episodes = self.num_envs
        explore = self.config.explore if explore is None else explore
        started = time.perf_counter()
        episodes, finished = self._sample_columns(
            num_timesteps, num_episodes, explore, random_actions, force_reset or num_episodes is not None
        )
        steps = sum(map(len, episodes))
        self._steps_sampled += steps
        self._log(steps, finished, time.perf_counter() - started)
        return episodes

    def _sample_columns(
        self, num_timesteps: int | None, num_episodes: int | None, explore: bool, random_actions: bool, reset: bool
    ) -> tuple[list[SingleAgentEpisode], list[Finished]]:
        recorder, acting, stepper = self._prepared()
        clock = time.perf_counter
        in_env = in_module = 0.0
        if reset:
            recorder.forget()
        recorder.begin(200 if num_timesteps is None else -(-num_timesteps // self.num_envs) + 1)
        if not recorder.is_reset:
            recorder.reset(*stepper.reset(self._reset_seeds()))
            acting.reset()
        stepped = 0
        timestep = self._timestep()
        while stepped < num_timesteps if num_timesteps is not None else recorder.num_finished < (num_episodes or 0):
            before = clock()
            acted = (
                self._random()
                if random_actions
                else acting.act(recorder.observation(), explore=explore, timestep=timestep + stepped)
            )
            between = clock()
            resetting = recorder.resetting
            steps = stepper.step(acted.for_env, resetting)
            after = clock()
            self.progress += 1
            in_module += between - before
            in_env += after - between
            if acting.stateful and (True in resetting or stepper.failed):
                for n in range(self.num_envs):
                    if resetting[n] or n in stepper.failed:
                        acting.reset(n)
            stepped += recorder.record(acted.actions, acted.extras, steps, stepper.failed)
        if not random_actions:
            recorder.put_log_probabilities(acting, explore)
        episodes, finished = recorder.finish(unfinished=num_timesteps is not None)
        if num_episodes is not None:
            episodes, finished = episodes[:num_episodes], finished[:num_episodes]
            recorder.forget()
        self.metrics.log_value(ENV_STEP_TIMER, in_env)
        self.metrics.log_value(RLMODULE_INFERENCE_TIMER, in_module)
        return episodes, finished

    def _prepared(self) -> tuple[ColumnRecorder, FusedActing, Stepper]:
        assert self._stepper is not None
        config, space = self.config, self.env.single_action_space
        if self._recorder is None:
            observation_space = self.env.single_observation_space
            self._recorder = ColumnRecorder(
                self.num_envs,
                observation_space,
                observation_space,
                base_of_zero(space),
                lookback=config.episode_lookback_horizon,
                new_id=self._new_id,
                name=self._name,
                checked=not config.disable_env_checking,
                transform=None,
            )
            self._to_module = inverse_for(space, normalize=config.normalize_actions)
            self._to_env = scaling_for(space, normalize=config.normalize_actions, clip=config.clip_actions)
        if self._acting is None:
            self._acting = FusedActing(
                self.module,
                space,
                normalize=config.normalize_actions,
                clip=config.clip_actions,
                n=self.num_envs,
                generator=self._torch_generator,
            )
        return self._recorder, self._acting, self._stepper

    def _random(self) -> Acted:
        drawn = self.env.action_space.sample()
        return Acted(drawn if self._to_module is None else self._to_module(drawn), drawn, {})

    def _log(self, steps: int, finished: list[Finished], seconds: float) -> None:
        log = self.metrics.log_value
        for name, lifetime in (
            (NUM_ENV_STEPS_SAMPLED, NUM_ENV_STEPS_SAMPLED_LIFETIME),
            ((NUM_AGENT_STEPS_SAMPLED, DEFAULT_AGENT_ID), (NUM_AGENT_STEPS_SAMPLED_LIFETIME, DEFAULT_AGENT_ID)),
            ((NUM_MODULE_STEPS_SAMPLED, DEFAULT_MODULE_ID), (NUM_MODULE_STEPS_SAMPLED_LIFETIME, DEFAULT_MODULE_ID)),
        ):
            log(name, steps, reduce="sum")
            log(lifetime, steps, reduce="lifetime_sum", with_throughput=True)
        log(NUM_EPISODES, len(finished), reduce="sum")
        log(NUM_EPISODES_LIFETIME, len(finished), reduce="lifetime_sum")
        log(SAMPLE_TIMER, seconds)
        log(WEIGHTS_SEQ_NO, self.weights_version, window=1)
        window = self.config.metrics_num_episodes_for_smoothing
        if self.num_workers and self.worker_index:
            window = max(1, round(window / self.num_workers))
        per_step = seconds / steps if steps else 0.0
        for episode in finished:
            log(EPISODE_RETURN_MEAN, episode.returned, window=window)
            log(EPISODE_RETURN_MIN, episode.returned, reduce="min", window=window)
            log(EPISODE_RETURN_MAX, episode.returned, reduce="max", window=window)
            log(EPISODE_LEN_MEAN, episode.length, window=window)
            log(EPISODE_LEN_MIN, episode.length, reduce="min", window=window)
            log(EPISODE_LEN_MAX, episode.length, reduce="max", window=window)
            log(EPISODE_DURATION_SEC_MEAN, per_step * episode.length * self.num_envs, window=window)
            log((EPISODE_AGENT_RETURN_MEAN, DEFAULT_AGENT_ID), episode.returned, window=window)
            log((EPISODE_MODULE_RETURN_MEAN, DEFAULT_MODULE_ID), episode.returned, window=window)

    def get_metrics(self) -> dict[str, Any]:
        return self.metrics.reduce()

    # Weights and state.

    def set_weights(self, weights: dict[str, Any], version: int | None = None) -> None:
        """Takes over weights.

        Args:
            weights: a module's state, or one by module id.
            version: what counts them; the same as before: nothing happens.
        """
        if version is not None and version == self.weights_version:
            return
        own = weights.get(DEFAULT_MODULE_ID, weights)
        # Arrays that came from another process are read-only, which torch warns of.
        self.module.set_state({key: value if _is_writable(value) else np.array(value) for key, value in own.items()})
        if version is not None:
            self.weights_version = version

    def get_weights(self, modules: Any = None, inference_only: bool = True) -> dict[str, Any]:
        """Returns the module's weights, by module id."""
        return {DEFAULT_MODULE_ID: self.module.get_state(inference_only=True)}

    def set_global_timesteps(self, timesteps: int) -> None:
        """Tells how many steps all runners have sampled; schedules of exploration go by it."""
        self._global_timesteps = timesteps
        self._steps_since_told = self._steps_sampled

    def _timestep(self) -> int:
        if self._global_timesteps is None:
            return self._steps_sampled * max(self.num_workers, 1)
        return self._global_timesteps + (self._steps_sampled - self._steps_since_told) * max(self.num_workers, 1)

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Returns the state: weights, connectors, and where the sampling stands.

        Environments that cannot be saved start anew in the next sample(), in this runner as well as in one that takes over the state, so
        that both go on alike.

        Args:
            components: which of "rl_module", "env_to_module_connector", "module_to_env_connector" and "sampler"; None for all.
            not_components: which not.
        """
        state: dict[str, Any] = {
            WEIGHTS_SEQ_NO: self.weights_version,
            NUM_ENV_STEPS_SAMPLED_LIFETIME: self._steps_sampled,
        }
        if _wanted(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = {DEFAULT_MODULE_ID: self.module.get_state(inference_only=True)}
        if _wanted(SAMPLER, components, not_components) and self.env is not None:
            state[SAMPLER] = self._sampler_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            self.set_weights(state[COMPONENT_RL_MODULE])
        if WEIGHTS_SEQ_NO in state:
            self.weights_version = state[WEIGHTS_SEQ_NO]
        if SAMPLER in state and self.env is not None:
            self._set_sampler_state(state[SAMPLER])
            self._steps_sampled = state[NUM_ENV_STEPS_SAMPLED_LIFETIME]

    def _sampler_state(self) -> dict[str, Any]:
        recorder, acting, stepper = self._prepared()
        envs = stepper.get_state() if recorder.is_reset else None
        if envs is None:
            recorder.forget()
        return {
            "torch_generator": self._torch_generator.get_state().numpy(),
            "generator": self._generator.bit_generator.state,
            "action_space": [space.np_random.bit_generator.state for space in _spaces_in(self.env.action_space)],
            "seeded": self._seeded,
            "envs": envs,
            "recorder": None if envs is None else recorder.get_state(),
            "states": None if acting.states is None else map_leaves(lambda leaf: leaf.numpy(), acting.states),
        }

    def _set_sampler_state(self, state: dict[str, Any]) -> None:
        recorder, acting, stepper = self._prepared()
        self._torch_generator.set_state(torch.from_numpy(np.array(state["torch_generator"])))
        self._generator.bit_generator.state = state["generator"]
        for space, kept in zip(_spaces_in(self.env.action_space), state["action_space"], strict=True):
            space.np_random.bit_generator.state = kept
        self._seeded = state["seeded"]
        if state["envs"] is None:
            recorder.forget()
        else:
            stepper.set_state(state["envs"])
            recorder.set_state(state["recorder"])
        if state["states"] is not None:
            acting.states = map_leaves(lambda leaf: torch.from_numpy(np.array(leaf)), state["states"])

    def assert_healthy(self) -> None:
        """Raises EnvError if there is neither an environment nor spaces to act without one."""
        if self.module is None:
            raise EnvError(f"{self!r} has no module")

    def stop(self) -> None:
        if self.env is not None:
            self.env.close()
            self.env = None

    @property
    def doing(self) -> str:
        """Which environment is being stepped or reset, if any."""
        stepper = self._stepper
        if stepper is None or stepper.current is None:
            return ""
        return f"{self._name(stepper.current)} is being stepped or reset, after {self.progress} steps. "

    # Chance and names.

    def _seed_generators(self) -> None:
        kind = 1 if getattr(self.config, "in_evaluation", False) else 0
        entropy = None if self._seed is None else (int(self._seed), kind, self.worker_index)
        mine, torchs = np.random.SeedSequence(entropy).spawn(2)
        self._generator = np.random.default_rng(mine)
        self._torch_generator = torch.Generator()
        self._torch_generator.manual_seed(int(torchs.generate_state(1, np.uint64)[0] >> 1))
        self._seeded = False

    def _reset_seeds(self) -> list[int | None]:
        """Returns the environments' seeds: at the first reset (and when environments could not be saved) all are given one."""
        if not self._seeded:
            self._seeded = True
            for space in _spaces_in(self.env.action_space):
                space.seed(int(self._generator.integers(2**31)))
        return [int(self._generator.integers(2**31)) for _ in range(self.num_envs)]

    def _new_id(self) -> str:
        return self._generator.bytes(16).hex()

    def _make_one(self, vector_index: int) -> gym.Env[Any, Any]:
        context = EnvContext(
            self.config.env_config,
            worker_index=self.worker_index,
            vector_index=vector_index,
            num_workers=self.num_workers,
            recreated_worker=self._recreated,
        )
        try:
            env = self._creator(context)
        except EnvError:
            raise
        except Exception as error:
            raise EnvError(f"{self._name(vector_index)} cannot be made: {type(error).__name__}: {error}") from error
        if not isinstance(env, gym.Env):
            raise EnvError(f"{self._name(vector_index)} is {env!r}, which is no gymnasium.Env")
        return env

    def _name(self, n: int) -> str:
        return f"env {name_of(self.config.env)!r} (runner {self.worker_index}, environment {n})"


def _is_writable(value: Any) -> bool:
    return not isinstance(value, np.ndarray) or bool(value.flags.writeable)


def _wanted(name: str, components: Any, not_components: Any) -> bool:
    def names(given: Any) -> list[str]:
        return [given] if isinstance(given, str) else list(given)

    if components is not None and name not in names(components):
        return False
    return not_components is None or name not in names(not_components)


def _spaces_in(space: gym.Space[Any]) -> list[gym.Space[Any]]:
    """Returns a space and all spaces that it is made of."""
    if isinstance(space, gym.spaces.Dict):
        return [space, *(inner for part in space.spaces.values() for inner in _spaces_in(part))]
    if isinstance(space, gym.spaces.Tuple):
        return [space, *(inner for part in space.spaces for inner in _spaces_in(part))]
    return [space]
