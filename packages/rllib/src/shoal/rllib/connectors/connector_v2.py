"""A piece between episodes and a module, or between a module and environments."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium as gym


class ConnectorV2(abc.ABC):
    """Reads and changes a batch (and episodes) on its way: override `__call__`.

    In an env-to-module pipeline, `episodes` are those at hand, and the last of their observations are what the module is about to see. In
    a module-to-env pipeline, the batch holds what the module gave. In a learner pipeline, episodes are what was sampled.

    A batch has, by column, either a list of items, or a dictionary from (episode id,), or in multi-agent episodes from (id of the
    multi-agent episode, agent, module), to lists of items; the later pieces of a pipeline make arrays and tensors of them.

    Args:
        input_observation_space: what comes in; set by the pipeline if None.
        input_action_space: what comes in.

    Example:
        >>> class Halve(ConnectorV2):
        ...     def __call__(self, *, rl_module, batch, episodes, explore=None, shared_data=None, metrics=None, **kwargs):
        ...         for episode in self.single_agent_episode_iterator(episodes):
        ...             episode.set_observations(new_data=episode.get_observations(-1) / 2, at_indices=-1)
        ...         return batch
    """

    lookback: int = 0
    """How many steps before the one at hand it looks at. Chunks of episodes take along so many of those before them, at least."""

    def __init__(
        self,
        input_observation_space: gym.Space[Any] | None = None,
        input_action_space: gym.Space[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._input_observation_space: gym.Space[Any] | None = None
        self._input_action_space: gym.Space[Any] | None = None
        self._observation_space: gym.Space[Any] | None = None
        self._action_space: gym.Space[Any] | None = None
        self._set_spaces(input_observation_space, input_action_space)

    @abc.abstractmethod
    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any],
        episodes: Sequence[Any],
        explore: bool | None = None,
        shared_data: dict[str, Any] | None = None,
        metrics: Any = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the batch, changed or a new one.

        Args:
            rl_module: the module.
            batch: what the pieces before made.
            episodes: at hand, or sampled.
            explore: whether actions are drawn.
            shared_data: what pieces of a pipeline tell one another.
            metrics: a logger.
        """

    # Spaces.

    def recompute_output_observation_space(
        self, input_observation_space: gym.Space[Any], input_action_space: gym.Space[Any]
    ) -> gym.Space[Any]:
        """Returns the space of observations as this piece leaves them. Override it if it changes them."""
        return input_observation_space

    def recompute_output_action_space(
        self, input_observation_space: gym.Space[Any], input_action_space: gym.Space[Any]
    ) -> gym.Space[Any]:
        """Returns the space of actions as this piece leaves them. Override it if it changes them."""
        return input_action_space

    @property
    def observation_space(self) -> gym.Space[Any] | None:
        """The space of observations as this piece leaves them."""
        return self._observation_space

    @property
    def action_space(self) -> gym.Space[Any] | None:
        """The space of actions as this piece leaves them."""
        return self._action_space

    @property
    def input_observation_space(self) -> gym.Space[Any] | None:
        return self._input_observation_space

    @input_observation_space.setter
    def input_observation_space(self, space: gym.Space[Any] | None) -> None:
        self._set_spaces(space, self._input_action_space)

    @property
    def input_action_space(self) -> gym.Space[Any] | None:
        return self._input_action_space

    @input_action_space.setter
    def input_action_space(self, space: gym.Space[Any] | None) -> None:
        self._set_spaces(self._input_observation_space, space)

    def _set_spaces(self, observations: gym.Space[Any] | None, actions: gym.Space[Any] | None) -> None:
        self._input_observation_space, self._input_action_space = observations, actions
        if observations is not None:
            self._observation_space = self.recompute_output_observation_space(observations, actions)  # type: ignore[arg-type]
        if actions is not None:
            self._action_space = self.recompute_output_action_space(observations, actions)  # type: ignore[arg-type]

    # State.

    def get_state(self, components: Any = None, *, not_components: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Returns what set_state() takes: nothing, unless overridden."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over a state."""
        return

    def reset_state(self) -> None:
        """Forgets what was learned of data."""
        return

    def merge_states(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns one state of those of several runners."""
        return {}

    # What pieces are made of.

    @staticmethod
    def single_agent_episode_iterator(
        episodes: Sequence[Any], agents_that_stepped_only: bool = True, zip_with_batch_column: Any = None
    ) -> Iterator[Any]:
        """Yields single-agent episodes: those given, or those of all agents in multi-agent episodes.

        Args:
            episodes: single-agent or multi-agent ones.
            agents_that_stepped_only: leaves out agents that were not observed in the last step.
            zip_with_batch_column: a batch's column: pairs of episodes and its items are yielded, one for each item.
        """
        if zip_with_batch_column is not None:
            for episode in ConnectorV2.single_agent_episode_iterator(episodes, agents_that_stepped_only):
                if isinstance(zip_with_batch_column, dict):
                    items = zip_with_batch_column.get(key_of(episode), [])
                    yield from ((episode, item) for item in items)
            if isinstance(zip_with_batch_column, list):
                yield from zip(
                    ConnectorV2.single_agent_episode_iterator(episodes, agents_that_stepped_only),
                    zip_with_batch_column,
                    strict=True,
                )
            return
        for episode in episodes:
            agent_episodes = getattr(episode, "agent_episodes", None)
            if agent_episodes is None:
                yield episode
                continue
            agents = episode.get_agents_that_stepped() if agents_that_stepped_only else agent_episodes
            for agent in agents:
                yield agent_episodes[agent]

    @staticmethod
    def add_batch_item(batch: dict[str, Any], column: str, item_to_add: Any, single_agent_episode: Any = None) -> None:
        """Adds an item to a column; with an episode, under its key."""
        if single_agent_episode is None:
            batch.setdefault(column, []).append(item_to_add)
            return
        batch.setdefault(column, {}).setdefault(key_of(single_agent_episode), []).append(item_to_add)

    @staticmethod
    def add_n_batch_items(
        batch: dict[str, Any], column: str, items_to_add: Any, num_items: int, single_agent_episode: Any = None
    ) -> None:
        """Adds items to a column: a list of them, or a tree of arrays with a first axis of `num_items`.

        Raises:
            ValueError: there are more or fewer.
        """
        from shoal.rllib._internal.nested import unstack

        items = items_to_add if isinstance(items_to_add, list) else unstack(items_to_add)
        if len(items) != num_items:
            raise ValueError(f"items_to_add has {len(items)} items, and num_items={num_items}")
        for item in items:
            ConnectorV2.add_batch_item(batch, column, item, single_agent_episode)

    @staticmethod
    def foreach_batch_item_change_in_place(
        batch: dict[str, Any], column: str | Sequence[str], func: Callable[..., Any]
    ) -> None:
        """Replaces each item of a column (or each tuple of items of several) by what the function returns.

        Args:
            batch: of lists, by column or by column and key.
            column: one, or several.
            func: takes the item (or a list of items), the episode's id, the agent and the module (None, where there is no such).
        """
        names = [column] if isinstance(column, str) else list(column)
        single = isinstance(column, str)

        def changed(parts: list[list[Any]], key: tuple[Any, ...]) -> None:
            ids = (*key, None, None, None)[:3]
            for i in range(len(parts[0])):
                given = parts[0][i] if single else [part[i] for part in parts]
                made = func(given, *ids)
                for part, value in zip(parts, [made] if single else made, strict=True):
                    part[i] = value

        first = batch[names[0]]
        if isinstance(first, dict):
            for key in first:
                changed([batch[name][key] for name in names], key)
        else:
            changed([batch[name] for name in names], ())

    @staticmethod
    def switch_batch_from_column_to_module_ids(batch: dict[str, Any], module_ids: Any = None) -> dict[str, Any]:
        """Returns a batch by module and column of one by column and key. Items without a module go to all of `module_ids`."""
        switched: dict[str, Any] = {}
        for column, by_key in batch.items():
            if not isinstance(by_key, dict):
                for module_id in module_ids or ():
                    switched.setdefault(module_id, {})[column] = by_key
                continue
            for key, items in by_key.items():
                if isinstance(key, tuple) and len(key) == 3:
                    switched.setdefault(key[2], {}).setdefault(column, []).extend(items)
                else:
                    switched.setdefault(column, {})[key] = items  # it is by module already
        return switched

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def key_of(episode: Any) -> tuple[Any, ...]:
    """Returns under which key an episode's items are in a batch."""
    if episode.multi_agent_episode_id is not None:
        return (episode.multi_agent_episode_id, episode.agent_id, episode.module_id)
    return (episode.id_,)
