"""Observations with mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.connectors.env_to_module.row_preprocessor import RowPreprocessor
from shoal.rllib.utils.error import UnsupportedSpaceException


class RunningMoments:
    """Count, mean and sum of squared deviations of numbers that come one batch after the other. Chan, Golub and LeVeque (1979)."""

    __slots__ = ("count", "mean", "squares")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean: Any = np.zeros(shape)
        self.squares: Any = np.zeros(shape)

    def add(self, rows: Any) -> None:
        """Takes in rows, along the first axis."""
        count = len(rows)
        if count == 1:
            self.merge(1, np.asarray(rows[0], np.float64), 0.0)
            return
        mean = rows.mean(0, dtype=np.float64)
        self.merge(count, mean, ((rows - mean) ** 2).sum(0))

    def merge(self, count: int, mean: Any, squares: Any) -> None:
        """Takes in what other moments have seen."""
        if not count:
            return
        total = self.count + count
        apart = mean - self.mean
        self.squares = self.squares + squares + apart**2 * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total

    @property
    def std(self) -> Any:
        """The standard deviation; 1 as long as there are fewer than two rows."""
        if self.count < 2:
            return np.ones_like(self.mean)
        return np.sqrt(self.squares / (self.count - 1))

    def get_state(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "squares": self.squares}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> RunningMoments:
        moments = cls(np.shape(state["mean"]))
        moments.count, moments.mean, moments.squares = (
            state["count"],
            np.array(state["mean"]),
            np.array(state["squares"]),
        )
        return moments


class MeanStdFilter(RowPreprocessor):
    """Subtracts the mean of all observations so far and divides by their standard deviation, in the episode too.

    What all runners have seen is merged once an iteration (`merge_env_runner_states`, `broadcast_env_runner_states`).

    Args:
        multi_agent: whether spaces are by agent; each has a mean and a deviation of its own.
        de_mean_to_zero: whether the mean is subtracted.
        de_std_to_one: whether is divided by the deviation.
        clip_by_value: bounds results by this number on both sides; None: no bounds.
        update_stats: whether new observations count; False leaves everything as it is, for instance for evaluation.
    """

    def __init__(
        self,
        input_observation_space: Any = None,
        input_action_space: Any = None,
        *,
        multi_agent: bool = False,
        de_mean_to_zero: bool = True,
        de_std_to_one: bool = True,
        clip_by_value: float | None = 10.0,
        update_stats: bool = True,
        **kwargs: Any,
    ) -> None:
        self.de_mean_to_zero = de_mean_to_zero
        self.de_std_to_one = de_std_to_one
        self.clip_by_value = clip_by_value
        self.update_stats = update_stats
        # What all runners had seen when states were merged last, what this one has seen since, and both together.
        self._merged: dict[Any, RunningMoments] = {}
        self._since: dict[Any, RunningMoments] = {}
        self._all: dict[Any, RunningMoments] = {}
        super().__init__(input_observation_space, input_action_space, multi_agent=multi_agent, **kwargs)

    def space_of(self, space: gym.Space[Any]) -> gym.Space[Any]:
        if not isinstance(space, gym.spaces.Box):
            raise UnsupportedSpaceException(
                f"{space} has no mean; put FlattenObservations before, or give observations of a Box"
            )
        bound = np.inf if self.clip_by_value is None else self.clip_by_value
        return gym.spaces.Box(-bound, bound, space.shape, np.float32)

    def rows(self, observations: Any, agent_id: Any = None) -> Any:
        moments = self._moments(self._all, agent_id, observations.shape[1:])
        if self.update_stats:
            moments.add(observations)
            self._moments(self._since, agent_id, observations.shape[1:]).add(observations)
        values = observations - moments.mean if self.de_mean_to_zero else observations
        if self.de_std_to_one:
            values = values / (moments.std + 1e-8)
        values = np.asarray(values, np.float32)
        if self.clip_by_value is not None:
            values = np.minimum(np.maximum(values, -self.clip_by_value), self.clip_by_value)
        return values

    @staticmethod
    def _moments(where: dict[Any, RunningMoments], agent_id: Any, shape: tuple[int, ...]) -> RunningMoments:
        if agent_id not in where:
            where[agent_id] = RunningMoments(shape)
        return where[agent_id]

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        return {
            name: {agent: moments.get_state() for agent, moments in getattr(self, f"_{name}").items()}
            for name in ("merged", "since", "all")
        }

    def set_state(self, state: dict[str, Any]) -> None:
        for name in ("merged", "since", "all"):
            own = {agent: RunningMoments.from_state(moments) for agent, moments in state[name].items()}
            setattr(self, f"_{name}", own)

    def reset_state(self) -> None:
        self._merged, self._since, self._all = {}, {}, {}

    def merge_states(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns what all have seen together: what they knew in common, and what each has seen since."""
        together = {agent: RunningMoments.from_state(moments) for agent, moments in states[0]["merged"].items()}
        for state in states:
            for agent, seen in state["since"].items():
                moments = self._moments(together, agent, np.shape(seen["mean"]))
                moments.merge(seen["count"], seen["mean"], seen["squares"])
        merged = {agent: moments.get_state() for agent, moments in together.items()}
        return {"merged": merged, "since": {}, "all": merged}
