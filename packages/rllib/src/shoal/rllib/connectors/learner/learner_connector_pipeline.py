"""What users put before a learner's own way from episodes to a batch."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from shoal.rllib._internal.learning.episode_batch import by_module
from shoal.rllib._internal.nested import stack
from shoal.rllib.connectors.common.frame_stacking import FrameStacking
from shoal.rllib.connectors.connector_pipeline_v2 import ConnectorPipelineV2, as_pieces
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.core.columns import Columns
from shoal.rllib.utils.error import ConfigError

TENSORS, ADVANTAGES = "NumpyToTensor", "GeneralAdvantageEstimation"
OWN_STEPS = (
    "AddObservationsFromEpisodesToBatch",
    "AddColumnsFromEpisodesToTrainBatch",
    "AddTimeDimToBatchAndZeroPad",
    "AddStatesFromEpisodesToBatch",
    "AgentToModuleMapping",
    "BatchIndividualItems",
    TENSORS,
    ADVANTAGES,
)
"""What a learner does at once for all episodes, by the names of the pieces that do it one by one."""


class OwnStep(ConnectorV2):
    """Stands, in a learner's pipeline, where it does itself what a piece of this name does. Other pieces are placed by it.

    Args:
        name: of the piece's class.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __call__(
        self, *, rl_module: Any, batch: dict[str, Any], episodes: Sequence[Any], **kwargs: Any
    ) -> dict[str, Any]:
        return batch

    def __repr__(self) -> str:
        return f"<the learner's own {self.name}>"


class LearnerConnectorPipeline(ConnectorPipelineV2):
    """From episodes to columns. What the pieces change in episodes, the learner sees; columns that they add go with its own.

    The learner's own columns (observations, actions, advantages, ...) are made after those pieces, at once for all episodes. A learner
    with pieces of its own adds them in `build()`, by `self._learner_connector`: `prepend` for one that sees the episodes,
    `insert_after(NumpyToTensor, ...)` for one that sees the columns, tensors by module, before advantages are computed, and `append` for
    one that sees all columns.
    """

    def add_own_steps(self) -> None:
        """Marks where the learner's own steps are, so that pieces can be placed by them."""
        if not any(isinstance(piece, OwnStep) for piece in self.connectors):
            self.connectors.extend(OwnStep(name) for name in OWN_STEPS)

    @property
    def stages(self) -> tuple[list[Any], list[Any], list[Any]]:
        """The pieces that see episodes, those that see columns before there are advantages, and those that see all columns."""
        stages: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        stage = 0
        for piece in self.connectors:
            if not isinstance(piece, OwnStep):
                stages[stage].append(piece)
            elif piece.name in (TENSORS, ADVANTAGES):
                stage += 1
        return stages

    @property
    def has_pieces(self) -> bool:
        """Whether there is anything but the learner's own steps."""
        return any(not isinstance(piece, OwnStep) for piece in self.connectors)

    def _place(self, name_or_class: str | type[Any]) -> int:
        try:
            return super()._place(name_or_class)
        except ValueError:
            name = name_or_class if isinstance(name_or_class, str) else name_or_class.__name__
            for i, piece in enumerate(self.connectors):
                if isinstance(piece, OwnStep) and piece.name == name:
                    return i
            raise

    def remove(self, name_or_class: str | type[Any]) -> ConnectorV2 | None:
        """Takes a piece out and returns it; None if there is none. Raises ConfigError: it is a step of the learner's own."""
        try:
            place = self._place(name_or_class)
        except ValueError:
            return None
        if isinstance(self.connectors[place], OwnStep):
            raise ConfigError(
                f"{self.connectors[place].name} cannot be removed: the learner makes these columns itself. Change them by a piece after it"
            )
        return super().remove(name_or_class)


