"""The actor of one rank: the loop runs in a thread of its own, and what it reports streams to the driver."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import shoal
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train._internal.process.worker_session import (
    SESSION,
    Failed,
    Finished,
    Rank,
    Report,
    WorkerSession,
)
from shoal.train.backend import Backend, Meeting
from shoal.train.checkpoint import Checkpoint


class TrainWorker:
    """One rank."""

    def where(self) -> tuple[str, str]:
        """Returns the node's id, and an address by which the other ranks reach this one."""
        return shoal.get_runtime_context().get_node_id(), shoal.util.get_node_ip_address()

    def free_port(self) -> int:
        """Returns a port that was free a moment ago."""
        with socket.socket() as listener:
            listener.bind(("", 0))
            port: int = listener.getsockname()[1]
            return port

    def run(
        self,
        loop: Callable[[], Any],
        rank: Rank,
        meeting: Meeting,
        backend: Backend,
        experiment: str,
        storage: RunStorage,
        attempt: str,
        checkpoint: Checkpoint | None,
        shards: Mapping[str, Any],
    ) -> Iterator[Report | Finished | Failed]:
        """Yields reports as they are made; at last that the loop has returned or raised."""
        session = WorkerSession(rank, experiment, storage, attempt, checkpoint, shards)
        threading.Thread(target=_run, args=(session, loop, meeting, backend), name="train-loop", daemon=True).start()
        while True:
            item = session.outgoing.get()
            yield item
            if not isinstance(item, Report):
                return


def _run(session: WorkerSession, loop: Callable[[], Any], meeting: Meeting, backend: Backend) -> None:
    SESSION.session = session
    rank = session.rank
    os.environ.update(
        MASTER_ADDR=meeting.address,
        MASTER_PORT=str(meeting.port),
        RANK=str(rank.world_rank),
        WORLD_SIZE=str(rank.world_size),
        LOCAL_RANK=str(rank.local_rank),
        LOCAL_WORLD_SIZE=str(rank.local_world_size),
        NODE_RANK=str(rank.node_rank),
    )
    try:
        backend.begin(rank, meeting)
        value = loop()
        session.close()
        backend.end()
    except BaseException as error:
        session.close_after(error)
        session.outgoing.put(Failed(error))
    else:
        session.outgoing.put(Finished(value))
    finally:
        SESSION.session = None
