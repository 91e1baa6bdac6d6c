"""The process group of torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from shoal.train._internal.process.worker_session import Rank
from shoal.train._internal.unsupported import unsupported
from shoal.train.backend import Backend, BackendConfig, Meeting
from shoal.train.exceptions import InvalidArgumentError


@dataclass(frozen=True)
class TorchConfig(BackendConfig):
    """How torch's process group is set up.

    Args:
        backend: 'gloo', 'nccl', …; None for nccl where a worker has a GPU, else gloo.
        init_method: 'env' or 'tcp', as in Ray: either way the ranks meet at rank 0's port, and the environment says where that is.
        timeout_s: seconds after which a collective operation fails.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
    """

    backend: str | None = None
    init_method: str = "env"
    timeout_s: float = 1800

    def __post_init__(self) -> None:
        if self.backend is not None and not isinstance(self.backend, str):
            raise InvalidArgumentError(f"backend is {self.backend!r}; give 'gloo', 'nccl' or None")
        if self.init_method not in ("env", "tcp"):
            raise InvalidArgumentError(f"init_method is {self.init_method!r}; give 'env' or 'tcp'")
        if isinstance(self.timeout_s, bool) or not isinstance(self.timeout_s, int | float) or self.timeout_s <= 0:
            raise InvalidArgumentError(f"timeout_s is {self.timeout_s!r}; give seconds > 0")

    @property
    def make(self) -> Callable[[], Backend]:
        return partial(TorchBackend, self)

    @property
    def framework(self) -> str:
        return "torch"

    @property
    def preload(self) -> tuple[str, ...]:
        # Optimizers import it when the first of them is made; it imports torch.
        return ("torch._dynamo",)


class TorchBackend(Backend):
    """Meets the other ranks in a process group."""

    share_cuda_visible_devices = True

    def __init__(self, config: TorchConfig) -> None:
        self._config = config
        self._store: Any = None

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        import torch

        if torch.cuda.is_available():
            from shoal.train.torch.devices import devices_of

            torch.cuda.set_device(devices_of(rank)[0])
        timeout = timedelta(seconds=self._config.timeout_s)
        # Kept to the end: other ranks may still read it when this one is through.
        self._store = _store(rank, meeting, timeout)
        torch.distributed.init_process_group(
            self._config.backend or ("nccl" if torch.cuda.is_available() else "gloo"),
            store=self._store,
            rank=rank.world_rank,
            world_size=rank.world_size,
            timeout=timeout,
        )
        _wait_for_all(self._store, rank.world_size, timeout)

    def end(self) -> None:
        import torch

        # The loop may have done it.
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _wait_for_all(store: Any, ranks: int, timeout: timedelta) -> None:
    """Returns when all ranks are in the group: one whose loop is over at once would leave while others still connect to it."""
    if store.add("shoal/in the group", 1) == ranks:
        store.set("shoal/all are in the group", "")
    store.wait(["shoal/all are in the group"], timeout)


def _store(rank: Rank, meeting: Meeting, timeout: timedelta) -> Any:
    """Returns where the ranks find one another. Rank 0 listens already: no other program can take the port meanwhile."""
    import torch

    listener: Mapping[str, Any] = {}
    if meeting.listener is not None:
        # A descriptor of the store's own, which closes it.
        listener = {"master_listen_fd": os.dup(meeting.listener.fileno())}
    return torch.distributed.TCPStore(  # type: ignore[attr-defined]  # It is public, by its documentation.
        meeting.address,
        meeting.port,
        rank.world_size,
        rank.world_rank == 0,
        timeout=timeout,
        wait_for_workers=False,
        **listener,
    )


TorchftConfig = unsupported(
    "TorchftConfig",
    "use TorchConfig; FailureConfig(max_failures=n) and ScalingConfig(num_workers=(min, max)) go on after failures",
)
