"""One episode of several agents, or a part of it."""

from __future__ import annotations

import copy
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from typing import Any

import gymnasium as gym

from shoal.rllib.env.multi_agent_env import AgentID, MultiAgentDict, agents_of
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.env.utils.agent_series import AgentSeries, agents_among, by_agent, position_at, steps_of, values_at
from shoal.rllib.env.utils.infinite_lookback_buffer import Indices, InfiniteLookbackBuffer
from shoal.rllib.utils.error import ConfigError, MultiAgentEnvError

_Slice = slice  # the class; episodes have a method of that name


class MultiAgentEpisode:
    """A chunk of an episode in which agents act, each when it is observed. Made of a SingleAgentEpisode for each agent.

    An agent's step lasts from one of its observations to its next one, however many steps the environment takes meanwhile; all rewards that
    come for it in between are its step's. Getters count steps of the environment, or with `env_steps=False` each agent's own.

    Args:
        id_: a name that the chunks of one episode share; made up if None.
        observations: dictionaries by agent: one more than there are steps.
        observation_space: by agent.
        infos: as many as observations.
        actions: dictionaries by agent, one a step.
        action_space: by agent.
        rewards: dictionaries by agent, one a step.
        terminateds: whether agents (or "__all__") had ended by the last step; True for all.
        truncateds: whether they were cut off.
        extra_model_outputs: one a step: dictionaries by agent of dictionaries.
        env_t_started: how many steps of the environment there were before this chunk.
        agent_t_started: how many steps agents had before it.
        len_lookback_buffer: how many of the given steps are the lookback buffer; "auto": all.
        agent_episode_ids: names of agents' episodes.
        agent_module_ids: which module acts for an agent, where that is settled.
        agent_to_module_mapping_fn: (agent, episode) gives the module of an agent that is new.

    Raises:
        MultiAgentEnvError: (a ValueError) the lengths do not fit, or agents do what they cannot.

    Example:
        >>> episode = MultiAgentEpisode()
        >>> episode.add_env_reset(observations={"a": 0, "b": 1})
        >>> episode.add_env_step({"b": 2}, {"a": 0, "b": 1}, {"a": 1.0, "b": 2.0})
        >>> episode.add_env_step({"a": 3}, {"b": 0}, {"a": 0.5, "b": 1.0}, terminateds={"__all__": True})
        >>> episode.agent_episodes["a"].get_rewards(), len(episode), episode.get_return()
        ([1.5], 2, 4.5)
    """

    SKIP_ENV_TS_TAG = "S"

    def __init__(
        self,
        id_: str | None = None,
        *,
        observations: Sequence[MultiAgentDict] | None = None,
        observation_space: Any = None,
        infos: Sequence[MultiAgentDict] | None = None,
        actions: Sequence[MultiAgentDict] | None = None,
        action_space: Any = None,
        rewards: Sequence[MultiAgentDict] | None = None,
        terminateds: MultiAgentDict | bool = False,
        truncateds: MultiAgentDict | bool = False,
        extra_model_outputs: Sequence[MultiAgentDict] | None = None,
        env_t_started: int | None = None,
        agent_t_started: dict[AgentID, int] | None = None,
        len_lookback_buffer: int | str = "auto",
        agent_episode_ids: dict[AgentID, str] | None = None,
        agent_module_ids: dict[AgentID, str] | None = None,
        agent_to_module_mapping_fn: Callable[..., str] | None = None,
    ) -> None:
        self.id_: str = id_ or uuid.uuid4().hex
        self.agent_to_module_mapping_fn = agent_to_module_mapping_fn
        self.custom_data: dict[str, Any] = {}
        self.agent_episodes: dict[AgentID, SingleAgentEpisode] = {}
        self.observation_space = observation_space or {}
        self.action_space = action_space or {}
        self.is_terminated = False
        self.is_truncated = False
        self.env_t_started = env_t_started or 0
        self.env_t = self.env_t_started
        self._agent_ids = dict(agent_episode_ids or {})
        self._agent_modules = dict(agent_module_ids or {})
        self._agent_started = dict(agent_t_started or {})
        # At which step of the environment each observation of an agent came, those of its lookback buffer counted.
        self._seen_at: dict[AgentID, list[int]] = {}
        self._begun: dict[
            AgentID, tuple[Any, dict[str, Any]]
        ] = {}  # actions that wait for their agent's next observation
        self._pending: dict[AgentID, float] = {}  # rewards that wait for it
        self._done: dict[AgentID, bool] = {}
        self._last: list[AgentID] = []  # who was observed last and goes on
        self._stepped: list[AgentID] = []  # who was observed last
        self._lookback = 0
        self._start_time: float | None = None
        self._last_step_time: float | None = None
        if observations:
            self._replay(
                observations,
                infos,
                actions or [],
                rewards or [],
                terminateds,
                truncateds,
                extra_model_outputs,
                len_lookback_buffer,
            )

    def _replay(
        self,
        observations: Sequence[MultiAgentDict],
        infos: Sequence[MultiAgentDict] | None,
        actions: Sequence[MultiAgentDict],
        rewards: Sequence[MultiAgentDict],
        terminateds: Any,
        truncateds: Any,
        extras: Sequence[MultiAgentDict] | None,
        len_lookback_buffer: int | str,
    ) -> None:
        steps = len(actions)
        if len(observations) != steps + 1 or len(rewards) != steps:
            raise MultiAgentEnvError(
                f"an episode has one more observation than actions and rewards; here are {len(observations)} observations, {steps} "
                f"actions and {len(rewards)} rewards"
            )
        lookback = steps if len_lookback_buffer == "auto" else min(int(len_lookback_buffer), steps)
        self.env_t = self.env_t_started - lookback
        self.add_env_reset(observations=observations[0], infos=infos[0] if infos else None)
        for i in range(steps):
            last = i == steps - 1
            self.add_env_step(
                observations[i + 1],
                actions[i],
                rewards[i],
                infos[i + 1] if infos else None,
                terminateds=_flags(terminateds) if last else None,
                truncateds=_flags(truncateds) if last else None,
                extra_model_outputs=extras[i] if extras else None,
            )
        self._lookback = lookback
        for agent, episode in self.agent_episodes.items():
            before = sum(at <= self.env_t_started for at in self._seen_at[agent][1:])
            buffers = [episode.actions, episode.rewards, *episode.extra_model_outputs.values()]
            for buffer in [episode.observations, episode.infos, *buffers]:
                buffer.lookback = before
            episode.t_started = self._agent_started.get(agent, 0)
            episode.t = episode.t_started + len(episode.rewards)

    # Growing.

    def add_env_reset(self, *, observations: MultiAgentDict, infos: MultiAgentDict | None = None) -> None:
        """Starts the episode.

        Raises:
            MultiAgentEnvError: it has started already, or nobody was observed.
        """
        if self._seen_at:
            raise MultiAgentEnvError(f"{self} has started already")
        for agent, observation in observations.items():
            self._meet(agent, observation, (infos or {}).get(agent))
        self._last = self._stepped = list(observations)
        self._start_time = time.perf_counter()

    def add_env_step(
        self,
        observations: MultiAgentDict,
        actions: MultiAgentDict,
        rewards: MultiAgentDict,
        infos: MultiAgentDict | None = None,
        *,
        terminateds: MultiAgentDict | None = None,
        truncateds: MultiAgentDict | None = None,
        extra_model_outputs: MultiAgentDict | None = None,
    ) -> None:
        """Adds a step of the environment.

        Args:
            observations: of the agents that are observed now.
            actions: of those that acted.
            rewards: of any agents.
            infos: of any agents.
            terminateds: which agents have ended; "__all__": the episode has.
            truncateds: which were cut off.
            extra_model_outputs: by agent, further outputs of its module.

        Raises:
            MultiAgentEnvError: the episode is over, or an agent acted or was observed that has ended.
        """
        if self.is_done:
            raise MultiAgentEnvError(f"{self} is over; start another one")
        terminateds, truncateds, infos = terminateds or {}, truncateds or {}, infos or {}
        extras = extra_model_outputs or {}
        self.env_t += 1
        self.is_terminated = bool(terminateds.get("__all__", False))
        self.is_truncated = bool(truncateds.get("__all__", False))
        for agent, action in actions.items():
            if agent not in self.agent_episodes or self._done.get(agent):
                reason = "has ended" if agent in self.agent_episodes else "has not been observed"
                raise MultiAgentEnvError(f"agent {agent!r} acted at step {self.env_t - 1}, but {reason}")
            self._begun[agent] = (action, extras.get(agent, {}))
        for agent, reward in rewards.items():
            self._pending[agent] = self._pending.get(agent, 0.0) + float(reward)
        for agent, observation in observations.items():
            if self._done.get(agent):
                raise MultiAgentEnvError(f"agent {agent!r} is observed at step {self.env_t}, but has ended")
            if agent not in self.agent_episodes:
                self._meet(agent, observation, infos.get(agent))
            elif agent in self._begun:
                self._complete(agent, observation, infos.get(agent))
            else:  # it was observed again without having acted: the newer observation is what it acts on
                self._seen_again(agent, observation, infos.get(agent))
        over = self.is_done
        for agent in list(self.agent_episodes):
            if self._done.get(agent):
                continue
            terminated, truncated = bool(terminateds.get(agent, False)), bool(truncateds.get(agent, False))
            if not (terminated or truncated or over):
                continue
            if agent in self._begun:  # it ended without another observation: its last one stands for it
                self._complete(agent, self.agent_episodes[agent].get_observations(-1), infos.get(agent))
            self._end(
                agent,
                terminated or (self.is_terminated and not truncated),
                truncated or not (terminated or self.is_terminated),
            )
        self._last = [agent for agent in observations if not self._done.get(agent)]
        self._stepped = list(observations)
        self._last_step_time = time.perf_counter()

    def _meet(self, agent: AgentID, observation: Any, info: Any) -> None:
        """An agent is observed for the first time in this episode."""
        if agent not in self._agent_ids:
            self._agent_ids[agent] = f"{self.id_}_{agent}"
        episode = SingleAgentEpisode(
            self._agent_ids[agent],
            observation_space=_of(self.observation_space, agent),
            action_space=_of(self.action_space, agent),
            agent_id=agent,
            module_id=self.module_for(agent),
            multi_agent_episode_id=self.id_,
        )
        episode.add_env_reset(observation, info)
        self.agent_episodes[agent] = episode
        self._seen_at[agent] = [self.env_t]

    def _complete(self, agent: AgentID, observation: Any, info: Any) -> None:
        action, extras = self._begun.pop(agent)
        self.agent_episodes[agent].add_env_step(
            observation, action, self._pending.pop(agent, 0.0), info, extra_model_outputs=extras
        )
        self._seen_at[agent].append(self.env_t)

    def _seen_again(self, agent: AgentID, observation: Any, info: Any) -> None:
        episode = self.agent_episodes[agent]
        episode.set_observations(new_data=observation, at_indices=-1)
        if info is not None:
            episode.infos.data[-1] = info
        self._seen_at[agent][-1] = self.env_t

    def _end(self, agent: AgentID, terminated: bool, truncated: bool) -> None:
        episode = self.agent_episodes[agent]
        late = self._pending.pop(agent, 0.0)
        if late and len(episode):  # nothing follows that it could count for
            episode.set_rewards(new_data=episode.get_rewards(-1) + late, at_indices=-1)
        episode.is_terminated, episode.is_truncated = terminated, truncated and not terminated
        self._done[agent] = True

    # Agents.

    @property
    def agent_ids(self) -> set[AgentID]:
        """All agents that were observed."""
        return set(self.agent_episodes)

    @property
    def agent_episode_ids(self) -> dict[AgentID, str]:
        """The names of agents' episodes."""
        return {agent: episode.id_ for agent, episode in self.agent_episodes.items()}

    def module_for(self, agent_id: AgentID) -> str | None:
        """Returns the id of the module that acts for an agent throughout this episode. Raises ConfigError where the mapping raises."""
        if agent_id not in self._agent_modules:
            if self.agent_to_module_mapping_fn is None:
                return None
            try:
                self._agent_modules[agent_id] = self.agent_to_module_mapping_fn(agent_id, self)
            except Exception as error:
                raise ConfigError(
                    f"policy_mapping_fn raised {type(error).__name__} for agent {agent_id!r}: {error}. It is called as "
                    "policy_mapping_fn(agent_id, episode), and returns the id of a policy"
                ) from error
        return self._agent_modules[agent_id]

    def get_agents_to_act(self) -> set[AgentID]:
        """Returns the agents that were observed last and go on: they act next."""
        return set() if self.is_done else {agent for agent in self._last if not self._done.get(agent)}

    def get_agents_that_stepped(self) -> list[AgentID]:
        """Returns the agents that were observed last, in the order in which they were."""
        return list(self._stepped)

    def env_t_to_agent_t(self, agent_id: AgentID, env_t: int) -> int | str:
        """Returns which of an agent's observations came at a step of the environment, from 0 for the first one kept; "S" if none did."""
        position = position_at(self._seen_at.get(agent_id, []), env_t)
        return self.SKIP_ENV_TS_TAG if position is None else position

    # Reading.

    def get_observations(
        self,
        indices: Indices = None,
        agent_ids: Collection[AgentID] | AgentID | None = None,
        *,
        env_steps: bool = True,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        one_hot_discrete: bool = False,
        return_list: bool = False,
    ) -> Any:
        """Returns observations by agent.

        Args:
            indices: one step, a slice, or a list of steps; None: all of this chunk.
            agent_ids: whose; None: everybody's.
            env_steps: whether steps are the environment's, rather than each agent's own.
            neg_index_as_lookback: -1 is the last one before index 0, not the last one of all.
            fill: the value of what is not there. None: it is left out, and for agents' own steps an IndexError.
            one_hot_discrete: encodes values of Discrete and MultiDiscrete spaces.
            return_list: a list of dictionaries by agent, one a step of the environment, instead of a dictionary by agent.
        """
        return self._get(
            lambda episode: episode.observations,
            1,
            indices,
            agent_ids,
            env_steps,
            neg_index_as_lookback,
            fill,
            one_hot_discrete,
            return_list,
        )

    def get_infos(
        self,
        indices: Indices = None,
        agent_ids: Collection[AgentID] | AgentID | None = None,
        *,
        env_steps: bool = True,
        neg_index_as_lookback: bool = False,
        return_list: bool = False,
    ) -> Any:
        """Returns infos by agent. See get_observations()."""
        return self._get(
            lambda episode: episode.infos,
            1,
            indices,
            agent_ids,
            env_steps,
            neg_index_as_lookback,
            None,
            False,
            return_list,
        )

    def get_actions(
        self,
        indices: Indices = None,
        agent_ids: Collection[AgentID] | AgentID | None = None,
        *,
        env_steps: bool = True,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        one_hot_discrete: bool = False,
        return_list: bool = False,
    ) -> Any:
        """Returns actions by agent: at the step at which they were taken. See get_observations()."""
        return self._get(
            lambda episode: episode.actions,
            0,
            indices,
            agent_ids,
            env_steps,
            neg_index_as_lookback,
            fill,
            one_hot_discrete,
            return_list,
        )

    def get_rewards(
        self,
        indices: Indices = None,
        agent_ids: Collection[AgentID] | AgentID | None = None,
        *,
        env_steps: bool = True,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        return_list: bool = False,
    ) -> Any:
        """Returns rewards by agent: at the step at which the action was taken for which they count. See get_observations()."""
        return self._get(
            lambda episode: episode.rewards,
            0,
            indices,
            agent_ids,
            env_steps,
            neg_index_as_lookback,
            fill,
            False,
            return_list,
        )

    def get_extra_model_outputs(
        self,
        key: str | None = None,
        indices: Indices = None,
        agent_ids: Collection[AgentID] | AgentID | None = None,
        *,
        env_steps: bool = True,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        return_list: bool = False,
    ) -> Any:
        """Returns further outputs of modules by agent; without a key: a dictionary of all. See get_observations()."""
        if key is None:
            keys = {name for episode in self.agent_episodes.values() for name in episode.extra_model_outputs}
            return {
                name: self.get_extra_model_outputs(name, indices, agent_ids, env_steps=env_steps)
                for name in sorted(keys)
            }
        return self._get(
            lambda episode: episode.extra_model_outputs.get(key),
            0,
            indices,
            agent_ids,
            env_steps,
            neg_index_as_lookback,
            fill,
            False,
            return_list,
        )

    def _get(
        self,
        series: Callable[[SingleAgentEpisode], InfiniteLookbackBuffer | None],
        more: int,
        indices: Indices,
        agent_ids: Any,
        env_steps: bool,
        neg_index_as_lookback: bool,
        fill: float | None,
        one_hot_discrete: bool,
        return_list: bool,
    ) -> Any:
        chosen = agents_among(self.agent_episodes, agent_ids)
        buffers = {agent: buffer for agent in chosen if (buffer := series(self.agent_episodes[agent])) is not None}
        if not env_steps:
            return {
                agent: buffer.get(
                    indices, neg_index_as_lookback=neg_index_as_lookback, fill=fill, one_hot_discrete=one_hot_discrete
                )
                for agent, buffer in buffers.items()
            }
        own = {
            agent: AgentSeries(
                buffer, self._seen_at[agent], self.agent_episodes[agent].observations.lookback - buffer.lookback
            )
            for agent, buffer in buffers.items()
        }
        steps = steps_of(indices, self.env_t_started, self.env_t + more, neg_index_as_lookback)
        found = values_at(own, [steps] if isinstance(steps, int) else steps, fill, one_hot_discrete)
        if isinstance(steps, int):
            return found[0]
        return found if return_list else by_agent(found, own)

    def get_terminateds(self) -> MultiAgentDict:
        """Returns which agents have ended; "__all__": whether the episode has."""
        flags = {agent: episode.is_terminated for agent, episode in self.agent_episodes.items()}
        return {**flags, "__all__": self.is_terminated}

    def get_truncateds(self) -> MultiAgentDict:
        """Returns which agents were cut off; "__all__": whether the episode was."""
        flags = {agent: episode.is_truncated for agent, episode in self.agent_episodes.items()}
        return {**flags, "__all__": self.is_truncated}

    def get_return(self, consider_hanging_rewards: bool = False) -> float:
        """Returns the sum of all agents' rewards in this chunk; with `consider_hanging_rewards` also of those whose steps are not over."""
        total = sum(episode.get_return() for episode in self.agent_episodes.values())
        return total + (sum(self._pending.values()) if consider_hanging_rewards else 0.0)

    def get_duration_s(self) -> float:
        """Returns the seconds from the start to the last step."""
        if self._start_time is None or self._last_step_time is None:
            return 0.0
        return self._last_step_time - self._start_time

    @property
    def is_done(self) -> bool:
        """Whether the episode has ended for all."""
        return self.is_terminated or self.is_truncated

    @property
    def is_reset(self) -> bool:
        """Whether anybody was observed."""
        return bool(self._seen_at)

    @property
    def is_numpy(self) -> bool:
        """Whether the data are arrays."""
        return bool(self.agent_episodes) and all(episode.is_numpy for episode in self.agent_episodes.values())

    is_finalized = is_numpy

    def env_steps(self) -> int:
        """Returns how many steps of the environment this chunk has."""
        return len(self)

    def agent_steps(self) -> int:
        """Returns how many steps all agents have together."""
        return sum(len(episode) for episode in self.agent_episodes.values())

    def __len__(self) -> int:
        return self.env_t - self.env_t_started

    def __bool__(self) -> bool:
        return True

    # Overwriting.

    def set_observations(
        self, *, new_data: MultiAgentDict, at_indices: Indices = None, neg_index_as_lookback: bool = False
    ) -> None:
        """Overwrites observations: `new_data` by agent, `at_indices` in each agent's own steps."""
        for agent, data in new_data.items():
            self.agent_episodes[agent].set_observations(
                new_data=data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback
            )

    def set_actions(
        self, *, new_data: MultiAgentDict, at_indices: Indices = None, neg_index_as_lookback: bool = False
    ) -> None:
        """Overwrites actions. See set_observations()."""
        for agent, data in new_data.items():
            self.agent_episodes[agent].set_actions(
                new_data=data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback
            )

    def set_rewards(
        self, *, new_data: MultiAgentDict, at_indices: Indices = None, neg_index_as_lookback: bool = False
    ) -> None:
        """Overwrites rewards. See set_observations()."""
        for agent, data in new_data.items():
            self.agent_episodes[agent].set_rewards(
                new_data=data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback
            )

    def set_extra_model_outputs(
        self, *, key: str, new_data: MultiAgentDict, at_indices: Indices = None, neg_index_as_lookback: bool = False
    ) -> None:
        """Overwrites (or adds) outputs of modules. See set_observations()."""
        for agent, data in new_data.items():
            self.agent_episodes[agent].set_extra_model_outputs(
                key=key, new_data=data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback
            )

    # Cutting and joining.

    def to_numpy(self) -> MultiAgentEpisode:
        """Makes arrays of lists, in place, and returns the episode."""
        for episode in self.agent_episodes.values():
            episode.to_numpy()
        return self

    finalize = to_numpy

    def cut(self, len_lookback_buffer: int = 0) -> MultiAgentEpisode:
        """Returns the chunk that follows this one, without steps as yet. Steps of agents that are not over go on there.

        Args:
            len_lookback_buffer: how many steps of the environment it takes along.

        Raises:
            MultiAgentEnvError: the episode is over.
        """
        if self.is_done:
            raise MultiAgentEnvError(f"{self} is over: no chunk follows it")
        successor = self._empty(self.env_t)
        successor._lookback = min(len_lookback_buffer, len(self) + self._lookback)
        since = self.env_t - successor._lookback
        for agent, episode in self.agent_episodes.items():
            if self._done.get(agent):
                successor._done[agent] = True
                continue
            seen = self._seen_at[agent]
            keep = min(len(seen) - 1 - bisect_left(seen, since), episode.rewards.len_incl_lookback())
            successor.agent_episodes[agent] = episode.cut(max(keep, 0))
            successor._seen_at[agent] = seen[len(seen) - 1 - max(keep, 0) :]
        successor._begun, successor._pending = dict(self._begun), dict(self._pending)
        successor._last = list(self._last)
        successor._stepped = self.get_agents_that_stepped()
        successor.custom_data = dict(self.custom_data)
        successor._start_time = successor._last_step_time = self._last_step_time
        return successor

    def _empty(self, env_t_started: int) -> MultiAgentEpisode:
        return MultiAgentEpisode(
            self.id_,
            observation_space=self.observation_space,
            action_space=self.action_space,
            env_t_started=env_t_started,
            agent_episode_ids=self._agent_ids,
            agent_module_ids=self._agent_modules,
            agent_to_module_mapping_fn=self.agent_to_module_mapping_fn,
        )

    def slice(self, slice_: _Slice, *, len_lookback_buffer: int | None = None) -> MultiAgentEpisode:
        """Returns some of the environment's steps, as an episode. Agents' steps that are not whole in it are left out.

        Args:
            slice_: which steps; a step other than 1 is not possible.
            len_lookback_buffer: how many steps before them it takes along; None: as many as this chunk has.

        Raises:
            MultiAgentEnvError: the slice has a step.
        """
        if slice_.step not in (None, 1):
            raise MultiAgentEnvError(f"slice_={slice_!r}: the steps of an episode follow one another")
        start, stop, _ = slice_.indices(len(self))
        stop = max(start, stop)
        first, last = self.env_t_started + start, self.env_t_started + stop
        wanted = self._lookback if len_lookback_buffer is None else len_lookback_buffer
        part = self._empty(first)
        part._lookback = min(wanted, self._lookback + start)
        part.env_t = last
        whole = stop == len(self)
        for agent, episode in self.agent_episodes.items():
            seen = self._seen_at[agent]
            before = episode.observations.lookback
            low, high = bisect_left(seen, first), bisect_left(seen, last + 1)
            if low >= high:
                continue
            keep = min(low - bisect_left(seen, first - part._lookback), low)
            low_t = max(low - before, 0)
            keep = min(keep, before + low_t)
            own = episode.slice(_Slice(low_t, max(high - 1 - before, low_t)), len_lookback_buffer=keep)
            ended = whole and high == len(seen)
            own.is_terminated, own.is_truncated = episode.is_terminated and ended, episode.is_truncated and ended
            part.agent_episodes[agent] = own
            part._seen_at[agent] = seen[
                before + low_t - keep : before + low_t - keep + own.observations.len_incl_lookback()
            ]
            part._done[agent] = own.is_done
        if whole:
            part.is_terminated, part.is_truncated = self.is_terminated, self.is_truncated
            part._begun, part._pending = dict(self._begun), dict(self._pending)
        part._stepped = [agent for agent, seen in part._seen_at.items() if seen and seen[-1] == last]
        part._last = [agent for agent in part._stepped if not part._done[agent]]
        return part

    def __getitem__(self, item: _Slice) -> MultiAgentEpisode:
        if not isinstance(item, _Slice):
            raise TypeError(f"{item!r}: episodes take slices, as in episode[2:5]")
        return self.slice(item)

    def concat_episode(self, other: MultiAgentEpisode) -> None:
        """Adds the chunk that follows this one.

        Raises:
            MultiAgentEnvError: it is no successor of this chunk.
        """
        if other.id_ != self.id_ or other.env_t_started != self.env_t or self.is_done:
            raise MultiAgentEnvError(
                f"{other} (from step {other.env_t_started}) does not follow {self} (to step {self.env_t})"
            )
        for agent, theirs in other.agent_episodes.items():
            if agent in self.agent_episodes:
                new = len(other._seen_at[agent]) - theirs.observations.lookback - 1
                self._seen_at[agent].extend(other._seen_at[agent][len(other._seen_at[agent]) - new :])
                self.agent_episodes[agent].concat_episode(theirs)
            else:
                self.agent_episodes[agent] = theirs
                self._seen_at[agent] = list(other._seen_at[agent])
        self._agent_ids.update(other._agent_ids)
        self._agent_modules.update(other._agent_modules)
        self._done.update(other._done)
        self._begun, self._pending = dict(other._begun), dict(other._pending)
        self._last = list(other._last)
        self._stepped = other.get_agents_that_stepped()
        self.env_t = other.env_t
        self.is_terminated, self.is_truncated = other.is_terminated, other.is_truncated
        self.custom_data.update(other.custom_data)
        self._last_step_time = other._last_step_time or self._last_step_time

    def validate(self) -> None:
        """Checks that the series fit together. Raises ValueError."""
        for agent, episode in self.agent_episodes.items():
            episode.validate()
            if len(self._seen_at[agent]) != episode.observations.len_incl_lookback():
                raise MultiAgentEnvError(f"agent {agent!r} has observations whose steps are not known")

    # State.

    def get_state(self) -> dict[str, Any]:
        """Returns all of it as a dictionary that from_state() takes; the mapping function is not in it."""
        state = {name: copy.copy(getattr(self, name)) for name in _STATE}
        state["_seen_at"] = {agent: list(seen) for agent, seen in self._seen_at.items()}
        state["agent_episodes"] = {agent: episode.get_state() for agent, episode in self.agent_episodes.items()}
        return state

    @staticmethod
    def from_state(state: dict[str, Any]) -> MultiAgentEpisode:
        """Returns the episode that get_state() told of."""
        episode = MultiAgentEpisode(state["id_"])
        for name in _STATE:
            setattr(episode, name, copy.copy(state[name]))
        episode._seen_at = {agent: list(seen) for agent, seen in state["_seen_at"].items()}
        episode.agent_episodes = {
            agent: SingleAgentEpisode.from_state(own) for agent, own in state["agent_episodes"].items()
        }
        return episode

    def __repr__(self) -> str:
        return f"MAEps(len={len(self)} done={self.is_done} agents={agents_of(self.agent_episodes)} id_={self.id_})"


_STATE = (
    "id_",
    "custom_data",
    "observation_space",
    "action_space",
    "is_terminated",
    "is_truncated",
    "env_t_started",
    "env_t",
    "_agent_ids",
    "_agent_modules",
    "_agent_started",
    "_begun",
    "_pending",
    "_done",
    "_last",
    "_lookback",
    "_stepped",
)


def _of(spaces: Any, agent: AgentID) -> gym.Space[Any] | None:
    if isinstance(spaces, gym.spaces.Dict):
        return spaces.spaces.get(agent)
    return spaces.get(agent) if isinstance(spaces, dict) else None


def _flags(given: MultiAgentDict | bool) -> MultiAgentDict:
    return dict(given) if isinstance(given, dict) else {"__all__": bool(given)}
