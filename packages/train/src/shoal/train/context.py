"""Who a worker is, and what it may say: the functions of a training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import shoal
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train._internal.process.worker_session import SESSION, WorkerSession
from shoal.train.checkpoint import Checkpoint
from shoal.train.configuration import TRAIN_DATASET_KEY, check_path_component
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.reporting import (
    CheckpointConsistencyMode,
    CheckpointUploadMode,
    ReportedCheckpoint,
    StorageOptions,
    ValidationTaskConfig,
)


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

    def get_storage(self) -> RunStorage:
        """Returns the run's folder: `path` and `filesystem` say where it is."""
        return self._session.storage

    def get_trial_name(self) -> str:
        """Returns the run's name: a run is the one trial of itself."""
        return self._session.experiment

    def get_trial_id(self) -> str:
        """Returns the run's name."""
        return self._session.experiment

    def get_trial_dir(self) -> str:
        """Returns the path of the run's folder."""
        return self._session.storage.path

    def get_trial_resources(self) -> dict[str, float]:
        """Returns what this worker has, by resource."""
        return dict(shoal.get_runtime_context().get_assigned_resources())

    def get_metadata(self) -> dict[str, Any]:
        """Raises DeprecationWarning, as in Ray: put facts into the `train_loop_config`, or `Checkpoint.set_metadata`."""
        raise DeprecationWarning("there is no metadata of a trainer; use train_loop_config, or Checkpoint.set_metadata")


def report(
    metrics: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
    checkpoint_dir_name: str | None = None,
    checkpoint_upload_mode: CheckpointUploadMode = CheckpointUploadMode.SYNC,
    delete_local_checkpoint_after_upload: bool | None = None,
    checkpoint_upload_fn: Callable[[Checkpoint, str | None], Checkpoint] | None = None,
    validation: bool | ValidationTaskConfig = False,
    **named_metrics: Any,
) -> None:
    """Sends metrics, and a checkpoint's files, to the run. Waits for no other rank.

    A checkpoint counts when all ranks have made as many reports; files of several ranks come into one folder. All metrics are kept, with
    or without a checkpoint.

    Args:
        metrics: by name. Rank 0's are the run's.
        checkpoint: a folder with this rank's files.
        checkpoint_dir_name: of the folder in the run's, the same in all ranks; None for one that no other report has.
        checkpoint_upload_mode: SYNC: the files are stored when this returns. ASYNC: a thread stores them, and later reports wait behind;
            where that fails, the next report raises it, or the end of the loop. NO_UPLOAD: they are where they shall stay.
        delete_local_checkpoint_after_upload: remove the local folder; None for yes with ASYNC, which takes the folder away at once, and no
            otherwise. With ASYNC and False the files are copied first.
        checkpoint_upload_fn: stores the files instead: gets the checkpoint and the name of the folder, returns the stored checkpoint.
        validation: True to validate the checkpoint as the trainer's `validation_config` says, or how else.
        named_metrics: instead of `metrics`, as in old Ray: `report(loss=0.5)`.

    Raises:
        InvalidArgumentError: (a ValueError) metrics are no dict of names, or the checkpoint is none, or an option is unknown.
        RuntimeError: outside of a training loop.
        CheckpointError: (an OSError) the checkpoint, or an earlier one that was ASYNC, could not be written.

    Example:
        >>> from shoal import train
        >>> def loop():
        ...     train.report({"loss": 0.5})
    """
    if SESSION.instead is not None:
        SESSION.instead.report(_metrics(metrics, named_metrics), checkpoint=checkpoint)
        return
    session = SESSION.running("report")
    found = _metrics(metrics, named_metrics)
    if checkpoint is None and not validation:
        session.report(found, None, _PLAIN)
        return
    options = StorageOptions(
        _mode(checkpoint_upload_mode),
        checkpoint_dir_name,
        delete_local_checkpoint_after_upload,
        checkpoint_upload_fn,
    )
    _check(checkpoint, options, validation)
    session.report(found, checkpoint, options, validation)


