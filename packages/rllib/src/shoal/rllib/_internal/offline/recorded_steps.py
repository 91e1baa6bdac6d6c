"""Recorded steps in memory: columns of all of them, and where each episode begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.rllib._internal.nested import concatenate, map_leaves
from shoal.rllib._internal.numerics.n_step import n_step_transitions
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import OfflineDataError

Numbers = NDArray[np.int64]


@dataclass
class RecordedSteps:
    """Steps of chunks of episodes, one after the other.

    Attributes:
        observations: a tree of arrays with a row for each step, and one more after the last step of each chunk: B + E rows.
        actions: as modules make them, B rows.
        rewards: B floats.
        lengths: steps of each chunk.
        terminated: whether each chunk is the end of an episode that ended by itself.
        truncated: whether it is the end of one that was cut off.
        ids: the episodes' ids.
        t_started: how many steps each episode had before the chunk.
        extras: other columns of B rows, by name: outputs of the module that acted.
    """

    observations: Any
    actions: Any
    rewards: NDArray[np.float32]
    lengths: Numbers
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    ids: list[str]
    t_started: Numbers
    extras: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.rewards)
        if count == 0:
            raise OfflineDataError("the recorded data has no steps")
        self.starts: Numbers = np.cumsum(self.lengths) - self.lengths
        chunk_of = np.repeat(np.arange(len(self.lengths)), self.lengths)
        self._rows: Numbers = np.arange(count) + chunk_of  # of `observations`
        ends = self.starts + self.lengths - 1
        self._terminateds = np.zeros(count, bool)
        self._terminateds[ends] = self.terminated
        self._paths: tuple[NDArray[np.float32], Numbers] | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    @classmethod
    def of_episodes(cls, episodes: Sequence[Any]) -> RecordedSteps:
        """Returns the steps of episodes; chunks that follow one another are joined.

        Args:
            episodes: of single agents.

        Raises:
            OfflineDataError: (a ValueError) there are no steps.
        """
        kept = [episode for episode in episodes if len(episode)]
        if not kept:
            raise OfflineDataError("the recorded data has no steps")
        first: dict[str, int] = {}
        for episode in kept:
            first.setdefault(episode.id_, len(first))
        kept.sort(key=lambda episode: (first[episode.id_], episode.t_started))
        for episode in kept:
            if not episode.is_numpy:
                episode.to_numpy()
        names = set.intersection(*(set(episode.extra_model_outputs) for episode in kept))
        names -= {Columns.STATE_IN, Columns.STATE_OUT}
        steps = cls(
            observations=concatenate([episode.get_observations() for episode in kept]),
            actions=concatenate([episode.get_actions() for episode in kept]),
            rewards=np.concatenate([np.asarray(episode.get_rewards(), np.float32) for episode in kept]),
            lengths=np.array([len(episode) for episode in kept], np.int64),
            terminated=np.array([bool(episode.is_terminated) for episode in kept]),
            truncated=np.array([bool(episode.is_truncated) for episode in kept]),
            ids=[episode.id_ for episode in kept],
            t_started=np.array([episode.t_started for episode in kept], np.int64),
            extras={
                name: concatenate([episode.get_extra_model_outputs(name) for episode in kept]) for name in sorted(names)
            },
        )
        return steps.with_chunks_joined()

    def with_chunks_joined(self) -> RecordedSteps:
        """Returns the same steps with chunks that follow one another as one."""
        ids, ends = np.array(self.ids, object), self.t_started + self.lengths
        follows = (ids[1:] == ids[:-1]) & (self.t_started[1:] == ends[:-1])
        follows &= ~(self.terminated | self.truncated)[:-1]
        if not follows.any():
            return self
        last_rows = np.cumsum(self.lengths + 1) - 1
        kept_rows = np.ones(len(self) + len(self.lengths), bool)
        kept_rows[last_rows[:-1][follows]] = False
        begins = np.flatnonzero(np.concatenate([[True], ~follows]))
        closes = np.concatenate([begins[1:], [len(self.lengths)]]) - 1
        return RecordedSteps(
            observations=map_leaves(lambda leaf: leaf[kept_rows], self.observations),
            actions=self.actions,
            rewards=self.rewards,
            lengths=np.add.reduceat(self.lengths, begins),
            terminated=self.terminated[closes],
            truncated=self.truncated[closes],
            ids=[self.ids[index] for index in begins],
            t_started=self.t_started[begins],
            extras=self.extras,
        )

    # --- what is learned from -----------------------------------------------------------------------------------------------------

    def transitions(self, steps: Numbers, *, n_step: int = 1, gamma: float = 1.0) -> dict[str, Any]:
        """Returns columns of transitions.

        Args:
            steps: which steps they begin with.
            n_step: over how many steps they go; fewer where the chunk ends.
            gamma: what a reward a step later is worth.
        """
        rows = self._rows[steps]
        if n_step == 1:
            after, last = rows + 1, steps
            rewards, counts = self.rewards[steps], np.ones(len(steps), np.float32)
        else:
            places, following = self._along()
            found = n_step_transitions(places, following, rows, n_step, gamma)
            after, rewards, counts = found.after, found.returns, found.steps.astype(np.float32)
            last = steps + (found.steps - 1)
        return {
            Columns.OBS: map_leaves(lambda leaf: leaf[rows], self.observations),
            Columns.NEXT_OBS: map_leaves(lambda leaf: leaf[after], self.observations),
            Columns.ACTIONS: map_leaves(lambda leaf: leaf[steps], self.actions),
            Columns.REWARDS: rewards,
            Columns.TERMINATEDS: self._terminateds[last],
            "n_step": counts,
        }

    def _along(self) -> tuple[NDArray[np.float32], Numbers]:
        """Rewards, and the place that each leads to, by rows of observations."""
        if self._paths is None:
            total = len(self) + len(self.lengths)
            rewards, following = np.zeros(total, np.float32), np.full(total, -1, np.int64)
            rewards[self._rows] = self.rewards
            following[self._rows] = self._rows + 1
            self._paths = rewards, following
        return self._paths

    def pairs(self, steps: Numbers) -> dict[str, Any]:
        """Returns observations and actions of steps."""
        rows = self._rows[steps]
        return {
            Columns.OBS: map_leaves(lambda leaf: leaf[rows], self.observations),
            Columns.ACTIONS: map_leaves(lambda leaf: leaf[steps], self.actions),
        }

    def episode(
        self, chunk: int, start: int, stop: int, *, lookback: int = 0, spaces: Any = (None, None), own: bool = False
    ) -> Any:
        """Returns steps of a chunk as an episode, whose arrays are slices of the columns.

        Args:
            chunk: which.
            start: its first step, counted within the chunk.
            stop: the step after its last one.
            lookback: how many of the steps before it has as its lookback buffer.
            spaces: of observations and actions.
            own: whether its arrays are its own, to be changed.
        """
        length, first = int(self.lengths[chunk]), int(self.starts[chunk])
        back = min(lookback, start)
        low, high = first + start - back, first + stop
        ends = stop == length

        def part(tree: Any, low: int, high: int) -> Any:
            return map_leaves(lambda leaf: leaf[low:high].copy() if own else leaf[low:high], tree)

        return SingleAgentEpisode.of_arrays(
            id_=self.ids[chunk],
            observations=part(self.observations, low + chunk, high + chunk + 1),
            infos=[{} for _ in range(high - low + 1)],
            actions=part(self.actions, low, high),
            rewards=part(self.rewards, low, high),
            extra_model_outputs={name: part(column, low, high) for name, column in self.extras.items()},
            lookback=back,
            t_started=int(self.t_started[chunk]) + start,
            terminated=bool(self.terminated[chunk]) and ends,
            truncated=bool(self.truncated[chunk]) and ends,
            observation_space=spaces[0],
            action_space=spaces[1],
        )

    def episodes(self) -> list[Any]:
        """Returns all chunks as episodes."""
        return [self.episode(chunk, 0, int(length)) for chunk, length in enumerate(self.lengths)]

    def chunk_of(self, steps: Numbers) -> Numbers:
        """Returns the chunks that steps are in."""
        return self._rows[steps] - steps
