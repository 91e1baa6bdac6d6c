"""What has to be set up in the workers before the loop runs: a process group of some framework. For authors of backends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from shoal.train._internal.process.worker_session import Rank


@dataclass(frozen=True)
class Meeting:
    """Where the ranks meet: an address of rank 0's machine, and a port that was free there."""

    address: str
    port: int


class Backend(ABC):
    """One framework's set-up. Picklable: its methods are called in each worker."""

    @abstractmethod
    def begin(self, rank: Rank, meeting: Meeting) -> None:
        """Called in each worker before its loop; returns when all ranks have met."""

    @abstractmethod
    def end(self) -> None:
        """Called in each worker after its loop has returned."""


class PlainBackend(Backend):
    """Nothing to set up."""

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        return

    def end(self) -> None:
        return


@dataclass(frozen=True)
class BackendConfig:
    """Names a backend. `make` is called in the driver."""

    @property
    def make(self) -> Callable[[], Backend]:
        return PlainBackend
