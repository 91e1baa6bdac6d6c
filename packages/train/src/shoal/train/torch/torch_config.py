"""The process group of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Backend, BackendConfig, Meeting
from shoal.train.exceptions import InvalidArgumentError


@dataclass(frozen=True)
class TorchConfig(BackendConfig):
    """How torch's process group is set up.

    Args:
        backend: 'gloo', 'nccl', …; None for nccl where a worker has a GPU, else gloo.
        timeout_s: seconds after which a collective operation fails.
    """

    backend: str | None = None
    init_method: str = "env"
    timeout_s: float = 1800

    def __post_init__(self) -> None:
        if self.init_method not in ("env", "tcp"):
            raise InvalidArgumentError(f"init_method is {self.init_method!r}; give 'env' or 'tcp'")
        if self.timeout_s <= 0:
            raise InvalidArgumentError(f"timeout_s is {self.timeout_s!r}; give seconds > 0")

    @property
    def make(self) -> Callable[[], Backend]:
        return partial(TorchBackend, self)


class TorchBackend(Backend):
    """Meets the other ranks in a process group, where there are others."""

    def __init__(self, config: TorchConfig) -> None:
        self._config = config

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        import torch

        name = self._config.backend or ("nccl" if torch.cuda.is_available() else "gloo")
        torch.distributed.init_process_group(
            name,
            init_method=f"tcp://{meeting.address}:{meeting.port}",
            rank=rank.world_rank,
            world_size=rank.world_size,
            timeout=timedelta(seconds=self._config.timeout_s),
        )
        if torch.cuda.is_available():
            torch.cuda.set_device(rank.local_rank % torch.cuda.device_count())

    def end(self) -> None:
        import torch

        torch.distributed.destroy_process_group()
