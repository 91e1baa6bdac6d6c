"""A replay buffer of episodes that is sampled uniformly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.rllib._internal.replay.step_store import StepStore
from shoal.rllib._internal.structures import map_structure
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import (
    ACTUAL_N_STEP,
    NUM_ENV_STEPS_ADDED_LIFETIME,
    NUM_ENV_STEPS_EVICTED_LIFETIME,
    NUM_ENV_STEPS_PER_SAMPLE_LIFETIME,
    NUM_ENV_STEPS_STORED,
    NUM_EPISODES_ADDED_LIFETIME,
    NUM_EPISODES_EVICTED_LIFETIME,
    NUM_EPISODES_STORED,
)


class EpisodeReplayBuffer:
    """The latest steps of episodes, each as likely to be sampled as any other.

    Episodes may be added whole or in chunks, also a step at a time and in turns: chunks with the same id are joined. The oldest steps make
    room for new ones. Steps are kept in columns: sampling makes no Python object a step, unless episodes are asked for.

    Args:
        capacity: how many observations are kept, >= 2; an episode of n steps has n + 1 of them.
        batch_size_B: how many items `sample` gives where it is not told.
        batch_length_T: how many steps its rows have where it is not told.
        metrics_num_episodes_for_smoothing: accepted for Ray's sake.
        seed: of the generator that chooses; None for another one each time.

    Raises:
        ConfigError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
        >>> buffer = EpisodeReplayBuffer(capacity=100, seed=0)
        >>> buffer.add(SingleAgentEpisode(
        ...     observations=[0.0, 1.0, 2.0], actions=[5, 6], rewards=[1.0, 2.0], terminated=True, len_lookback_buffer=0))
        >>> batch = buffer.sample_columns(4, n_step=2, gamma=0.5)
        >>> sorted({(float(o), int(a), float(r)) for o, a, r in zip(batch["obs"], batch["actions"], batch["rewards"])})
        [(0.0, 5, 2.0), (1.0, 6, 2.0)]
    """

    def __init__(
        self,
        capacity: int = 10000,
        *,
        batch_size_B: int = 16,
        batch_length_T: int = 64,
        metrics_num_episodes_for_smoothing: int = 100,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        for name, value, least in (
            ("capacity", capacity, 2),
            ("batch_size_B", batch_size_B, 1),
            ("batch_length_T", batch_length_T, 1),
        ):
            if isinstance(value, bool) or value != int(value) or value < least:
                raise ConfigError(f"{name} is {value!r}; give a whole number >= {least}")
        if kwargs:
            raise ConfigError(f"{type(self).__name__} takes no {', '.join(sorted(kwargs))}")
        self.capacity = int(capacity)
        self.batch_size_B = batch_size_B
        self.batch_length_T = batch_length_T
        self.sampled_timesteps = 0
        self.rng = np.random.default_rng(seed)
        self._store = StepStore(self.capacity)
        self._last_n_step = 1.0

    def __len__(self) -> int:
        """How many steps are stored."""
        return self._store.steps

    def add(self, episodes: SingleAgentEpisode | Sequence[SingleAgentEpisode]) -> None:
        """Stores episodes, or chunks of them."""
        for episode in [episodes] if isinstance(episodes, SingleAgentEpisode) else episodes:
            self._store.add(episode)

    def sample_columns(
        self,
        num_items: int | None = None,
        *,
        n_step: int | tuple[int, int] | None = None,
        gamma: float = 0.99,
        beta: float = 0.0,
        include_infos: bool = False,
        include_extra_model_outputs: bool = False,
    ) -> dict[str, Any]:
        """Transitions as columns.

        Args:
            num_items: how many, with repetitions; None for batch_size_B.
            n_step: how many steps a transition has (fewer where its episode has no more); a pair (least, most) to draw it for each; None
                for 1.
            gamma: what a reward a step later is worth.
            beta: for buffers with priorities.
            include_infos: also 'infos', of the observation after the last step.
            include_extra_model_outputs: also what the module gave besides the action of the first step.

        Returns:
            'obs', 'actions', 'rewards' (summed), 'new_obs', 'terminateds' and 'truncateds' (of the last step), 'n_step' (how many steps),
            'weights': arrays of `num_items` rows.

        Raises:
            ValueError: no step is stored.
        """
        _, batch = self._transitions(
            num_items or self.batch_size_B, n_step, gamma, beta, include_infos, include_extra_model_outputs
        )
        return batch

    def _transitions(
        self,
        count: int,
        n_step: int | tuple[int, int] | None,
        gamma: float,
        beta: float,
        include_infos: bool,
        include_extra_model_outputs: bool,
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """The places that transitions were drawn from, and their columns."""
        places, weights = self._choose(count, beta)
        batch = self._store.transitions(
            places,
            self._steps(n_step, len(places)),
            gamma,
            include_infos=include_infos,
            include_extra_model_outputs=include_extra_model_outputs,
        )
        batch["weights"] = weights
        self.sampled_timesteps += len(places)
        self._last_n_step = float(batch["n_step"].mean())
        return places, batch

    def sample(
        self,
        num_items: int | None = None,
        *,
        batch_size_B: int | None = None,
        batch_length_T: int | None = None,
        n_step: int | tuple[int, int] | None = None,
        beta: float = 0.0,
        gamma: float = 0.99,
        include_infos: bool = False,
        include_extra_model_outputs: bool = False,
        sample_episodes: bool | None = False,
        to_numpy: bool = False,
        lookback: int = 0,
        min_batch_length_T: int = 0,
        **kwargs: Any,
    ) -> Any:
        """Rows of consecutive steps, or episodes of one transition each.

        Args:
            num_items: how many; the same as batch_size_B.
            batch_size_B: how many; None for the buffer's own.
            batch_length_T: steps of a row, without `sample_episodes`; None for the buffer's own.
            n_step: of a transition; see `sample_columns`.
            beta: for buffers with priorities.
            gamma: what a reward a step later is worth.
            include_infos: give infos as well.
            include_extra_model_outputs: give what the module gave besides actions.
            sample_episodes: give a list of episodes, each with one transition: two observations, and 'weights' and 'n_step' among the
                extra model outputs.
            to_numpy: those episodes hold arrays.
            lookback: how many steps before it each of those episodes has in its lookback buffer, as far as they are stored.
            min_batch_length_T: accepted for Ray's sake.
            **kwargs: accepted for Ray's sake.

        Returns:
            The episodes, or a dictionary of arrays (B, T, ...): 'obs', 'actions', 'rewards', 'is_first', 'is_last', 'is_terminated',
            'is_truncated'. A reward there is that of the step which led to the row's observation. Where an episode ends within a row,
            another one begins at its start.

        Raises:
            ValueError: no step is stored.
        """
        if num_items is not None and batch_size_B is not None:
            raise ValueError("num_items and batch_size_B mean the same; give one of them")
        items = num_items or batch_size_B or self.batch_size_B
        if not sample_episodes:
            return self._rows(items, batch_length_T or self.batch_length_T)
        places, columns = self._transitions(items, n_step, gamma, beta, include_infos, include_extra_model_outputs)
        before = self._store.earlier(places, lookback)
        return [_one_transition(columns, before, row, self._store.extra_keys, to_numpy) for row in range(items)]

    def get_num_timesteps(self, module_id: str | None = None) -> int:
        """How many steps are stored."""
        return self._store.steps

    def get_num_episodes(self, module_id: str | None = None) -> int:
        """How many episodes are stored, or parts of them."""
        return self._store.episodes

    def get_num_episodes_evicted(self, module_id: str | None = None) -> int:
        """How many episodes have made room for others."""
        return self._store.episodes_added - self._store.episodes

    def get_added_timesteps(self, module_id: str | None = None) -> int:
        """How many steps were ever added."""
        return self._store.steps_added

    def get_sampled_timesteps(self, module_id: str | None = None) -> int:
        """How many steps were ever sampled."""
        return self.sampled_timesteps

    def get_metrics(self) -> dict[str, Any]:
        """Counts, under RLlib's names."""
        store = self._store
        return {
            NUM_ENV_STEPS_STORED: store.steps,
            NUM_EPISODES_STORED: store.episodes,
            NUM_ENV_STEPS_ADDED_LIFETIME: store.steps_added,
            NUM_EPISODES_ADDED_LIFETIME: store.episodes_added,
            NUM_ENV_STEPS_EVICTED_LIFETIME: store.steps_added - store.steps,
            NUM_EPISODES_EVICTED_LIFETIME: store.episodes_added - store.episodes,
            NUM_ENV_STEPS_PER_SAMPLE_LIFETIME: self.sampled_timesteps,
            ACTUAL_N_STEP: self._last_n_step,
        }

    def get_state(self) -> dict[str, Any]:
        """All that is stored, and the generator's state."""
        return {
            "store": self._store.get_state(),
            "rng": self.rng.bit_generator.state,
            "sampled_timesteps": self.sampled_timesteps,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes up what `get_state` gave.

        Raises:
            ValueError: it comes from a buffer of another capacity.
        """
        self._store.set_state(state["store"])
        self.rng.bit_generator.state = state["rng"]
        self.sampled_timesteps = state["sampled_timesteps"]

    def _choose(self, count: int, beta: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self._check_filled()
        return self._store.uniform(count, self.rng), np.ones(count, np.float32)

    def _check_filled(self) -> None:
        if not self._store.steps:
            raise ValueError("the buffer holds no step yet; add episodes before sampling")

    def _steps(self, n_step: int | tuple[int, int] | None, count: int) -> Any:
        if isinstance(n_step, tuple | list):
            return self.rng.integers(n_step[0], n_step[1] + 1, count)
        return n_step or 1

    def _rows(self, count: int, length: int) -> dict[str, NDArray[Any]]:
        self._check_filled()
        store = self._store
        places = np.empty((count, length), np.int64)
        is_first = np.zeros((count, length), np.bool_)
        is_last = np.zeros((count, length), np.bool_)
        came_from = np.full((count, length), -1, np.int64)
        current = store.uniform(count, self.rng)
        is_first[:, 0] = True
        before = store.before(current)
        for t in range(length):
            places[:, t], came_from[:, t] = current, before
            ended = ~store.has_step(current)
            is_last[:, t] = ended | (t == length - 1)
            before, current = current, np.where(ended, current, store.walk(current, 1)[:, 1])
            if ended.any() and t + 1 < length:
                current[ended] = store.starts(store.uniform(int(ended.sum()), self.rng))
                before[ended] = -1
                is_first[ended, t + 1] = True
        start = came_from < 0
        at = np.where(start, places, came_from).ravel()

        def shaped(values: Any) -> Any:
            return map_structure(lambda leaf: leaf.reshape(count, length, *leaf.shape[1:]), values)

        rewards = shaped(store.read(Columns.REWARDS, at))
        terminated = shaped(store.read(Columns.TERMINATEDS, at))
        truncated = shaped(store.read(Columns.TRUNCATEDS, at))
        self.sampled_timesteps += count * length
        acted = store.last_acted(places.ravel())
        return {
            "obs": shaped(store.read(Columns.OBS, places.ravel())),
            "actions": shaped(store.read(Columns.ACTIONS, acted)),
            "rewards": np.where(start, 0.0, rewards).astype(np.float32),
            "is_first": is_first,
            "is_last": is_last,
            "is_terminated": np.where(start, False, terminated),
            "is_truncated": np.where(start, False, truncated),
        }


def _one_transition(
    columns: dict[str, Any], before: Sequence[dict[str, Any]], row: int, extra_keys: Sequence[str], to_numpy: bool
) -> SingleAgentEpisode:
    def at(key: str, of: dict[str, Any] = columns) -> Any:
        return map_structure(lambda leaf: leaf[row], of[key])

    past = [step for step in reversed(before) if step["there"][row]]
    extra = {"weights": [1.0] * len(past) + [at("weights")], "n_step": [1] * len(past) + [int(columns["n_step"][row])]}
    extra.update({key: [*(at(key, step) for step in past), at(key)] for key in extra_keys if key in columns})
    episode = SingleAgentEpisode(
        observations=[*(at(Columns.OBS, step) for step in past), at(Columns.OBS), at(Columns.NEXT_OBS)],
        actions=[*(at(Columns.ACTIONS, step) for step in past), at(Columns.ACTIONS)],
        rewards=[*(float(step[Columns.REWARDS][row]) for step in past), float(columns[Columns.REWARDS][row])],
        terminated=bool(columns[Columns.TERMINATEDS][row]),
        truncated=bool(columns[Columns.TRUNCATEDS][row]),
        infos=[*({} for _ in past), {}, columns[Columns.INFOS][row]] if Columns.INFOS in columns else None,
        extra_model_outputs=extra,
        len_lookback_buffer=len(past),
    )
    if to_numpy:
        episode.to_numpy()
    return episode
