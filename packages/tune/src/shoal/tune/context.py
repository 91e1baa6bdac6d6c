"""What a trial may say and ask: the functions of a trainable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shoal.tune._internal.process.current_trial import CURRENT
from shoal.tune._internal.process.trial_session import TrialSession
from shoal.tune.trainable.placement_group_factory import PlacementGroupFactory

if TYPE_CHECKING:
    from shoal.train import Checkpoint


class TuneContext:
    """This trial among all."""

    def __init__(self, session: TrialSession) -> None:
        self._assignment = session.assignment

    def get_experiment_name(self) -> str:
        """Returns the search's name."""
        return self._assignment.experiment_name

    def get_trial_id(self) -> str:
        """Returns this trial's id."""
        return self._assignment.trial_id

    def get_trial_name(self) -> str:
        """Returns this trial's name."""
        return self._assignment.trial_name

    def get_trial_dir(self) -> str:
        """Returns a folder on this machine for what the trial writes."""
        return self._assignment.local_path

    def get_trial_resources(self) -> PlacementGroupFactory:
        """Returns what the trial has."""
        return PlacementGroupFactory(self._assignment.resources)

    def get_world_rank(self) -> int:
        """Returns 0: what works in training loops works in a trial, which is a group of one."""
        return 0

    def get_world_size(self) -> int:
        """Returns 1."""
        return 1

    def get_local_rank(self) -> int:
        """Returns 0."""
        return 0

    def get_local_world_size(self) -> int:
        """Returns 1."""
        return 1

    def get_node_rank(self) -> int:
        """Returns 0."""
        return 0


def report(metrics: Mapping[str, Any], *, checkpoint: Checkpoint | None = None) -> None:
    """Sends metrics, and a checkpoint's files, to the search. The trial may end here.

    Args:
        metrics: by name; dicts nest, and are found as 'a/b'.
        checkpoint: a local folder; its files are in the trial's folder when this returns.

    Raises:
        InvalidReportError: (a TypeError) metrics are no dict of names.
        CheckpointStorageError: (an OSError) the checkpoint could not be stored.
        RuntimeError: outside of a trial.

    Example:
        >>> from shoal import tune
        >>> def train(config):
        ...     for step in range(10):
        ...         tune.report({"loss": config["x"] / (step + 1)})
    """
    session = CURRENT.running("report")
    session.report(metrics, checkpoint)
    session.end_if_told()


def get_checkpoint() -> Checkpoint | None:
    """Returns what to go on from; None for the beginning. Raises RuntimeError outside of a trial.

    Example:
        >>> from shoal import tune
        >>> def train(config):
        ...     checkpoint = tune.get_checkpoint()
        ...     if checkpoint is not None:
        ...         with checkpoint.as_directory() as folder:
        ...             ...
    """
    return CURRENT.running("get_checkpoint").checkpoint


def get_context() -> TuneContext:
    """Returns which trial this is. Raises RuntimeError outside of one."""
    return TuneContext(CURRENT.running("get_context"))
