"""What the functions of `shoal.train` speak to inside of a training loop: one for each worker, and the only one in its process."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.train._internal.process.run_storage import RunStorage
from shoal.train.checkpoint import Checkpoint


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
    """What one call of `report` said."""

    metrics: dict[str, Any]
    has_checkpoint: bool
    positions: dict[str, Any] = field(default_factory=dict)
    """By dataset: how far this rank has read its part."""


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
    """

    def __init__(
        self,
        rank: Rank,
        experiment: str,
        storage: RunStorage,
        attempt: str,
        checkpoint: Checkpoint | None,
        shards: Mapping[str, Any],
    ) -> None:
        self.rank = rank
        self.experiment = experiment
        self.storage = storage
        self.checkpoint = checkpoint
        self.shards = shards
        self.outgoing: queue.SimpleQueue[Report | Finished | Failed] = queue.SimpleQueue()
        self._attempt = attempt
        self._reports = 0

    def report(self, metrics: Mapping[str, Any], checkpoint: Checkpoint | None, delete_local: bool) -> None:
        """Sends metrics on; the files of a checkpoint are in the run's folder when this returns. Waits for no other rank."""
        if checkpoint is not None:
            target = self.storage.folder_of(self._attempt, self._reports)
            with checkpoint.as_directory() as local:
                self.storage.add_files(local, target)
                if delete_local:
                    shutil.rmtree(local)
            self.checkpoint = self.storage.checkpoint(target)
        self._reports += 1
        positions = {name: shard.position() for name, shard in self.shards.items() if hasattr(shard, "position")}
        self.outgoing.put(Report(dict(metrics), checkpoint is not None, positions))


class CurrentSession:
    """The session of this process."""

    def __init__(self) -> None:
        self.session: WorkerSession | None = None

    def running(self, function: str) -> WorkerSession:
        """Returns it. Raises RuntimeError outside of a training loop."""
        if self.session is None:
            raise RuntimeError(
                f"shoal.train.{function}() works inside of a training loop only, which a trainer's fit() runs"
            )
        return self.session


SESSION = CurrentSession()
