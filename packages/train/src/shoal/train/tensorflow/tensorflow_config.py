"""The cluster of TensorFlow."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from shoal.train._internal.process.gathering import gather, own_address
from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Backend, BackendConfig, Meeting


@dataclass(frozen=True)
class TensorflowConfig(BackendConfig):
    """How the ranks of TensorFlow find one another: there is nothing to choose."""

    @property
    def make(self) -> Callable[[], Backend]:
        return TensorflowBackend


class TensorflowBackend(Backend):
    """Tells TensorFlow by TF_CONFIG which workers there are. Its strategies connect them when they are made."""

    def begin(self, rank: Rank, meeting: Meeting) -> None:
        with socket.socket() as listener:
            listener.bind(("", 0))
            # Held until all ranks have theirs, so that two on one machine get two. TensorFlow opens it again by itself.
            port = listener.getsockname()[1]
            workers = gather(rank, meeting, f"{own_address(meeting)}:{port}")
        task = {"type": "worker", "index": rank.world_rank}
        os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})

    def end(self) -> None:
        os.environ.pop("TF_CONFIG", None)
