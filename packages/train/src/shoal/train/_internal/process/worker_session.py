"""What the functions of `shoal.train` speak to inside of a training loop: one for each worker, and the only one in its process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shoal.train._internal.process.local_folder import LocalFolder
from shoal.train._internal.process.outbox import Outbox
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.reporting import (
    CheckpointConsistencyMode,
    CheckpointUploadMode,
    ReportedCheckpoint,
    ReportedCheckpointStatus,
    StorageOptions,
    ValidationTaskConfig,
)


@dataclass(frozen=True)
class Rank:
    """Which worker this is, of how many; on its machine, and its machine among all."""

    world_rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    node_rank: int


@dataclass(frozen=True)
class Report:
    """What one call of `report` said; the files of its checkpoint are stored.

    Args:
        metrics: by name.
        number: its place among this rank's reports of this attempt, from 0.
        checkpoint: where the files are; None where there are none.
        validation: whether the checkpoint is validated, or how.
    """

    metrics: dict[str, Any]
    number: int = 0
    checkpoint: Checkpoint | None = None
    validation: bool | ValidationTaskConfig = False

    @property
    def has_checkpoint(self) -> bool:
        return self.checkpoint is not None


@dataclass(frozen=True)
class Finished:
    """The loop returned."""

    value: Any


@dataclass(frozen=True)
class Failed:
    """The loop raised."""

    error: BaseException


class WorkerSession:
    """One attempt of one rank.

    Args:
        rank: which.
        experiment: the run's name.
        storage: the run's folder.
        attempt: a text that no other attempt of the run has.
        checkpoint: what to begin from; None at first.
        shards: this rank's part of each dataset.
        committed: how many checkpoints the run has already, and what became of them.
    """

    def __init__(
        self,
        rank: Rank,
        experiment: str,
        storage: RunStorage,
        attempt: str,
        checkpoint: Checkpoint | None,
        shards: Mapping[str, Any],
        committed: Sequence[ReportedCheckpoint] = (),
    ) -> None:
        self.rank = rank
        self.experiment = experiment
        self.storage = storage
        self.checkpoint = checkpoint
        self.shards = shards
        self.outgoing: queue.SimpleQueue[Report | Finished | Failed] = queue.SimpleQueue()
        self._attempt = attempt
        self._reports = 0
        self._outbox: Outbox[Report] = Outbox(self.outgoing.put)
        self._told = threading.Condition()
        self._committed = list(committed)
        self._committed_reports = -1
        """The number of the last report whose checkpoint is whole."""
        self._checkpoint_reports = -1
        """The number of this rank's last report with a checkpoint."""

    def report(
        self,
        metrics: Mapping[str, Any],
        checkpoint: Checkpoint | None,
        options: StorageOptions,
        validation: bool | ValidationTaskConfig = False,
    ) -> None:
        """Sends metrics on, and stores a checkpoint's files. Waits for no other rank."""
        self._outbox.check()
        report = Report(dict(metrics), self._reports, None, validation)
        if checkpoint is None:
            self._reports += 1
            self._outbox.now(report)
            return
        if options.mode is CheckpointUploadMode.ASYNC:
            folder = self._handed_over(checkpoint, options)
            target = self._target(options)
            self._outbox.later(
                lambda: replace(report, checkpoint=self._stored(checkpoint, folder, target, options)),
                folder.close if folder is not None else _nothing,
            )
        else:
            stored = self._stored(checkpoint, LocalFolder.of(checkpoint), self._target(options), options)
            self._outbox.now(replace(report, checkpoint=stored))
        # A report that could not be stored is not made: it may be tried again.
        self._checkpoint_reports = self._reports
        self._reports += 1

    def _target(self, options: StorageOptions) -> str:
        return self.storage.folder_of(self._attempt, self._reports, options.dir_name)

    def _handed_over(self, checkpoint: Checkpoint, options: StorageOptions) -> LocalFolder | None:
        """Returns files that stay as they are whatever the caller does from now on; None where they are not local."""
        folder = LocalFolder.of(checkpoint)
        if folder is None or options.upload_fn is not None:
            return folder
        staging = self.storage.staging
        return folder.taken_over(staging) if options.deletes_local else folder.copied(staging)

    def _stored(
        self, checkpoint: Checkpoint, folder: LocalFolder | None, target: str, options: StorageOptions
    ) -> Checkpoint:
        """Returns where the files are."""
        if options.mode is CheckpointUploadMode.NO_UPLOAD:
            stored = checkpoint
        elif options.upload_fn is not None:
            stored = _by_user(checkpoint, options.upload_fn, options.dir_name)
        elif folder is None:
            self.storage.add_remote(checkpoint, target)
            stored = self.storage.checkpoint(target)
        else:
            try:
                self.storage.add_files(folder.path, target, may_move=folder.is_own or options.deletes_local)
            finally:
                folder.close()
            stored = self.storage.checkpoint(target)
        if folder is not None and options.deletes_local and stored != checkpoint:
            folder.remove()
        self.checkpoint = stored
        return stored

    def close(self) -> None:
        """Returns when all that was reported is stored and sent. Raises CheckpointError where it could not be."""
        self._outbox.flush()

    def close_after(self, error: BaseException) -> None:
        """The same after the loop has failed: what it reported before counts."""
        try:
            self._outbox.flush()
        except BaseException as other:
            if other is not error:
                error.add_note(f"Besides, a checkpoint that was reported before could not be stored: {other}")

    def checkpoints_are(self, committed: Sequence[ReportedCheckpoint], report: int) -> None:
        """The run says which whole checkpoints it has; `report` is the number of the last one of this attempt."""
        with self._told:
            self._committed = list(committed)
            self._committed_reports = max(report, self._committed_reports)
            self._told.notify_all()

    def reported_checkpoints(self, mode: CheckpointConsistencyMode, timeout: float | None) -> list[ReportedCheckpoint]:
        """Returns the whole checkpoints of the run, oldest first, when there are all that this rank has reported."""
        with self._told:
            self._told.wait_for(lambda: self._is_told(mode), timeout)
            return list(self._committed)

    def _is_told(self, mode: CheckpointConsistencyMode) -> bool:
        if self._committed_reports < self._checkpoint_reports:
            return False
        return mode is CheckpointConsistencyMode.COMMITTED or all(
            one.status is not ReportedCheckpointStatus.PENDING_VALIDATION for one in self._committed
        )


