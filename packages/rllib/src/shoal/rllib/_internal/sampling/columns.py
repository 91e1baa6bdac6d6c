"""What a fragment brings, by columns: arrays of shape (environments, steps, ...), of which episodes are slices."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib._internal.nested import assign, map_leaves
from shoal.rllib._internal.sampling.stepping import Infos
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode

_ALL = slice(None)


class Ongoing:
    """What is known of an environment's episode beyond the columns of this fragment."""

    __slots__ = ("id_", "lookback", "returned", "start", "t_started")

    def __init__(self, id_: str) -> None:
        self.id_ = id_
        self.start = 0  # the column of its first observation in this fragment, after the lookback buffer
        self.lookback = 0
        self.t_started = 0
        self.returned = 0.0  # the rewards of earlier fragments


class Columns:
    """The columns of one fragment.

    Column `t` of observations is what the action in column `t` saw. A reset takes a column of its own, whose
    action and reward are nobody's.

    Args:
        n: how many environments.
        capacity: for how many steps there is room at first.
        lookback: how many steps of the fragment before are kept in front.
        observation: the form of one observation: a tree of arrays.
        action: the form of one action, as the module makes them.
    """

    def __init__(self, n: int, capacity: int, lookback: int, observation: Any, action: Any) -> None:
        self.n = n
        self.t = lookback
        self.first = lookback
        self.capacity = capacity + lookback
        self.observations = self._empty(observation, self.capacity + 1)
        self.actions = self._empty(action, self.capacity)
        self.rewards: np.ndarray[Any, Any] = np.zeros((n, self.capacity))
        self.extras: dict[str, Any] = {}
        self.infos: list[list[Infos]] = [[{}] * lookback for _ in range(n)]
        self._given: set[str] = set()

    def _empty(self, example: Any, capacity: int) -> Any:
        return map_leaves(lambda leaf: np.zeros((self.n, capacity, *np.shape(leaf)), leaf.dtype), example)

    def room(self) -> None:
        """Makes room for one more step."""
        if self.t < self.capacity:
            return
        more = self.capacity

        def longer(leaf: Any) -> Any:
            return np.concatenate([leaf, np.zeros((self.n, more, *leaf.shape[2:]), leaf.dtype)], axis=1)

        self.capacity += more
        self.observations = map_leaves(longer, self.observations)
        self.actions = map_leaves(longer, self.actions)
        self.rewards = longer(self.rewards)
        self.extras = {key: map_leaves(longer, column) for key, column in self.extras.items()}

    def put_extras(self, key: str, value: Any) -> None:
        """Keeps an output of the module of shape (environments, ...) for the step at hand."""
        column = self.extras.get(key)
        self._given.add(key)
        if column is None:
            column = self.extras[key] = self._empty(map_leaves(lambda leaf: leaf[0], value), self.capacity)
        assign(column, (_ALL, self.t), value)

    def gave(self, key: str) -> bool:
        """Whether the module gave such an output in this fragment."""
        return key in self._given

    def mark(self, key: str) -> None:
        """Notes that a column was filled."""
        self._given.add(key)

    def put_actions(self, actions: Any) -> None:
        assign(self.actions, (_ALL, self.t), actions)

    def observation_at(self, t: int) -> Any:
        """Returns the observations of all environments in column t."""
        return map_leaves(lambda leaf: leaf[:, t], self.observations)

    def episode(
        self,
        n: int,
        ongoing: Ongoing,
        end: int,
        terminated: bool,
        truncated: bool,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
    ) -> SingleAgentEpisode:
        """Returns the slice of environment n's episode that ends before column `end`."""
        low = ongoing.start - ongoing.lookback

        def steps(leaf: Any) -> Any:
            return leaf[n, low:end]

        return SingleAgentEpisode.of_arrays(
            id_=ongoing.id_,
            observations=map_leaves(lambda leaf: leaf[n, low : end + 1], self.observations),
            infos=self.infos[n][low : end + 1],
            actions=map_leaves(steps, self.actions),
            rewards=self.rewards[n, low:end],
            extra_model_outputs={key: map_leaves(steps, self.extras[key]) for key in self._given},
            lookback=ongoing.lookback,
            t_started=ongoing.t_started,
            terminated=terminated,
            truncated=truncated,
            observation_space=observation_space,
            action_space=action_space,
        )

    def tail(self, n_steps: int) -> dict[str, Any]:
        """Returns the last columns, for the fragment that follows: the lookback buffer and the observation at hand."""
        low = self.t - n_steps

        def part(leaf: Any) -> Any:
            return leaf[:, low : self.t].copy()

        return {
            "observations": map_leaves(lambda leaf: leaf[:, low : self.t + 1].copy(), self.observations),
            "actions": map_leaves(part, self.actions),
            "rewards": part(self.rewards),
            "extras": {key: map_leaves(part, self.extras[key]) for key in sorted(self._given)},
            "infos": [infos[-(n_steps + 1) :] for infos in self.infos],
        }

    def put_tail(self, tail: dict[str, Any]) -> None:
        """Takes over what the fragment before left."""
        n_steps = self.first
        assign(self.observations, (_ALL, slice(n_steps + 1)), tail["observations"])
        assign(self.actions, (_ALL, slice(n_steps)), tail["actions"])
        self.rewards[:, :n_steps] = tail["rewards"]
        for key, value in tail["extras"].items():
            column = self.extras[key] = map_leaves(
                lambda leaf: np.zeros((self.n, self.capacity, *leaf.shape[2:]), leaf.dtype), value
            )
            assign(column, (_ALL, slice(n_steps)), value)
        self.infos = [list(infos) for infos in tail["infos"]]
