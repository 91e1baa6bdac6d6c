"""Samples episodes of one agent."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

from shoal.rllib._internal.nested import stack, unstack
from shoal.rllib._internal.sampling.action_scaling import inverse_for
from shoal.rllib._internal.sampling.column_recorder import ColumnRecorder, Finished
from shoal.rllib._internal.sampling.env_maker import EnvMaker
from shoal.rllib._internal.sampling.fused_acting import Acted, FusedActing
from shoal.rllib._internal.sampling.live_recorder import LiveRecorder
from shoal.rllib._internal.sampling.pipeline_acting import PipelineActing
from shoal.rllib._internal.sampling.pipelines import has_only_defaults, row_transform
from shoal.rllib._internal.sampling.random_actions import keep_to_masks
from shoal.rllib._internal.sampling.reward_clipping import clip_rewards, clipping_of
from shoal.rllib._internal.sampling.sample_metrics import log_episodes, log_one_agent, log_steps, smoothing_window
from shoal.rllib._internal.sampling.stall_watch import StallWatch
from shoal.rllib._internal.sampling.stepping import Stepper
from shoal.rllib._internal.sampling.value_forms import base_of_zero, form_of
from shoal.rllib.callbacks.callbacks import EPISODE_HOOKS, make_callbacks
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.connectors.module_to_env.get_actions import GetActions
from shoal.rllib.core import (
    COMPONENT_ENV_TO_MODULE_CONNECTOR,
    COMPONENT_MODULE_TO_ENV_CONNECTOR,
    COMPONENT_RL_MODULE,
    DEFAULT_MODULE_ID,
)
from shoal.rllib.core.rl_module.torch.compiling import compile_for_acting
from shoal.rllib.env.env_checks import check_env
from shoal.rllib.env.env_runner import EnvRunner
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import EnvError
from shoal.rllib.utils.metrics import (
    ENV_STEP_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    RLMODULE_INFERENCE_TIMER,
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
        self._maker = EnvMaker(config, worker_index, num_workers, recreated_worker)
        self._name = self._maker.name
        self._spaces = spaces
        self._steps_sampled = 0  # by this runner
        self._global_timesteps: int | None = None  # by all runners, as last told
        self.metrics = MetricsLogger(stats_cls_lookup=config.custom_stats_cls_lookup)
        self.num_envs = 0
        self.progress = 0  # how often environments were stepped: whoever waits can see whether it goes on
        self._seed_generators()
        self._stepper: Stepper | None = None
        self._callbacks = make_callbacks(config)
        self._clip_rewards = None if getattr(config, "in_evaluation", False) else clipping_of(config)
        # Actors are watched by their group, which can end them.
        limit = config.sample_timeout_s if worker_index == 0 else None
        self._stall_watch = StallWatch(limit, self) if limit else None
        if self._stall_watch is not None:
            weakref.finalize(self, self._stall_watch.end)
        self._watch: AbstractContextManager[None] = self._stall_watch or nullcontext()
        if worker_index > 0 or num_workers == 0 or config.create_env_on_local_worker or spaces is None:
            self.make_env()
        self._make_connectors()
        self.make_module()

    # What it is made of.

    def make_env(self) -> None:
        """Makes the environments; those that it has are closed before.

        Raises:
            EnvError: there is no such environment, it cannot be made, or it does not do what its spaces say.
        """
        if self.env is not None:
            self.env.close()
        maker = self._maker
        if maker.is_to_be_checked:
            self._check_env()
        self._make_envs()
        if self._callbacks.has("on_environment_created"):
            self._callbacks.call(
                "on_environment_created",
                env_runner=self,
                metrics_logger=self.metrics,
                env=self.env,
                env_context=maker.context(0),
            )

    def _make_envs(self) -> None:
        self.env, self._stepper = self._maker.vector()
        self._maker.check_spaces(self.env)
        self.num_envs = self.config.num_envs_per_env_runner
        self._recorder: ColumnRecorder | None = None
        self._live: LiveRecorder | None = None

    def _check_env(self) -> None:
        check_env(lambda: self._maker.make_single(0), self._maker.kind, mask_key=self.config.action_mask_key)

    def _make_connectors(self) -> None:
        spaces = self._env_spaces()
        self._env_to_module = self.config.build_env_to_module_connector(env=self.env, spaces=spaces, device=None)
        self._module_to_env = self.config.build_module_to_env_connector(env=self.env, spaces=spaces)
        self._transform = row_transform(self._env_to_module)
        self._is_fused = self._transform is not None and has_only_defaults(self._module_to_env)
        observations, actions = spaces["__env_single__"]
        self._columns_do = (
            self._is_fused
            and not self._callbacks.has(*EPISODE_HOOKS)
            and form_of(observations) is not None
            and form_of(actions) is not None
        )
        for piece in self._module_to_env.connectors:
            if isinstance(piece, GetActions) and piece.generator is None:
                piece.generator = self._torch_generator

    def make_module(self) -> None:
        """Makes the module, without weights of a learner as yet."""
        spec = self.config.get_rl_module_spec(env=self.env, spaces=self.get_spaces(), inference_only=True)
        with torch.random.fork_rng(devices=[]):  # the program's own torch generator is left alone
            torch.manual_seed(self._module_seed)
            self.module = spec.build()
        compile_for_acting(self.module, self.config)
        self._acting: FusedActing | None = None
        self._piped: PipelineActing | None = None

    def get_spaces(self) -> dict[str, Any]:
        spaces = self._env_spaces()
        observations, actions = spaces["__env_single__"]
        seen = self._env_to_module.observation_space
        return {**spaces, DEFAULT_MODULE_ID: (observations if seen is None else seen, actions)}

    def _env_spaces(self) -> dict[str, Any]:
        if self.env is None:
            assert self._spaces is not None
            return {name: self._spaces[name] for name in ("__env__", "__env_single__")}
        return {
            "__env__": (self.env.observation_space, self.env.action_space),
            "__env_single__": (self.env.single_observation_space, self.env.single_action_space),
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
        sampling = self._sample_columns if self._by_columns else self._sample_live
        try:
            with self._watch:
                episodes, finished = sampling(
                    num_timesteps, num_episodes, explore, random_actions, force_reset or num_episodes is not None
                )
        except BaseException:
            self._forget_episodes()  # where they stand is not known: whoever samples again starts with a reset
            raise
        if self._clip_rewards is not None:
            clip_rewards(episodes, self._clip_rewards)
        steps = sum(map(len, episodes))
        self._steps_sampled += steps
        self._log(steps, finished, time.perf_counter() - started)
        if self._callbacks.has("on_sample_end"):
            self._callbacks.call("on_sample_end", env_runner=self, metrics_logger=self.metrics, samples=episodes)
        return episodes

    def _forget_episodes(self) -> None:
        for recorder in (self._recorder, self._live):
            if recorder is not None:
                recorder.forget()

    @property
    def _by_columns(self) -> bool:
        """Whether nobody looks at episodes while they grow."""
        return self._columns_do

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
                self._random(recorder.observation())
                if random_actions
                else acting.act(recorder.observation(), explore=explore, timestep=timestep + stepped)
            )
            between = clock()
            resetting = recorder.resetting
            try:
                steps = stepper.step(acted.for_env, resetting)
            except EnvError as error:
                raise _at_step(error, stepper.current, recorder.step_of) from error.__cause__
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

    def _sample_live(
        self, num_timesteps: int | None, num_episodes: int | None, explore: bool, random_actions: bool, reset: bool
    ) -> tuple[list[SingleAgentEpisode], list[Finished]]:
        live, acting, stepper = self._prepared_live()
        clock = time.perf_counter
        in_env = in_module = 0.0
        if reset or not live.is_reset:
            live.create()
            live.reset(*stepper.reset(self._reset_seeds()))
            acting.observe(live.episodes, explore=explore)
            live.tell()
        stepped = 0
        timestep = self._timestep()
        while stepped < num_timesteps if num_timesteps is not None else live.num_finished < (num_episodes or 0):
            before = clock()
            if random_actions:
                acted = self._random(stack([episode.get_observations(-1) for episode in live.episodes]))
                actions, for_env = unstack(acted.actions), acted.for_env
                extras: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            else:
                proposed = acting.act(live.episodes, explore=explore, timestep=timestep + stepped)
                actions, extras = proposed.actions, proposed.extras
                for_env = stack(proposed.for_env)
            between = clock()
            try:
                steps = stepper.step(for_env, live.resetting)
            except EnvError as error:
                raise _at_step(error, stepper.current, live.step_of) from error.__cause__
            in_module += between - before
            in_env += clock() - between
            self.progress += 1
            stepped += live.record(actions, extras, steps, stepper.failed)
            acting.observe(live.episodes, explore=explore)
            live.tell()
        episodes, finished = live.finish(unfinished=num_timesteps is not None)
        if num_episodes is not None:
            episodes, finished = episodes[:num_episodes], finished[:num_episodes]
            live.forget()
        self.metrics.log_value(ENV_STEP_TIMER, in_env)
        self.metrics.log_value(RLMODULE_INFERENCE_TIMER, in_module)
        return episodes, finished

    def _prepared_live(self) -> tuple[LiveRecorder, PipelineActing, Stepper]:
        assert self._stepper is not None
        config, space = self.config, self.env.single_action_space
        if self._live is None:
            self._live = LiveRecorder(
                self.num_envs,
                self.env.single_observation_space,
                base_of_zero(space),
                lookback=self.lookback,
                new_id=self._new_id,
                name=self._name,
                checked=not config.disable_env_checking,
                hook=self._episode_hook,
            )
            self._to_module = inverse_for(space, normalize=config.normalize_actions)
        if self._piped is None:
            self._piped = PipelineActing(
                self.module, self._env_to_module, self._module_to_env, self._torch_generator, self.metrics
            )
        return self._live, self._piped, self._stepper

    @property
    def lookback(self) -> int:
        """How many steps of an episode its next chunk takes along."""
        return max(int(self.config.episode_lookback_horizon), int(self._env_to_module.lookback))

    def _episode_hook(
        self, name: str, n: int, episode: SingleAgentEpisode, chunks: list[SingleAgentEpisode] | None
    ) -> None:
        if not self._callbacks.has(name):
            return
        more = {} if chunks is None else {"prev_episode_chunks": chunks}
        self._callbacks.call(
            name,
            episode=episode,
            env_runner=self,
            metrics_logger=self.metrics,
            env=self.env,
            env_index=n,
            rl_module=self.module,
            **more,
        )

    def _prepared(self) -> tuple[ColumnRecorder, FusedActing, Stepper]:
        assert self._stepper is not None
        config, space = self.config, self.env.single_action_space
        if self._recorder is None:
            observation_space = self.env.single_observation_space
            self._recorder = ColumnRecorder(
                self.num_envs,
                observation_space,
                self._env_to_module.observation_space or observation_space,
                base_of_zero(space),
                lookback=self.lookback,
                new_id=self._new_id,
                name=self._name,
                checked=not config.disable_env_checking,
                transform=None if isinstance(self._transform, bool) else self._transform,
            )
            self._to_module = inverse_for(space, normalize=config.normalize_actions)
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

    def _random(self, observations: Any) -> Acted:
        """Returns actions by chance, for rows of observations."""
        drawn = self.env.action_space.sample()
        key = self.config.action_mask_key
        if isinstance(observations, dict) and key in observations:
            keep_to_masks(drawn, unstack(observations), self.env.single_action_space, key, self._generator)
        return Acted(drawn if self._to_module is None else self._to_module(drawn), drawn, {})

    def _log(self, steps: int, finished: list[Finished], seconds: float) -> None:
        window = smoothing_window(self.config, self.num_workers if self.worker_index else 0)
        log_steps(self.metrics, steps, seconds)
        self.metrics.log_value(WEIGHTS_SEQ_NO, self.weights_version, window=1)
        per_step = self.num_envs * seconds / steps if steps else 0.0
        log_episodes(self.metrics, finished, per_step, window)
        self._log_agent(steps, finished, window)

    def _log_agent(self, steps: int, finished: list[Any], window: int) -> None:
        log_one_agent(self.metrics, steps, finished, window)

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
        self.module.set_state(_writable(own))
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
        state: dict[str, Any] = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self._steps_sampled}
        if _wanted(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.get_weights()
            state[WEIGHTS_SEQ_NO] = self.weights_version
        for name, pipeline in self._pipelines().items():
            if _wanted(name, components, not_components):
                state[name] = pipeline.get_state()
        if _wanted(SAMPLER, components, not_components) and self.env is not None:
            state[SAMPLER] = self._sampler_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            self.set_weights(state[COMPONENT_RL_MODULE])
        if WEIGHTS_SEQ_NO in state:
            self.weights_version = state[WEIGHTS_SEQ_NO]
        for name, pipeline in self._pipelines().items():
            if name in state:
                pipeline.set_state(state[name])
        if SAMPLER in state and self.env is not None:
            self._set_sampler_state(state[SAMPLER])
            self._steps_sampled = state[NUM_ENV_STEPS_SAMPLED_LIFETIME]

    def _pipelines(self) -> dict[str, Any]:
        return {
            COMPONENT_ENV_TO_MODULE_CONNECTOR: self._env_to_module,
            COMPONENT_MODULE_TO_ENV_CONNECTOR: self._module_to_env,
        }

    @property
    def has_connector_states(self) -> bool:
        """Whether connectors learn anything of data."""
        return any(
            isinstance(piece, ConnectorV2) and type(piece).get_state is not ConnectorV2.get_state
            for pipeline in self._pipelines().values()
            for piece in pipeline.connectors
        )

    def merge_connector_states(self, states: list[dict[str, Any]]) -> None:
        """Merges the states of other runners' connectors into those of this one. Without any, its own are settled."""
        for name, pipeline in self._pipelines().items():
            own = [state[name] for state in states if name in state] or [pipeline.get_state()]
            pipeline.set_state(pipeline.merge_states(own))

    def _sampler_state(self) -> dict[str, Any]:
        assert self._stepper is not None
        recorder: ColumnRecorder | LiveRecorder
        acting: FusedActing | PipelineActing
        by_columns = self._by_columns
        recorder, acting, _ = self._prepared() if by_columns else self._prepared_live()
        envs = self._stepper.get_state() if recorder.is_reset else None
        if envs is None:
            recorder.forget()
        return {
            "torch_generator": self._torch_generator.get_state().numpy(),
            "generator": self._generator.bit_generator.state,
            "ids": self._ids.bit_generator.state,
            "action_space": [space.np_random.bit_generator.state for space in _spaces_in(self.env.action_space)],
            "seeded": self._seeded,
            "metrics": self.metrics.get_state(),
            "envs": envs,
            "by_columns": by_columns,
            "recorder": None if envs is None else recorder.get_state(),
            "acting": None if envs is None else acting.get_state(),
        }

    def _set_sampler_state(self, state: dict[str, Any]) -> None:
        assert self._stepper is not None
        recorder: ColumnRecorder | LiveRecorder
        acting: FusedActing | PipelineActing
        recorder, acting, _ = self._prepared() if self._by_columns else self._prepared_live()
        self._torch_generator.set_state(torch.from_numpy(np.array(state["torch_generator"])))
        self._generator.bit_generator.state = state["generator"]
        self._ids.bit_generator.state = state["ids"]
        for space, kept in zip(_spaces_in(self.env.action_space), state["action_space"], strict=True):
            space.np_random.bit_generator.state = kept
        self._seeded = state["seeded"]
        self.metrics.set_state(state["metrics"])
        if state["envs"] is None or state["by_columns"] is not self._by_columns:
            recorder.forget()
            return
        self._stepper.set_state(state["envs"])
        recorder.set_state(state["recorder"])
        acting.set_state(state["acting"])

    def assert_healthy(self) -> None:
        """Raises EnvError if there is neither an environment nor spaces to act without one."""
        if self.module is None:
            raise EnvError(f"{self!r} has no module")

    def stop(self) -> None:
        if self._stall_watch is not None:
            self._stall_watch.stop()
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
        mine, torchs, ids = np.random.SeedSequence(entropy).spawn(3)
        self._ids = np.random.default_rng(ids)
        self._generator = np.random.default_rng(mine)
        self._torch_generator = torch.Generator()
        self._torch_generator.manual_seed(int(torchs.generate_state(1, np.uint64)[0] >> 1))
        self._module_seed = int(self._generator.integers(2**31))
        self._seeded = False

    def _reset_seeds(self) -> list[int | None]:
        """Returns the environments' seeds: at the first reset (and when environments could not be saved) all are given one."""
        if not self._seeded:
            self._seeded = True
            for space in _spaces_in(self.env.action_space):
                space.seed(int(self._generator.integers(2**31)))
        return [int(self._generator.integers(2**31)) for _ in range(self.num_envs)]

    def _new_id(self) -> str:
        return self._ids.bytes(16).hex()


def _writable(state: dict[str, Any]) -> dict[str, Any]:
    """Returns a state without read-only arrays: those that came from another process are, and torch warns of them."""
    return {
        key: np.array(value) if isinstance(value, np.ndarray) and not value.flags.writeable else value
        for key, value in state.items()
    }


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


def _at_step(error: EnvError, n: int | None, step_of: Callable[[int], int]) -> EnvError:
    """Returns an error of stepping that also tells at which step of its episode the environment was."""
    return error if n is None else type(error)(f"{error}. This was step {step_of(n)} of its episode")