_PLAIN = StorageOptions()
_OPTIONS = (
    "checkpoint",
    "checkpoint_dir_name",
    "checkpoint_upload_mode",
    "delete_local_checkpoint_after_upload",
    "checkpoint_upload_fn",
    "validation",
)


def _metrics(metrics: object, named: Mapping[str, Any]) -> Mapping[str, Any]:
    if metrics is None:
        return named
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        raise InvalidArgumentError(f"metrics is {metrics!r}; give a dict of names to values")
    if named:
        raise InvalidArgumentError(
            f"report() has no option {', '.join(map(repr, named))}; put metrics into the dict. The options are {', '.join(_OPTIONS)}"
        )
    return metrics


def _mode(value: object) -> CheckpointUploadMode:
    if isinstance(value, CheckpointUploadMode):
        return value
    modes = CheckpointUploadMode.__members__
    if isinstance(value, str) and value.upper() in modes:
        return modes[value.upper()]
    raise InvalidArgumentError(f"checkpoint_upload_mode is {value!r}; give one of {', '.join(modes)}")


def _check(checkpoint: object, options: StorageOptions, validation: object) -> None:
    if checkpoint is None:
        raise InvalidArgumentError("validation needs a checkpoint to validate; give checkpoint=, or no validation=")
    if not isinstance(checkpoint, Checkpoint):
        raise InvalidArgumentError(f"checkpoint is {checkpoint!r}; give Checkpoint.from_directory(folder)")
    if not isinstance(validation, bool | ValidationTaskConfig):
        raise InvalidArgumentError(f"validation is {validation!r}; give True, False or a ValidationTaskConfig")
    if options.upload_fn is not None and not callable(options.upload_fn):
        raise InvalidArgumentError(f"checkpoint_upload_fn is {options.upload_fn!r}; give a function")
    check_path_component("checkpoint_dir_name", options.dir_name)


def get_all_reported_checkpoints(
    consistency_mode: CheckpointConsistencyMode = CheckpointConsistencyMode.VALIDATED, timeout_s: float | None = None
) -> list[ReportedCheckpoint]:
    """Returns the run's whole checkpoints that are kept, oldest first, with their metrics.

    Args:
        consistency_mode: COMMITTED waits until all that this rank has reported are whole, for which the other ranks have to report, too;
            VALIDATED until their validations are over besides.
        timeout_s: seconds to wait; None for any time. Then the list is as it is: each checkpoint's status says what became of it.

    Raises:
        RuntimeError: outside of a training loop.
    """
    return SESSION.running("get_all_reported_checkpoints").reported_checkpoints(consistency_mode, timeout_s)


@dataclass(frozen=True)
class PreemptionInfo:
    """A machine is going to be taken away.

    Args:
        deadline_ms: when, in milliseconds of the clock since 1970.
        preempted_node_to_ranks: which ranks are on which of the machines.
    """

    deadline_ms: int
    preempted_node_to_ranks: Mapping[str, list[int]]

    @property
    def preempted_node_ids(self) -> list[str]:
        """The machines."""
        return list(self.preempted_node_to_ranks)

    @property
    def preempted_ranks(self) -> list[int]:
        """The ranks on them."""
        return sorted(rank for ranks in self.preempted_node_to_ranks.values() for rank in ranks)


def get_preemption_info() -> PreemptionInfo | None:
    """Returns None: a session of one machine is told of no machine that goes away. Raises RuntimeError outside of a training loop."""
    SESSION.running("get_preemption_info")
    return None


def get_context() -> TrainContext:
    """Returns which worker this is. Raises RuntimeError outside of a training loop."""
    if SESSION.instead is not None:
        trial: TrainContext = SESSION.instead.get_context()
        return trial
    return TrainContext(SESSION.running("get_context"))


def get_checkpoint() -> Checkpoint | None:
    """Returns what to go on from: the run's latest checkpoint; None at first. Raises RuntimeError outside of a training loop."""
    if SESSION.instead is not None:
        return SESSION.instead.get_checkpoint()
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
