"""The network of LightGBM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Backend, BackendConfig, Meeting
from shoal.train.lightgbm.network import NETWORK


@dataclass(frozen=True)
class LightGBMConfig(BackendConfig):
    """How the ranks of LightGBM find one another: there is nothing to choose."""

    @property
    def make(self) -> Callable[[], Backend]:
        return LightGBMBackend

    @property
    def preload(self) -> tuple[str, ...]:
        return ("lightgbm",)


class LightGBMBackend(Backend):
    """Finds the addresses of all ranks. LightGBM itself connects them when it trains, and disconnects them afterwards."""

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        if rank.world_size > 1:
            NETWORK.find(rank, meeting)

    def end(self) -> None:
        NETWORK.params = {}