def _by_user(
    checkpoint: Checkpoint, upload: Callable[[Checkpoint, str | None], Checkpoint], name: str | None
) -> Checkpoint:
    stored: object = upload(checkpoint, name)
    if not isinstance(stored, Checkpoint):
        raise InvalidArgumentError(f"checkpoint_upload_fn returned {stored!r}; return the stored Checkpoint")
    return stored


def _nothing() -> None:
    return


class LoopFunctions(Protocol):
    """The functions of those who run loops of their own: a search's trials."""

    def report(self, metrics: Mapping[str, Any], *, checkpoint: Checkpoint | None = None) -> None: ...

    def get_checkpoint(self) -> Checkpoint | None: ...

    def get_context(self) -> Any: ...


class CurrentSession:
    """The session of this process."""

    def __init__(self) -> None:
        self.session: WorkerSession | None = None
        self.others: LoopFunctions | None = None
        """Who answers where there is no session."""

    @property
    def instead(self) -> LoopFunctions | None:
        """Who answers now instead of a session."""
        return self.others if self.session is None else None

    def running(self, function: str) -> WorkerSession:
        """Returns it. Raises RuntimeError outside of a training loop."""
        if self.session is None:
            raise RuntimeError(
                f"shoal.train.{function}() works inside of a training loop only, which a trainer's fit() runs"
            )
        return self.session


SESSION = CurrentSession()
