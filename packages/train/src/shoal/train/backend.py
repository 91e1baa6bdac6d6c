"""What has to be set up in the workers before the loop runs: a process group of some framework. For authors of backends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from socket import socket
from typing import TYPE_CHECKING, Any

from shoal.train._internal.process.worker_session import Rank

if TYPE_CHECKING:
    from shoal.train.worker_group import WorkerGroup


@dataclass(frozen=True)
class Meeting:
    """Where the ranks meet.

    Args:
        address: of rank 0's machine; the loopback where all ranks are on one.
        port: that is free there.
        listener: in rank 0, the socket that listens on the port already: who takes it over sets it to nonblocking or closes it.
    """

    address: str
    port: int
    listener: socket | None = field(default=None, compare=False)


class Backend:
    """One framework's set-up, in either of two ways.

    `begin` and `end` are called in each worker, in the thread of its loop: so a backend is picklable. Ray's `on_start`,
    `on_training_start` and `on_shutdown` are called in the driver, and reach the workers through the group.
    """

    share_cuda_visible_devices: bool = False
    """Whether each worker sees the GPUs of all workers of its machine."""

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        """Called in each worker before its loop; returns when all ranks have met."""

    def end(self) -> None:
        """Called in each worker after its loop has returned."""

    def on_start(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        """Called in the driver when the workers are there."""

    def on_training_start(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        """Called in the driver after `on_start`, before the loops begin."""

    def on_shutdown(self, worker_group: WorkerGroup, backend_config: BackendConfig) -> None:
        """Called in the driver when all loops have returned, before the workers end."""


@dataclass(frozen=True)
class BackendConfig:
    """Names a backend. Subclasses say which: by `backend_cls`, as in Ray, or by `make`, where it takes arguments."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend's class; made without arguments."""
        return Backend

    @property
    def make(self) -> Callable[[], Backend]:
        """Makes the backend; called in the driver."""
        return self.backend_cls

    @property
    def train_func_context(self) -> Callable[[], AbstractContextManager[Any]]:
        """What each loop is run in."""
        return nullcontext

    @property
    def framework(self) -> Any:
        """Its name; None where it has none."""
        return None

    @property
    def preload(self) -> tuple[str, ...]:
        """Modules that its workers import. From the second run of a session on they find them there."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Returns its settings by name."""
        return dict(vars(self))
