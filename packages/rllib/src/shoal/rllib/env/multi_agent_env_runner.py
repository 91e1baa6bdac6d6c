"""Samples episodes of several agents."""

from __future__ import annotations

import time
from typing import Any, cast

import gymnasium as gym
import torch

from shoal.rllib._internal.sampling.action_scaling import inverse_for
from shoal.rllib._internal.sampling.multi_agent_recorder import FinishedMultiAgent, MultiAgentRecorder
from shoal.rllib._internal.sampling.multi_agent_stepping import MultiAgentStepper
from shoal.rllib._internal.sampling.pipeline_acting import PipelineActing
from shoal.rllib._internal.sampling.random_actions import allowed_action
from shoal.rllib.core.rl_module.torch.compiling import compile_for_acting
from shoal.rllib.env.env_checks import check_multi_agent_env
from shoal.rllib.env.multi_agent_env import MultiAgentEnv, agents_of
from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner, _writable
from shoal.rllib.env.vector.vector_multi_agent_env import VectorMultiAgentEnv
from shoal.rllib.utils.error import ConfigError, MultiAgentEnvError, close_matches
from shoal.rllib.utils.metrics import (
    ENV_STEP_TIMER,
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_MODULE_RETURN_MEAN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
    RLMODULE_INFERENCE_TIMER,
)


