"""Who a worker is, and what it may say: the functions of a training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.train._internal.process.worker_session import SESSION, WorkerSession
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import TRAIN_DATASET_KEY
from shoal.train.exceptions import InvalidArgumentError


class TrainContext:
    """This worker among all."""

    def __init__(self, session: WorkerSession) -> None:
        self._session = session

    def get_world_rank(self) -> int:
        """Returns this worker's number among all, from 0."""
        return self._session.rank.world_rank

    def get_world_size(self) -> int:
        """Returns how many workers there are."""
        return self._session.rank.world_size

    def get_local_rank(self) -> int:
        """Returns this worker's number among those of its node."""
        return self._session.rank.local_rank

    def get_local_world_size(self) -> int:
        """Returns how many workers the node has."""
        return self._session.rank.local_world_size

    def get_node_rank(self) -> int:
        """Returns the node's number among those of the run."""
        return self._session.rank.node_rank

    def get_experiment_name(self) -> str:
        """Returns the run's name."""
        return self._session.experiment


def report(
    metrics: Mapping[str, Any],
    checkpoint: Checkpoint | None = None,
    *,
    delete_local_checkpoint_after_upload: bool | None = None,
) -> None:
    """Sends metrics, and a checkpoint's files, to the run. Waits for no other rank.

    A checkpoint counts when all ranks have made as many reports; files of several ranks come into one folder.

    Args:
        metrics: by name. Rank 0's are the run's.
        checkpoint: a local folder; its files are in the run's folder when this returns.
        delete_local_checkpoint_after_upload: remove the local folder afterwards.

    Raises:
        InvalidArgumentError: (a ValueError) metrics are no dict of names, or the checkpoint is none.
        RuntimeError: outside of a training loop.
        OSError: the checkpoint could not be written.

    Example:
        >>> from shoal import train
        >>> def loop():
        ...     train.report({"loss": 0.5})
    """
    session = SESSION.running("report")
    _check(metrics, checkpoint)
    session.report(metrics, checkpoint, bool(delete_local_checkpoint_after_upload))


def _check(metrics: object, checkpoint: object) -> None:
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        raise InvalidArgumentError(f"metrics is {metrics!r}; give a dict of names to values")
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        raise InvalidArgumentError(f"checkpoint is {checkpoint!r}; give Checkpoint.from_directory(folder)")


def get_context() -> TrainContext:
    """Returns which worker this is. Raises RuntimeError outside of a training loop."""
    return TrainContext(SESSION.running("get_context"))


def get_checkpoint() -> Checkpoint | None:
    """Returns what to go on from: the run's latest checkpoint; None at first. Raises RuntimeError outside of a training loop."""
    return SESSION.running("get_checkpoint").checkpoint


def get_dataset_shard(dataset_name: str | None = None) -> Any:
    """Returns an iterator over this worker's part of a dataset.

    Args:
        dataset_name: as in the trainer's `datasets`; None for 'train'.

    Raises:
        KeyError: the trainer has no such dataset; the text names those that it has.
        RuntimeError: outside of a training loop.
    """
    shards = SESSION.running("get_dataset_shard").shards
    name = dataset_name if dataset_name is not None else TRAIN_DATASET_KEY
    if name not in shards:
        raise KeyError(
            f"there is no dataset {name!r}; the trainer's datasets are: {', '.join(map(repr, shards)) or 'none'}"
        )
    return shards[name]
