"""A session that knows how far the datasets were read when a report was made, and where the other ranks are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.train._internal.process.meeting_point import MeetingPoint
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train._internal.process.worker_session import Rank, WorkerSession
from shoal.train.checkpoint import Checkpoint


class TrackedSession(WorkerSession):
    """One attempt of one rank; see `WorkerSession`."""

    def __init__(
        self,
        rank: Rank,
        experiment: str,
        storage: RunStorage,
        attempt: str,
        checkpoint: Checkpoint | None,
        shards: Mapping[str, Any],
        committed: Sequence[Any] = (),
    ) -> None:
        super().__init__(rank, experiment, storage, attempt, checkpoint, shards, committed)
        self.positions: dict[int, dict[str, Any]] = {}
        """By the number of the report; whoever sends it on takes it out."""
        self.meeting_point = MeetingPoint(f"shoal-train-meeting-{attempt}", rank.world_rank, rank.world_size)

    def report(self, *args: Any, **kwargs: Any) -> None:
        if self.shards:
            # Before it is sent: a batch that the loop fetches afterwards is not part of it.
            self.positions[self._reports] = {
                name: shard.position() for name, shard in self.shards.items() if hasattr(shard, "position")
            }
        super().report(*args, **kwargs)
