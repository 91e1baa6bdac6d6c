"""Makes episodes, and batches, of recorded rows."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.rllib._internal.nested import leaves
from shoal.rllib._internal.offline.recorded_steps import RecordedSteps
from shoal.rllib._internal.offline.rows import RowFormat, steps_of_rows
from shoal.rllib._internal.offline.spaces import recorded_spaces
from shoal.rllib._internal.offline.values import missing, unpacked
from shoal.rllib.core.columns import Columns
from shoal.rllib.env.single_agent_episode import SingleAgentEpisode
from shoal.rllib.utils.error import OfflineDataError

EPISODE_COLUMN = "item"
"""The column of pickled episodes, where rows are episodes."""

SCHEMA: dict[str, str] = {
    Columns.EPS_ID: "eps_id",
    Columns.AGENT_ID: "agent_id",
    Columns.MODULE_ID: "module_id",
    Columns.OBS: "obs",
    Columns.ACTIONS: "actions",
    Columns.REWARDS: "rewards",
    Columns.INFOS: "infos",
    Columns.NEXT_OBS: "new_obs",
    Columns.TERMINATEDS: "terminateds",
    Columns.TRUNCATEDS: "truncateds",
    Columns.T: "t",
}
"""What columns are called, unless `input_read_schema` says otherwise."""

_DEFAULT_NEEDED = (Columns.OBS, Columns.ACTIONS, Columns.REWARDS, Columns.TERMINATEDS)


class OfflinePreLearner:
    """Makes episodes of recorded rows; derive from it for data of a form of its own.

    Override `_map_to_episodes` to make the episodes yourself: everything else stays. Override `__call__` to make whole batches: then
    batches come in the order of the data, and each is what one call returned.

    Args:
        config: of the algorithm.
        spaces: of the recorded observations and actions; None for those that `config` tells.
        module_state: accepted for RLlib's sake: learners work out what depends on weights.
        **kwargs: accepted for RLlib's sake.

    Raises:
        ConfigError: (a ValueError) there are no spaces.

    Example:
        >>> import numpy as np
        >>> from shoal.rllib.algorithms.bc import BCConfig
        >>> prelearner = OfflinePreLearner(config=BCConfig().environment("CartPole-v1"))
        >>> rows = {"obs": np.zeros((2, 4)), "actions": np.array([0, 1]), "rewards": np.ones(2), "terminateds": np.array([False, True])}
        >>> [len(episode) for episode in prelearner._map_to_episodes(False, rows)["episodes"]]
        [2]
    """

    default_prelearner_buffer_class: Any = None
    default_prelearner_buffer_kwargs: Mapping[str, Any] = {}

    def __init__(self, *, config: Any, spaces: Any = None, module_state: Any = None, **kwargs: Any) -> None:
        self.config = config
        self.observation_space, self.action_space = recorded_spaces(config) if spaces is None else spaces
        names = {**SCHEMA, **config.input_read_schema}
        self._format = RowFormat(
            observation_space=self.observation_space,
            action_space=self.action_space,
            names=names,
            needed=getattr(config, "needed_columns", _DEFAULT_NEEDED),
            normalized=bool(config.actions_in_input_normalized),
            to_normalize=bool(config.normalize_actions),
            keep_last=bool(config.ignore_final_observation),
        )
        self._pipeline: Any = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Returns `{"batch": [columns by module]}` of rows: transitions of all of their steps.

        Args:
            batch: rows, by column.

        Raises:
            OfflineDataError: (a ValueError) columns are missing, or values are not in their spaces.
        """
        from shoal.rllib.core import DEFAULT_MODULE_ID

        steps = self.steps_of(batch)
        return {"batch": [{DEFAULT_MODULE_ID: steps.transitions(np.arange(len(steps)))}]}

    def _map_to_episodes(self, *arguments: Any, **kwargs: Any) -> dict[str, Any]:
        """Returns `{"episodes": [...]}` of rows that are steps, or pickled episodes.

        Args:
            *arguments: the rows, by column; before them may stand whether there are several agents, as in older programs.
            **kwargs: accepted for RLlib's sake.

        Raises:
            OfflineDataError: (a ValueError) columns are missing, or values are not in their spaces.
        """
        return {"episodes": self._steps_of(_rows_in(arguments, kwargs)).episodes()}

    def _map_sample_batch_to_episode(self, *arguments: Any, **kwargs: Any) -> dict[str, Any]:
        """Returns the same of rows that are batches of Ray's old stack. Raises OfflineDataError."""
        rows = self._rows_of_sample_batches(_rows_in(arguments, kwargs))
        return {"episodes": steps_of_rows(rows, self._format).episodes()}

    def _should_module_be_updated(self, module_id: str, multi_agent_batch: Any = None) -> bool:
        """Whether a module is trained."""
        return bool(self.config.is_policy_to_train(module_id, multi_agent_batch))

    def steps_of(self, batch: Mapping[str, Any]) -> RecordedSteps:
        """Returns recorded steps of rows, by `_map_to_episodes` where a class has its own. Raises OfflineDataError."""
        own, base = type(self), OfflinePreLearner
        if self.config.input_read_sample_batches:
            if own._map_sample_batch_to_episode is not base._map_sample_batch_to_episode:
                return RecordedSteps.of_episodes(self._mapped(self._map_sample_batch_to_episode, batch))
            return steps_of_rows(self._rows_of_sample_batches(batch), self._format)
        if own._map_to_episodes is not base._map_to_episodes:
            return RecordedSteps.of_episodes(self._mapped(self._map_to_episodes, batch))
        return self._steps_of(batch)

    def _mapped(self, own: Callable[..., dict[str, Any]], batch: Mapping[str, Any]) -> list[Any]:
        """Episodes of a method of a user's, which has the arguments of today's Ray or those of an earlier one."""
        if next(iter(inspect.signature(own).parameters), None) == "batch":
            return list(own(batch, to_numpy=True)["episodes"])
        told = {
            "schema": {**SCHEMA, **self.config.input_read_schema},
            "to_numpy": True,
            "input_compress_columns": self.config.input_compress_columns,
            "observation_space": self.observation_space,
            "action_space": self.action_space,
        }
        return list(own(False, batch, **told)["episodes"])

    def are_steps(self, names: Sequence[str]) -> bool:
        """Whether rows with these columns are a step each."""
        settings = self.config
        return not (
            settings.input_read_sample_batches
            or settings.input_read_episodes
            or list(names) == [self._format.name(EPISODE_COLUMN)]
        )

    @property
    def makes_batches(self) -> bool:
        """Whether a class makes batches of its own."""
        return type(self).__call__ is not OfflinePreLearner.__call__

    def _steps_of(self, batch: Mapping[str, Any]) -> RecordedSteps:
        column = self._format.name(EPISODE_COLUMN)
        # Rows that are nothing but items are episodes, whether or not that was said: it is what recording writes if nothing else is asked.
        if self.config.input_read_episodes or list(batch) == [column]:
            if column not in batch:
                raise OfflineDataError(missing("item", column, batch))
            return self.steps_of_episodes([_unpickled(item, row) for row, item in enumerate(batch[column])])
        return steps_of_rows(batch, self._format)

    def steps_of_episodes(self, episodes: list[Any]) -> RecordedSteps:
        """Returns recorded steps of episodes whose actions are the environment's. Raises OfflineDataError."""
        steps = RecordedSteps.of_episodes(episodes)

        def row_name(row: int) -> str:
            chunk = int(steps.chunk_of(np.array([row]))[0])
            return (
                f"step {row - int(steps.starts[chunk]) + int(steps.t_started[chunk])} of episode {steps.ids[chunk]!r}"
            )

        given = {type(leaf) for leaf in leaves(steps.actions)} | {type(leaf) for leaf in leaves(steps.observations)}
        if given != {np.ndarray}:
            raise OfflineDataError(f"episodes have {sorted(kind.__name__ for kind in given)}, and arrays are needed")
        steps.actions = self._format.module_actions(steps.actions, row_name)
        return steps

    def _rows_of_sample_batches(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Returns rows of steps, of rows that have many steps each."""
        renamed = {"dones": Columns.TERMINATEDS, "unroll_id": "unroll_id"}
        parts = {name: [unpacked(value, name) for value in column] for name, column in batch.items() if name != "type"}
        obs = self._format.name(Columns.OBS)
        if obs not in parts:
            raise OfflineDataError(missing(Columns.OBS, obs, parts))
        lengths = [len(value) for value in parts[obs]]
        rows: dict[str, Any] = {}
        for name, values in parts.items():
            if all(
                isinstance(value, np.ndarray | list) and len(value) == n
                for value, n in zip(values, lengths, strict=True)
            ):
                arrays = [np.asarray(_listed(value)) for value in values]
                if all(array.dtype != object for array in arrays):
                    rows[name if name in SCHEMA else renamed.get(name, name)] = np.concatenate(arrays)
        ids = self._format.name(Columns.EPS_ID)
        if ids not in rows:
            rows[ids] = np.repeat(np.arange(len(lengths)), lengths)
        return rows


def _rows_in(arguments: Sequence[Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    rows: Mapping[str, Any] = next((one for one in arguments if isinstance(one, Mapping)), named.get("batch", {}))
    return rows


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, np.ndarray) and value.dtype == object else value


def _unpickled(item: Any, row: int) -> Any:
    try:
        state = pickle.loads(item) if isinstance(item, bytes) else item
        return state if isinstance(state, SingleAgentEpisode) else SingleAgentEpisode.from_state(state)
    except Exception as error:
        raise OfflineDataError(
            f"row {row} has no pickled episode ({type(error).__name__}: {error}); rows of steps are read with "
            "offline_data(input_read_episodes=False)"
        ) from error
