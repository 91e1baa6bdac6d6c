"""One episode of one agent, or a part of it."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.nested import first_leaf, is_nested, map_leaves
from shoal.rllib.env.utils.infinite_lookback_buffer import Indices, InfiniteLookbackBuffer

_Slice = slice  # the class; episodes have a method of that name
_REWARD_SPACE: gym.Space[Any] = gym.spaces.Box(-np.inf, np.inf, (), np.float32)


class SingleAgentEpisode:
    """A chunk of an episode: `len` actions and rewards, and `len + 1` observations and infos, the first of
    which is what the first action saw.

    Index 0 is the first step of this chunk. What earlier chunks left, the lookback buffer, is reached by negative indices with
    `neg_index_as_lookback=True`; otherwise negative indices count from the end.

    Args:
        id_: a name that the chunks of one episode share; made up if None.
        observations: one more than actions, or none of either. A list of values, or (finished episodes) a tree of arrays.
        observation_space: of one observation.
        infos: as many as observations.
        actions: as the module made them.
        action_space: of one action.
        rewards: as many as actions.
        terminated: whether the environment ended the episode.
        truncated: whether the episode was cut off, for instance by a limit of steps.
        extra_model_outputs: further outputs of the module, by key, each as many as actions.
        t_started: how many steps the episode had before this chunk.
        len_lookback_buffer: how many of the given actions are the lookback buffer; "auto": all of them.
        agent_id: which agent's, in multi-agent episodes.
        module_id: which module acts, in multi-agent episodes.
        multi_agent_episode_id: the id of the multi-agent episode that this is part of.

    Raises:
        ValueError: the lengths do not fit.

    Example:
        >>> episode = SingleAgentEpisode()
        >>> episode.add_env_reset(0)
        >>> episode.add_env_step(1, action=0, reward=0.5)
        >>> episode.add_env_step(2, action=1, reward=1.0, terminated=True)
        >>> len(episode), episode.get_return(), episode.get_observations([0, -1])
        (2, 1.5, [0, 2])
    """

    __slots__ = (
        "_action_space",
        "_last_step_time",
        "_observation_space",
        "_start_time",
        "actions",
        "agent_id",
        "custom_data",
        "extra_model_outputs",
        "id_",
        "infos",
        "is_terminated",
        "is_truncated",
        "module_id",
        "multi_agent_episode_id",
        "observations",
        "rewards",
        "t",
        "t_started",
    )

    def __init__(
        self,
        id_: str | None = None,
        *,
        observations: Any = None,
        observation_space: gym.Space[Any] | None = None,
        infos: Sequence[dict[Any, Any]] | None = None,
        actions: Any = None,
        action_space: gym.Space[Any] | None = None,
        rewards: Any = None,
        terminated: bool = False,
        truncated: bool = False,
        extra_model_outputs: dict[str, Any] | None = None,
        t_started: int | None = None,
        len_lookback_buffer: int | str = "auto",
        agent_id: Any = None,
        module_id: str | None = None,
        multi_agent_episode_id: str | None = None,
    ) -> None:
        self.id_: str = id_ or uuid.uuid4().hex
        self.agent_id = agent_id
        self.module_id = module_id
        self.multi_agent_episode_id = multi_agent_episode_id
        self.custom_data: dict[str, Any] = {}
        self.is_terminated = terminated
        self.is_truncated = truncated
        self._observation_space = observation_space
        self._action_space = action_space
        self._start_time: float | None = None
        self._last_step_time: float | None = None
        steps = 0 if rewards is None else len(rewards)
        if len_lookback_buffer == "auto":
            len_lookback_buffer = steps
        if not isinstance(len_lookback_buffer, int) or len_lookback_buffer < 0:
            raise ValueError(f'len_lookback_buffer={len_lookback_buffer!r}: give a number of steps >= 0, or "auto"')
        lookback = min(len_lookback_buffer, steps)
        self.observations = InfiniteLookbackBuffer(_own(observations), lookback, observation_space)
        seen = self.observations.len_incl_lookback()
        self.infos = InfiniteLookbackBuffer([{} for _ in range(seen)] if infos is None else list(infos), lookback)
        self.actions = InfiniteLookbackBuffer(_own(actions), lookback, action_space)
        self.rewards = InfiniteLookbackBuffer(_own(rewards), lookback, _REWARD_SPACE)
        self.extra_model_outputs: dict[str, InfiniteLookbackBuffer] = {
            key: InfiniteLookbackBuffer(_own(values), lookback) for key, values in (extra_model_outputs or {}).items()
        }
        self.t_started = t_started or 0
        self.t = self.t_started + len(self.rewards)
        self.validate()

    @classmethod
    def of_arrays(
        cls,
        *,
        id_: str,
        observations: Any,
        infos: list[dict[Any, Any]],
        actions: Any,
        rewards: Any,
        extra_model_outputs: dict[str, Any],
        lookback: int,
        t_started: int,
        terminated: bool,
        truncated: bool,
        observation_space: gym.Space[Any] | None,
        action_space: gym.Space[Any] | None,
    ) -> SingleAgentEpisode:
        """Returns an episode around arrays as they are, without copies and without checks."""
        episode = cls.__new__(cls)
        episode.id_ = id_
        episode.agent_id = episode.module_id = episode.multi_agent_episode_id = None
        episode.custom_data = {}
        episode.is_terminated = terminated
        episode.is_truncated = truncated
        episode._observation_space = observation_space
        episode._action_space = action_space
        episode._start_time = episode._last_step_time = None
        episode.observations = InfiniteLookbackBuffer(observations, lookback, observation_space)
        episode.infos = InfiniteLookbackBuffer(infos, lookback)
        episode.actions = InfiniteLookbackBuffer(actions, lookback, action_space)
        episode.rewards = InfiniteLookbackBuffer(rewards, lookback, _REWARD_SPACE)
        episode.extra_model_outputs = {
            key: InfiniteLookbackBuffer(values, lookback) for key, values in extra_model_outputs.items()
        }
        episode.t_started = t_started
        episode.t = t_started + len(episode.rewards)
        return episode

    # Growing.

    def add_env_reset(self, observation: Any, infos: dict[Any, Any] | None = None) -> None:
        """Starts the episode.

        Raises:
            ValueError: it has started already.
        """
        if self.observations.len_incl_lookback():
            raise ValueError(f"{self} has started already; add_env_reset() comes first, and once")
        self.observations.append(observation)
        self.infos.append({} if infos is None else infos)
        self._start_time = time.perf_counter()

    def add_env_step(
        self,
        observation: Any,
        action: Any,
        reward: float,
        infos: dict[Any, Any] | None = None,
        *,
        terminated: bool = False,
        truncated: bool = False,
        extra_model_outputs: dict[str, Any] | None = None,
    ) -> None:
        """Adds a step: an action, and what came of it.

        Outputs that a step does not have, as its action was drawn at random, are zeros where others have them.

        Raises:
            ValueError: the episode has not started, or is over.
        """
        if self.is_done:
            raise ValueError(f"{self} is over; start another one")
        if not self.is_reset:
            raise ValueError(f"{self} has no first observation; call add_env_reset() before")
        self.observations.append(observation)
        self.infos.append({} if infos is None else infos)
        self.actions.append(action)
        self.rewards.append(reward)
        given = extra_model_outputs or {}
        for key, value in given.items():
            if key not in self.extra_model_outputs:
                before = [map_leaves(np.zeros_like, value)] * (len(self.rewards) - 1)
                self.extra_model_outputs[key] = InfiniteLookbackBuffer(before)
            self.extra_model_outputs[key].append(value)
        if len(given) < len(self.extra_model_outputs):
            for key in self.extra_model_outputs.keys() - given.keys():
                buffer = self.extra_model_outputs[key]
                if buffer.len_incl_lookback():
                    buffer.append(map_leaves(np.zeros_like, buffer.get(-1)))
                else:
                    del self.extra_model_outputs[key]
        self.is_terminated = terminated
        self.is_truncated = truncated
        self.t += 1
        self._last_step_time = time.perf_counter()

    # Reading.

    def get_observations(
        self,
        indices: Indices = None,
        *,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        one_hot_discrete: bool = False,
    ) -> Any:
        """Returns observations.

        Args:
            indices: one index, a slice, or a list of indices; None: all of this chunk.
            neg_index_as_lookback: -1 is the last one before index 0, not the last one of all.
            fill: the value of what is out of range.
            one_hot_discrete: encodes values of Discrete and MultiDiscrete spaces.

        Returns:
            One value, or several: a list, or a tree of arrays if the episode is_numpy.

        Raises:
            IndexError: no such observation, and no `fill`.
        """
        return self.observations.get(
            indices, neg_index_as_lookback=neg_index_as_lookback, fill=fill, one_hot_discrete=one_hot_discrete
        )

    def get_infos(
        self, indices: Indices = None, *, neg_index_as_lookback: bool = False, fill: dict[Any, Any] | None = None
    ) -> Any:
        """Returns infos: one, or a list. See get_observations()."""
        if fill is None:
            return self.infos.get(indices, neg_index_as_lookback=neg_index_as_lookback)
        total = self.infos.len_incl_lookback()
        positions = self.infos._positions(indices, neg_index_as_lookback, filled=True)
        if isinstance(positions, int):
            return self.infos.data[positions] if 0 <= positions < total else fill
        numbers = range(*positions.indices(total)) if isinstance(positions, slice) else positions
        return [self.infos.data[i] if 0 <= i < total else fill for i in numbers]

    def get_actions(
        self,
        indices: Indices = None,
        *,
        neg_index_as_lookback: bool = False,
        fill: float | None = None,
        one_hot_discrete: bool = False,
    ) -> Any:
        """Returns actions. See get_observations()."""
        return self.actions.get(
            indices, neg_index_as_lookback=neg_index_as_lookback, fill=fill, one_hot_discrete=one_hot_discrete
        )

    def get_rewards(
        self, indices: Indices = None, *, neg_index_as_lookback: bool = False, fill: float | None = None
    ) -> Any:
        """Returns rewards. See get_observations()."""
        return self.rewards.get(indices, neg_index_as_lookback=neg_index_as_lookback, fill=fill)

    def get_extra_model_outputs(
        self, key: str, indices: Indices = None, *, neg_index_as_lookback: bool = False, fill: float | None = None
    ) -> Any:
        """Returns a further output of the module. See get_observations().

        Raises:
            KeyError: the module gave no such output.
        """
        if key not in self.extra_model_outputs:
            raise KeyError(f"{key!r}: the episode has {sorted(self.extra_model_outputs)}")
        return self.extra_model_outputs[key].get(indices, neg_index_as_lookback=neg_index_as_lookback, fill=fill)

    def get_return(self) -> float:
        """Returns the sum of this chunk's rewards."""
        return float(sum(self.rewards.get()))

    def get_duration_s(self) -> float:
        """Returns the seconds from the start to the last step; 0.0 for episodes made of arrays."""
        if self._start_time is None or self._last_step_time is None:
            return 0.0
        return self._last_step_time - self._start_time

    def env_steps(self) -> int:
        """Returns how many steps this chunk has."""
        return len(self)

    def agent_steps(self) -> int:
        """Returns how many steps this chunk has."""
        return len(self)

    def __len__(self) -> int:
        return self.t - self.t_started

    def __bool__(self) -> bool:
        return True

    @property
    def is_done(self) -> bool:
        """Whether the episode has ended, one way or the other."""
        return self.is_terminated or self.is_truncated

    @property
    def is_reset(self) -> bool:
        """Whether there is a first observation."""
        return self.observations.len_incl_lookback() > 0

    @property
    def is_numpy(self) -> bool:
        """Whether the data are arrays. They are in what env runners return."""
        return self.observations.finalized

    is_finalized = is_numpy

    @property
    def observation_space(self) -> gym.Space[Any] | None:
        return self._observation_space

    @observation_space.setter
    def observation_space(self, space: gym.Space[Any] | None) -> None:
        self._observation_space = self.observations.space = space

    @property
    def action_space(self) -> gym.Space[Any] | None:
        return self._action_space

    @action_space.setter
    def action_space(self, space: gym.Space[Any] | None) -> None:
        self._action_space = self.actions.space = space

    # Overwriting.

    def set_observations(
        self, *, new_data: Any, at_indices: Indices = None, neg_index_as_lookback: bool = False
    ) -> None:
        """Overwrites observations; `new_data` has one value for each index. Raises IndexError and ValueError."""
        self.observations.set(new_data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback)

    def set_actions(self, *, new_data: Any, at_indices: Indices = None, neg_index_as_lookback: bool = False) -> None:
        """Overwrites actions. See set_observations()."""
        self.actions.set(new_data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback)

    def set_rewards(self, *, new_data: Any, at_indices: Indices = None, neg_index_as_lookback: bool = False) -> None:
        """Overwrites rewards. See set_observations()."""
        self.rewards.set(new_data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback)

    def set_extra_model_outputs(
        self, *, key: str, new_data: Any, at_indices: Indices = None, neg_index_as_lookback: bool = False
    ) -> None:
        """Overwrites outputs of the module. A key that is new is added; it then needs one value for each step. See set_observations()."""
        if key in self.extra_model_outputs:
            buffer = self.extra_model_outputs[key]
            buffer.set(new_data, at_indices=at_indices, neg_index_as_lookback=neg_index_as_lookback)
            return
        if at_indices is not None:
            raise KeyError(
                f"{key!r}: the episode has {sorted(self.extra_model_outputs)}; without at_indices a key is added"
            )
        given = len(new_data) if isinstance(new_data, list) else len(first_leaf(new_data))
        if given != len(self):
            raise ValueError(f"new_data has {given} items for {len(self)} steps")
        buffer = InfiniteLookbackBuffer(_own(new_data), 0)
        if self.is_numpy:
            buffer.finalize()
        self.extra_model_outputs[key] = buffer

    # Cutting and joining.

    def to_numpy(self) -> SingleAgentEpisode:
        """Makes arrays of lists, in place, and returns the episode."""
        self.observations.finalize()
        if len(self) or self.rewards.lookback:
            self.actions.finalize()
            if not self.rewards.finalized:
                self.rewards.data = np.asarray(self.rewards.data, np.float64)
                self.rewards.finalized = True
            for buffer in self.extra_model_outputs.values():
                buffer.finalize()
        return self

    finalize = to_numpy

    def cut(self, len_lookback_buffer: int = 0) -> SingleAgentEpisode:
        """Returns the chunk that follows this one, without steps as yet.

        Args:
            len_lookback_buffer: how many steps of this chunk it takes along.

        Raises:
            ValueError: the episode is over.
        """
        if self.is_done:
            raise ValueError(f"{self} is over: no chunk follows it")
        keep = min(len_lookback_buffer, self.rewards.len_incl_lookback())
        successor = SingleAgentEpisode(
            self.id_,
            observations=_last(self.observations, keep + 1),
            observation_space=self._observation_space,
            infos=_last(self.infos, keep + 1),
            actions=_last(self.actions, keep),
            action_space=self._action_space,
            rewards=_last(self.rewards, keep),
            extra_model_outputs={
                key: _last(buffer, min(keep, buffer.len_incl_lookback()))
                for key, buffer in self.extra_model_outputs.items()
            },
            t_started=self.t,
            len_lookback_buffer=keep,
            agent_id=self.agent_id,
            module_id=self.module_id,
            multi_agent_episode_id=self.multi_agent_episode_id,
        )
        successor.custom_data = dict(self.custom_data)
        successor._start_time = successor._last_step_time = self._last_step_time
        return successor

    def slice(self, slice_: _Slice, *, len_lookback_buffer: int | None = None) -> SingleAgentEpisode:
        """Returns some of the steps, as an episode.

        Args:
            slice_: which steps; a step other than 1 is not possible.
            len_lookback_buffer: how many steps before them it takes along; None: as many as this chunk has.

        Raises:
            ValueError: the slice has a step.
        """
        if slice_.step not in (None, 1):
            raise ValueError(f"slice_={slice_!r}: the steps of an episode follow one another")
        start, stop, _ = slice_.indices(len(self))
        stop = max(start, stop)
        before = self.rewards.lookback
        keep = before if len_lookback_buffer is None else len_lookback_buffer
        keep = min(keep, before + start)
        low, high = before + start - keep, before + stop

        def part(buffer: InfiniteLookbackBuffer, more: int = 0) -> Any:
            # A key that was added later has no items in the lookback buffer.
            shift = before - buffer.lookback
            return map_leaves(lambda leaf: leaf[max(low - shift, 0) : high - shift + more], buffer.data)

        done = stop == len(self) and start <= stop
        episode = SingleAgentEpisode.of_arrays(
            id_=self.id_,
            observations=part(self.observations, 1),
            infos=part(self.infos, 1),
            actions=part(self.actions),
            rewards=part(self.rewards),
            extra_model_outputs={key: part(buffer) for key, buffer in self.extra_model_outputs.items()},
            lookback=keep,
            t_started=self.t_started + start,
            terminated=self.is_terminated and done,
            truncated=self.is_truncated and done,
            observation_space=self._observation_space,
            action_space=self._action_space,
        )
        for key, buffer in self.extra_model_outputs.items():
            shift = before - buffer.lookback
            episode.extra_model_outputs[key].lookback = min(keep, before + start - shift)
        episode.agent_id, episode.module_id = self.agent_id, self.module_id
        episode.multi_agent_episode_id = self.multi_agent_episode_id
        return episode

    def __getitem__(self, item: _Slice) -> SingleAgentEpisode:
        if not isinstance(item, _Slice):
            raise TypeError(f"{item!r}: episodes take slices, as in episode[2:5]")
        return self.slice(item)

    def concat_episode(self, other: SingleAgentEpisode) -> None:
        """Adds the chunk that follows this one.

        Raises:
            ValueError: it is no successor of this chunk.
        """
        if other.id_ != self.id_ or other.t_started != self.t or self.is_done:
            raise ValueError(f"{other} (from step {other.t_started}) does not follow {self} (to step {self.t})")
        self.observations.pop()
        self.infos.pop()
        self.observations.concat(other.observations)
        self.infos.concat(other.infos)
        if len(other):
            self.actions.concat(other.actions)
            self.rewards.concat(other.rewards)
            for key, buffer in other.extra_model_outputs.items():
                if key in self.extra_model_outputs:
                    self.extra_model_outputs[key].concat(buffer)
                elif not len(self):
                    self.extra_model_outputs[key] = InfiniteLookbackBuffer(buffer.get())
                else:
                    raise ValueError(f"{other} has the output {key!r} of the module, and {self} has not")
        self.t = other.t
        self.is_terminated, self.is_truncated = other.is_terminated, other.is_truncated
        self.custom_data.update(other.custom_data)
        self._last_step_time = other._last_step_time or self._last_step_time
        self.validate()

    def validate(self) -> None:
        """Checks that the series fit together.

        Raises:
            ValueError: they do not.
        """
        seen, acted = self.observations.len_incl_lookback(), self.actions.len_incl_lookback()
        rewarded, informed = self.rewards.len_incl_lookback(), self.infos.len_incl_lookback()
        begun = seen or acted or rewarded
        if begun and not seen == informed == acted + 1 == rewarded + 1:
            raise ValueError(
                f"an episode has one more observation and info than actions and rewards; here are {seen} observations, "
                f"{informed} infos, {acted} actions and {rewarded} rewards"
            )
        for key, buffer in self.extra_model_outputs.items():
            if len(buffer) != len(self.rewards):
                raise ValueError(f"extra_model_outputs[{key!r}] has {len(buffer)} items for {len(self.rewards)} steps")

    # State.

    def get_state(self) -> dict[str, Any]:
        """Returns all of it as a dictionary that from_state() takes."""
        return {
            "id_": self.id_,
            "agent_id": self.agent_id,
            "module_id": self.module_id,
            "multi_agent_episode_id": self.multi_agent_episode_id,
            "observations": self.observations.get_state(),
            "infos": self.infos.get_state(),
            "actions": self.actions.get_state(),
            "rewards": self.rewards.get_state(),
            "extra_model_outputs": {key: buffer.get_state() for key, buffer in self.extra_model_outputs.items()},
            "is_terminated": self.is_terminated,
            "is_truncated": self.is_truncated,
            "t_started": self.t_started,
            "t": self.t,
            "_observation_space": self._observation_space,
            "_action_space": self._action_space,
            "custom_data": dict(self.custom_data),
        }

    @staticmethod
    def from_state(state: dict[str, Any]) -> SingleAgentEpisode:
        """Returns the episode that get_state() told of."""
        episode = SingleAgentEpisode(state["id_"])
        for name in (
            "agent_id",
            "module_id",
            "multi_agent_episode_id",
            "is_terminated",
            "is_truncated",
            "t_started",
            "t",
        ):
            setattr(episode, name, state[name])
        for name in ("observations", "infos", "actions", "rewards"):
            setattr(episode, name, InfiniteLookbackBuffer.from_state(state[name]))
        episode.extra_model_outputs = {
            key: InfiniteLookbackBuffer.from_state(part) for key, part in state["extra_model_outputs"].items()
        }
        episode._observation_space = state["_observation_space"]
        episode._action_space = state["_action_space"]
        episode.custom_data = copy.copy(state["custom_data"])
        return episode

    def __repr__(self) -> str:
        return f"SAEps(len={len(self)} done={self.is_done} R={self.get_return()} id_={self.id_})"


def _own(values: Any) -> Any:
    """Returns values as a list of this episode's own, or, if they are arrays, as they are."""
    if values is None:
        return []
    if isinstance(values, np.ndarray) or is_nested(values):
        return values if not isinstance(values, tuple) or _is_tree_of_arrays(values) else list(values)
    return list(values)


def _is_tree_of_arrays(values: tuple[Any, ...]) -> bool:
    return bool(values) and isinstance(first_leaf(values), np.ndarray)


def _last(buffer: InfiniteLookbackBuffer, count: int) -> Any:
    start = buffer.len_incl_lookback() - count
    return map_leaves(lambda leaf: leaf[start:], buffer.data)
