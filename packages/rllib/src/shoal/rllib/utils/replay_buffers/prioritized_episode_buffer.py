"""A replay buffer of episodes that is sampled by priority."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.rllib._internal.replay.tree import Tree
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.replay_buffers.episode_replay_buffer import EpisodeReplayBuffer

_LEAST_PRIORITY = 1e-12  # so that no step is lost for ever


class PrioritizedEpisodeReplayBuffer(EpisodeReplayBuffer):
    """The latest steps of episodes, each as likely to be sampled as its priority to the power of alpha (Schaul et al., "Prioritized
    Experience Replay").

    New steps have the largest priority there was. The draws of one sample come from equal parts of the sum of all, one from each. `weights`
    of a sample undo the bias; the largest that any step of the buffer could have is 1.

    Args:
        capacity: see EpisodeReplayBuffer.
        alpha: 0 for uniform, 1 for proportional to priorities.
        batch_size_B: see EpisodeReplayBuffer.
        batch_length_T: see EpisodeReplayBuffer.
        **kwargs: see EpisodeReplayBuffer.

    Raises:
        ConfigError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
        >>> buffer = PrioritizedEpisodeReplayBuffer(100, alpha=1.0, seed=0)
        >>> buffer.add(SingleAgentEpisode(observations=[0, 1], actions=[0], rewards=[1.0], len_lookback_buffer=0))
        >>> buffer.sample_columns(2, beta=0.4)["weights"]
        array([1., 1.], dtype=float32)
        >>> buffer.update_priorities([2.0, 2.0])
    """

    def __init__(
        self,
        capacity: int = 10000,
        *,
        alpha: float = 1.0,
        batch_size_B: int = 16,
        batch_length_T: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(capacity, batch_size_B=batch_size_B, batch_length_T=batch_length_T, **kwargs)
        if alpha < 0:
            raise ConfigError(f"alpha is {alpha!r}; give a number >= 0")
        self._alpha = alpha
        self._max_priority = 1.0
        self._sums = Tree(self.capacity)
        self._minima = Tree(self.capacity, minimum=True)
        self._last_sampled = np.empty(0, np.int64)

    def add(self, episodes: SingleAgentEpisode | Sequence[SingleAgentEpisode], weight: float | None = None) -> None:
        """Stores episodes, or chunks of them.

        Args:
            episodes: one or more.
            weight: the priority of their steps; None for the largest there was.
        """
        priority = (self._max_priority if weight is None else max(weight, _LEAST_PRIORITY)) ** self._alpha
        stepped, without = [], []
        for episode in [episodes] if isinstance(episodes, SingleAgentEpisode) else episodes:
            steps, ends = self._store.add(episode)
            stepped.append(steps)
            without.append(ends)
        if not stepped:
            return
        # Of a place that was first one and then the other, what it is now counts.
        places = np.unique(np.concatenate([*stepped, *without]))
        has_step = self._store.has_step(places)
        self._sums.set(places, np.where(has_step, priority, 0.0))
        self._minima.set(places, np.where(has_step, priority, np.inf))

    def update_priorities(self, priorities: ArrayLike, module_id: str | None = None) -> None:
        """Sets the priorities of what the last sample gave, in its order.

        Args:
            priorities: usually the sizes of TD errors, >= 0.
            module_id: for buffers of several agents.

        Raises:
            ValueError: there are not as many as items were sampled, or one is negative or NaN.
        """
        given = np.asarray(priorities, np.float64).reshape(-1)
        if len(given) != len(self._last_sampled):
            raise ValueError(
                f"there are {len(given)} priorities, and {len(self._last_sampled)} items were sampled last"
            )
        if not (given >= 0).all():
            raise ValueError(f"priorities has {given[~(given >= 0)][0]}; give numbers >= 0")
        given = np.maximum(given, _LEAST_PRIORITY)
        there = self._store.has_step(self._last_sampled)
        places, powers = self._last_sampled[there], given[there] ** self._alpha
        self._sums.set(places, powers)
        self._minima.set(places, powers)
        self._max_priority = max(self._max_priority, float(given.max(initial=0.0)))
        self._last_sampled = np.empty(0, np.int64)

    def get_state(self) -> dict[str, Any]:
        places = np.arange(self._store.oldest, self._store.taken) % self.capacity
        return {
            **super().get_state(),
            "priorities": self._sums[places],
            "max_priority": self._max_priority,
            "last_sampled": self._last_sampled.copy(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        places = np.arange(self._store.oldest, self._store.taken) % self.capacity
        powers = state["priorities"]
        self._sums, self._minima = Tree(self.capacity), Tree(self.capacity, minimum=True)
        if len(places):
            self._sums.set(places, powers)
            self._minima.set(places, np.where(powers > 0, powers, np.inf))
        self._max_priority = state["max_priority"]
        self._last_sampled = state["last_sampled"].copy()

    def _choose(self, count: int, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self._check_filled()
        if not beta >= 0:
            raise ConfigError(f"beta is {beta!r}; give a number >= 0")
        whole = self._sums.whole
        places = self._sums.find((np.arange(count) + self.rng.random(count)) * (whole / count))
        self._last_sampled = places
        # Over the largest weight that there could be, that of the least likely step, the number of steps and their sum cancel out.
        weights = (self._sums[places] / self._minima.whole) ** -beta
        return places, weights.astype(np.float32)
