"""The communicator of XGBoost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.train._internal.process.gathering import gather
from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Backend, BackendConfig, Meeting
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from xgboost.tracker import RabitTracker


@dataclass(frozen=True)
class XGBoostConfig(BackendConfig):
    """How the ranks of XGBoost find one another.

    Args:
        xgboost_communicator: 'rabit', XGBoost's own.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such communicator here.
    """

    xgboost_communicator: str = "rabit"

    def __post_init__(self) -> None:
        if self.xgboost_communicator != "rabit":
            raise InvalidArgumentError(f"xgboost_communicator is {self.xgboost_communicator!r}; give 'rabit'")

    @property
    def make(self) -> Callable[[], Backend]:
        return XGBoostBackend

    @property
    def preload(self) -> tuple[str, ...]:
        return ("xgboost",)


class XGBoostBackend(Backend):
    """Meets the other ranks in XGBoost's communicator, where there are others. Rank 0 has the tracker that brings them together.

    The communicator belongs to the thread that calls `begin`.
    """

    def __init__(self) -> None:
        self._tracker: RabitTracker | None = None

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        if rank.world_size == 1:
            return
        from xgboost import collective
        from xgboost.tracker import RabitTracker

        arguments: dict[str, str | int] = {}
        if rank.world_rank == 0:
            # Sorted by the names of tasks, XGBoost's ranks are the run's.
            self._tracker = RabitTracker(n_workers=rank.world_size, host_ip=meeting.address, sortby="task")
            self._tracker.start()
            arguments = self._tracker.worker_args()
        arguments = gather(rank, meeting, arguments)[0]
        collective.init(**arguments, dmlc_communicator="rabit", dmlc_task_id=f"{rank.world_rank:08d}")

    def end(self) -> None:
        from xgboost import collective

        collective.finalize()
        if self._tracker is not None:
            self._tracker.wait_for()
            self._tracker = None