class MultiAgentEnvRunner(SingleAgentEnvRunner):
    """Steps several copies of a MultiAgentEnv with the modules that act for its agents.

    Args as of SingleAgentEnvRunner. Its sample() returns MultiAgentEpisodes, and counts steps as `count_steps_by` says.

    Raises:
        MultiAgentEnvError: (a ValueError) the environment is no MultiAgentEnv, or does not do what its spaces say.
    """

    _multi: MultiAgentRecorder | None = None

    def _make_envs(self) -> None:
        self.num_envs = self.config.num_envs_per_env_runner
        self.env = VectorMultiAgentEnv([self._make_multi(i) for i in range(self.num_envs)])
        stepper = MultiAgentStepper(
            self.env.envs,
            self._name,
            self._make_multi,
            bool(self.config.restart_failed_sub_environments),
            not self.config.disable_env_checking,
        )
        self._stepper: Any = self._maker.shown(stepper, self.env.envs)
        self._recorder = self._live = None
        self._multi = None

    def _check_env(self) -> None:
        check_multi_agent_env(lambda: self._make_multi(0), self._maker.kind, mask_key=self.config.action_mask_key)

    def _make_multi(self, vector_index: int) -> MultiAgentEnv:
        env = self._maker.make(vector_index)
        inner: Any = env
        while not isinstance(inner, MultiAgentEnv) and hasattr(inner, "env"):
            inner = inner.env
        if not isinstance(inner, MultiAgentEnv):
            raise MultiAgentEnvError(
                f"{self._name(vector_index)} is {env!r}, which is no MultiAgentEnv, and config.multi_agent() asks for one"
            )
        if not getattr(inner, "possible_agents", None):
            named = (getattr(inner, name, None) for name in ("agents", "_agent_ids", "observation_spaces"))
            inner.possible_agents = next((agents_of(agents) for agents in named if agents), [])
        if not inner.possible_agents:
            raise MultiAgentEnvError(f"{self._name(vector_index)} has no possible_agents; set them in __init__")
        return cast(MultiAgentEnv, env)

    def make_module(self) -> None:
        spec = self.config.get_multi_rl_module_spec(env=self.env, spaces=self.get_spaces(), inference_only=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._module_seed)
            self.module = spec.build()
        for module in self.module.values():
            compile_for_acting(module, self.config)
        self._piped = None

    def get_spaces(self) -> dict[str, Any]:
        """Returns spaces of the environments (by agent) and of each module to which an agent is mapped."""
        if self.env is None:
            assert self._spaces is not None
            return self._spaces
        spaces = self._env_spaces()
        _, actions = spaces["__env_single__"]
        seen = self._env_to_module.observation_space
        by_module: dict[str, Any] = {}
        for agent in self.env.envs[0].possible_agents:
            module_id: Any = MultiAgentEpisode(agent_to_module_mapping_fn=self.config.policy_mapping_fn).module_for(
                agent
            )
            if module_id not in self.config.policies:
                raise ConfigError(
                    f"policy_mapping_fn maps agent {agent!r} to {module_id!r}, which is none of policies: {sorted(self.config.policies)}."
                    + close_matches(str(module_id), self.config.policies)
                )
            observations = seen.spaces[agent] if isinstance(seen, gym.spaces.Dict) and agent in seen.spaces else seen
            by_module.setdefault(module_id, (observations, actions.spaces[agent]))
        kinds = {repr(pair): pair for pair in by_module.values()}
        if len(kinds) == 1:  # the mapping may depend on chance or on the episode; all modules are alike
            pair = next(iter(kinds.values()))
            for module_id in self.config.policies:
                by_module.setdefault(module_id, pair)
        return {**spaces, **by_module}

    def add_module(self, module_id: str, module_spec: Any, new_agent_to_module_mapping_fn: Any = None) -> None:
        """Adds a module; agents of episodes that start from now on may be mapped to it."""
        module = module_spec.build()
        compile_for_acting(module, self.config)
        self.module.add_module(module_id, module)
        self._map_anew(new_agent_to_module_mapping_fn)

    def remove_module(self, module_id: str, new_agent_to_module_mapping_fn: Any = None) -> None:
        """Removes a module. Episodes start anew, as agents may have been mapped to it."""
        self.module.remove_module(module_id)
        if self._multi is not None:
            self._multi.forget()
        self._map_anew(new_agent_to_module_mapping_fn)

    def _map_anew(self, mapping: Any) -> None:
        if mapping is None:
            return
        self._mapping = mapping
        if self._multi is not None:
            self._multi.mapping = mapping

    def _forget_episodes(self) -> None:
        if self._multi is not None:
            self._multi.forget()

    @property
    def _by_columns(self) -> bool:
        return False

    def _sample_live(
        self, num_timesteps: int | None, num_episodes: int | None, explore: bool, random_actions: bool, reset: bool
    ) -> tuple[list[Any], list[Any]]:
        recorder, acting, _ = self._prepared_live()
        stepper = self._stepper
        clock = time.perf_counter
        in_env = in_module = 0.0
        if reset or not recorder.is_reset:
            recorder.create()
            recorder.reset(*stepper.reset(self._reset_seeds()))
            acting.observe(recorder.episodes, explore=explore)
            recorder.tell()
        by_agents = getattr(self.config, "count_steps_by", "env_steps") == "agent_steps"
        counted = stepped = 0
        timestep = self._timestep()
        while counted < num_timesteps if num_timesteps is not None else recorder.num_finished < (num_episodes or 0):
            before = clock()
            agents = [
                set() if recorder.resetting[n] else episode.get_agents_to_act()
                for n, episode in enumerate(recorder.episodes)
            ]
            if random_actions:
                actions, for_env, extras = self._random_actions(recorder.episodes, agents)
            else:
                proposed = acting.act(recorder.episodes, explore=explore, timestep=timestep + stepped)
                actions = [_only(given, chosen) for given, chosen in zip(proposed.actions, agents, strict=True)]
                for_env = [_only(given, chosen) for given, chosen in zip(proposed.for_env, agents, strict=True)]
                extras = [
                    {
                        agent: {key: values[agent] for key, values in given.items() if agent in values}
                        for agent in chosen
                    }
                    for given, chosen in zip(proposed.extras, actions, strict=True)
                ]
            between = clock()
            steps = stepper.step(for_env, recorder.resetting)
            in_module += between - before
            in_env += clock() - between
            self.progress += 1
            now, acted = recorder.record(actions, extras, steps, stepper.failed)
            stepped += now
            counted += acted if by_agents else now
            acting.observe(recorder.episodes, explore=explore)
            recorder.tell()
        episodes, finished = recorder.finish(unfinished=num_timesteps is not None)
        if num_episodes is not None:
            episodes, finished = episodes[:num_episodes], finished[:num_episodes]
            recorder.forget()
        self.metrics.log_value(ENV_STEP_TIMER, in_env)
        self.metrics.log_value(RLMODULE_INFERENCE_TIMER, in_module)
        self._log_counts(episodes)
        return episodes, finished

    def _random_actions(
        self, episodes: list[MultiAgentEpisode], agents: list[set[Any]]
    ) -> tuple[list[Any], list[Any], list[Any]]:
        spaces, key = self.env.single_action_space.spaces, self.config.action_mask_key
        for_env = [
            {
                agent: allowed_action(space, episode.agent_episodes[agent].get_observations(-1), key)
                for agent, space in spaces.items()
                if agent in chosen
            }
            for episode, chosen in zip(episodes, agents, strict=True)
        ]
        inverses = {
            agent: inverse_for(space, normalize=self.config.normalize_actions) for agent, space in spaces.items()
        }
        actions = [
            {
                agent: action if (inverse := inverses[agent]) is None else inverse(action)
                for agent, action in given.items()
            }
            for given in for_env
        ]
        return actions, for_env, [{} for _ in agents]

    def _prepared_live(self) -> tuple[Any, PipelineActing, Any]:
        if self._multi is None:
            self._multi = MultiAgentRecorder(
                self.num_envs,
                (self.env.single_observation_space, self.env.single_action_space),
                getattr(self, "_mapping", self.config.policy_mapping_fn),
                lookback=self.lookback,
                new_id=self._new_id,
                hook=self._episode_hook,
            )
        if self._piped is None:
            self._piped = PipelineActing(
                self.module, self._env_to_module, self._module_to_env, self._torch_generator, self.metrics
            )
        return self._multi, self._piped, self._stepper

    def _log_counts(self, episodes: list[MultiAgentEpisode]) -> None:
        log = self.metrics.log_value
        by_agent: dict[Any, int] = {}
        by_module: dict[Any, int] = {}
        for episode in episodes:
            for agent, single in episode.agent_episodes.items():
                by_agent[agent] = by_agent.get(agent, 0) + len(single)
                by_module[single.module_id] = by_module.get(single.module_id, 0) + len(single)
        for counts, key, lifetime in (
            (by_agent, NUM_AGENT_STEPS_SAMPLED, NUM_AGENT_STEPS_SAMPLED_LIFETIME),
            (by_module, NUM_MODULE_STEPS_SAMPLED, NUM_MODULE_STEPS_SAMPLED_LIFETIME),
        ):
            for name, count in counts.items():
                log((key, str(name)), count, reduce="sum")
                log((lifetime, str(name)), count, reduce="lifetime_sum")

    def _log_agent(self, steps: int, finished: list[FinishedMultiAgent], window: int) -> None:
        log = self.metrics.log_value
        for episode in finished:
            for agent, returned in episode.by_agent.items():
                log((EPISODE_AGENT_RETURN_MEAN, str(agent)), returned, window=window)
            for module_id, returned in episode.by_module.items():
                log((EPISODE_MODULE_RETURN_MEAN, str(module_id)), returned, window=window)

    def set_weights(self, weights: dict[str, Any], version: int | None = None) -> None:
        """Takes over weights by module id; modules that are not here are left out."""
        if version is not None and version == self.weights_version:
            return
        for module_id, own in weights.items():
            if module_id in self.module:
                self.module[module_id].set_state(_writable(own))
        if version is not None:
            self.weights_version = version

    def get_weights(self, modules: Any = None, inference_only: bool = True) -> dict[str, Any]:
        """Returns weights by module id."""
        state: dict[str, Any] = self.module.get_state(inference_only=inference_only)
        return {key: value for key, value in state.items() if modules is None or key in modules}


def _only(given: dict[Any, Any], agents: set[Any]) -> dict[Any, Any]:
    """Returns what is given for those agents, in the order in which it is given."""
    return {agent: value for agent, value in given.items() if agent in agents}
