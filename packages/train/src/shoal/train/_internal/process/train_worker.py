"""The actor of one rank: the loop runs in a thread of its own, and what it reports streams to the driver."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import shoal
from shoal.train._internal.process.run_storage import RunStorage
from shoal.train._internal.process.thread_stacks import LOOP_THREAD, loop_stack
from shoal.train._internal.process.tracked_session import TrackedSession
from shoal.train._internal.process.worker_session import (
    SESSION,
    Failed,
    Finished,
    Rank,
    Report,
)
from shoal.train.backend import Backend, Meeting
from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import LoopExitError


@dataclass(frozen=True)
class Place:
    """Where a worker is.

    Args:
        node_id: of its machine.
        address: by which the others reach it.
        hostname: of the machine.
        pid: of its process.
        gpus: the devices that it has.
    """

    node_id: str
    address: str
    hostname: str
    pid: int
    gpus: tuple[str, ...]


@dataclass(frozen=True)
class Duty:
    """What one rank of one attempt does.

    Args:
        rank: which.
        meeting: where it meets the others.
        backend: what is set up before.
        context: what the loop is run in.
        experiment: the run's name.
        storage: the run's folder.
        attempt: a text that no other attempt of the run has.
        checkpoint: what to begin from.
        shards: this rank's part of each dataset.
        committed: the run's checkpoints.
        environment: variables to set.
    """

    rank: Rank
    meeting: Meeting
    backend: Backend
    context: Callable[[], AbstractContextManager[Any]]
    experiment: str
    storage: RunStorage
    attempt: str
    checkpoint: Checkpoint | None
    shards: Mapping[str, Any]
    committed: Sequence[Any] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reported:
    """A report on its way to the driver.

    Args:
        report: what the loop said.
        positions: how far it had read its datasets when it said so.
    """

    report: Report
    positions: dict[str, Any]


class TrainWorker:
    """One rank."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._session: TrackedSession | None = None
        self._words = threading.Lock()
        self._last_word: tuple[int, Sequence[Any], int] | None = None

    def place(self) -> Place:
        """Returns where it is."""
        context = shoal.get_runtime_context()
        gpus = tuple(str(gpu) for gpu in shoal.get_gpu_ids())
        return Place(context.get_node_id(), shoal.util.get_node_ip_address(), socket.gethostname(), os.getpid(), gpus)

    def listen(self, address: str) -> int:
        """Listens there; returns the port. So it cannot be taken by another before the ranks meet."""
        self._listener = socket.create_server((address, 0), backlog=1024)
        port: int = self._listener.getsockname()[1]
        return port

    def execute(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Calls a function of a backend."""
        return function(*args, **kwargs)

    def stack(self) -> str:
        """Returns where the loop is."""
        return loop_stack()

    def checkpoints_are(self, word: int, committed: Sequence[Any], report: int) -> None:
        """The run says which whole checkpoints it has. Calls run in threads, so a word may come before an earlier one, or before `run`: the
        last one that was said holds.

        Args:
            word: counts the words of the run.
            committed: the checkpoints.
            report: the number of the last one of this attempt.
        """
        with self._words:
            if self._last_word is not None and word < self._last_word[0]:
                return
            self._last_word = (word, committed, report)
            if self._session is not None:
                self._session.checkpoints_are(committed, report)

    def run(self, loop: Callable[[], Any], duty: Duty) -> Iterator[Reported | Finished]:
        """Yields reports as they are made; at last that the loop has returned. Raises what the loop raises."""
        if self._listener is not None:
            duty = replace(duty, meeting=replace(duty.meeting, listener=self._listener))
        session = TrackedSession(
            duty.rank, duty.experiment, duty.storage, duty.attempt, duty.checkpoint, duty.shards, duty.committed
        )
        with self._words:
            self._session = session
            if self._last_word is not None:
                session.checkpoints_are(*self._last_word[1:])
        threading.Thread(target=_run, args=(session, loop, duty), name=LOOP_THREAD, daemon=True).start()
        while True:
            item = session.outgoing.get()
            if isinstance(item, Report):
                yield Reported(item, session.positions.pop(item.number, {}))
            elif isinstance(item, Finished):
                yield item if duty.rank.world_rank == 0 else Finished(None)
                return
            else:
                raise item.error


def _run(session: TrackedSession, loop: Callable[[], Any], duty: Duty) -> None:
    SESSION.session = session
    rank, meeting = duty.rank, duty.meeting
    os.environ.update(
        MASTER_ADDR=meeting.address,
        MASTER_PORT=str(meeting.port),
        RANK=str(rank.world_rank),
        WORLD_SIZE=str(rank.world_size),
        LOCAL_RANK=str(rank.local_rank),
        LOCAL_WORLD_SIZE=str(rank.local_world_size),
        NODE_RANK=str(rank.node_rank),
    )
    os.environ.update(duty.environment)
    try:
        duty.backend.begin(rank, meeting)
        if meeting.listener is not None:
            # A loop that sets up a process group of its own listens on the port itself.
            meeting.listener.close()
        with duty.context():
            value = loop()
        session.close()
        duty.backend.end()
    except Exception as error:
        session.close_after(error)
        session.outgoing.put(Failed(error))
    except BaseException as error:
        told = LoopExitError(f"the training loop ended by {type(error).__name__}: {error}; it has to return")
        told.__cause__ = error
        session.outgoing.put(Failed(told))
    else:
        session.outgoing.put(Finished(value))
    finally:
        SESSION.session = None