def build_learner_pipeline(
    config: Any, input_observation_space: Any, input_action_space: Any, device: Any = None
) -> LearnerConnectorPipeline:
    """Returns a configuration's pipeline.

    Args:
        config: of the algorithm.
        input_observation_space: of the episodes' observations.
        input_action_space: of their actions.
        device: where tensors are made.

    Raises:
        ConfigError: (a ValueError) the default pieces were switched off, and there are no others.
    """
    given = config.learner_connector
    if given is None and not config.add_default_connectors_to_learner_pipeline:
        raise ConfigError(
            "add_default_connectors_to_learner_pipeline is False, and there is no learner_connector; give one"
        )
    pieces = [] if given is None else as_pieces(_called(given, input_observation_space, input_action_space, device))
    _check_n_step(config, pieces)
    if len(pieces) == 1 and isinstance(pieces[0], LearnerConnectorPipeline):
        return pieces[0]
    return LearnerConnectorPipeline(input_observation_space, input_action_space, connectors=pieces)


def _check_n_step(config: Any, pieces: Iterable[Any]) -> None:
    """Raises ConfigError where frames would have to be stacked that a transition of several steps does not have."""
    n_step = config.get("n_step", 1)
    if (max(n_step) if isinstance(n_step, tuple | list) else n_step) <= 1:
        return
    for piece in pieces:
        if isinstance(piece, FrameStacking):
            raise ConfigError(
                f"n_step is {n_step!r}, and FrameStackingLearner would need the observations between, which a transition of several steps "
                "does not have: set training(n_step=1), or stack frames by a wrapper of the environment, "
                "gymnasium.wrappers.FrameStackObservation"
            )
        _check_n_step(config, getattr(piece, "connectors", ()))


def _called(given: Any, *arguments: Any) -> Any:
    try:
        parameters = inspect.signature(given).parameters.values()
    except (TypeError, ValueError):
        return given(*arguments[:2])
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return given(*arguments[: len(positional)])


def columns_by_module(batch: Mapping[str, Any], episodes: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Returns what pieces added, as arrays by module, in the order of the episodes' steps.

    Args:
        batch: by column, items by episode: `{(id,): [...]}` or `{(id, agent, module): [...]}`; or, by module, columns of arrays.
        episodes: after the pieces.

    Raises:
        ConfigError: a column has not an item for each step.
    """
    modules = by_module(episodes)
    found: dict[str, dict[str, Any]] = {module_id: {} for module_id in modules}
    for name, items in batch.items():
        if name == Columns.INFOS:  # for pieces, not for losses
            continue
        if name in modules:  # by module already
            found[name].update(items)
            continue
        if not isinstance(items, Mapping):
            raise ConfigError(
                f"a learner connector added the column {name!r} as {type(items).__name__}; add items by add_batch_item or add_n_batch_items"
            )
        waiting = {key: iter(values) for key, values in items.items()}
        for module_id, own in modules.items():
            column = []
            for episode in own:
                source = _items_of(episode, waiting)
                if source is None:
                    continue
                taken = list(itertools.islice(source, len(episode)))
                if len(taken) != len(episode):
                    raise ConfigError(
                        f"the column {name!r} has {len(taken)} items for an episode of {len(episode)} steps; add one for each step"
                    )
                column.extend(taken)
            if column:
                if len(column) != sum(len(episode) for episode in own):
                    raise ConfigError(
                        f"the column {name!r} has items for some episodes of module {module_id!r}, and not for others"
                    )
                stacked = stack(column)
                found[module_id][name] = (
                    stacked.astype(np.float32) if getattr(stacked, "dtype", None) == np.float64 else stacked
                )
    return {module_id: columns for module_id, columns in found.items() if columns}


def _items_of(episode: Any, waiting: Mapping[Any, Any]) -> Any:
    for key in (
        (episode.id_,),
        (episode.multi_agent_episode_id, episode.agent_id, episode.module_id),
        (episode.id_, episode.agent_id, episode.module_id),
    ):
        if key in waiting:
            return waiting[key]
    return None
