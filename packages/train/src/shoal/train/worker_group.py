"""The workers of a run, as Ray's backends see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import shoal


@dataclass(frozen=True)
class WorkerMetadata:
    """Where a worker is.

    Args:
        node_id: of its machine.
        node_ip: the machine's address.
        hostname: its name.
        resource_ids: devices that the worker has, by resource.
        pid: of its process.
    """

    node_id: str
    node_ip: str
    hostname: str
    resource_ids: dict[str, list[str]]
    pid: int


@dataclass(frozen=True)
class Worker:
    """One of the workers.

    Args:
        actor: its handle.
        metadata: where it is.
    """

    actor: Any
    metadata: WorkerMetadata


class WorkerGroup:
    """Runs functions in the workers, one for each rank.

    Args:
        workers: by rank.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = list(workers)

    def __len__(self) -> int:
        return len(self.workers)

    @property
    def num_workers(self) -> int:
        """How many there are."""
        return len(self.workers)

    def get_workers(self) -> list[Worker]:
        """Returns them by rank."""
        return list(self.workers)

    def execute_async(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Calls a function in all workers; returns references to what it returns, by rank."""
        return [worker.actor.execute.remote(func, args, kwargs) for worker in self.workers]

    def execute(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Calls a function in all workers; returns what it returns, by rank."""
        found: list[Any] = shoal.get(self.execute_async(func, *args, **kwargs))
        return found

    def execute_single_async(self, worker_index: int, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function in the worker of one rank; returns a reference to what it returns."""
        return self.workers[worker_index].actor.execute.remote(func, args, kwargs)

    def execute_single(self, worker_index: int, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function in the worker of one rank; returns what it returns."""
        return shoal.get(self.execute_single_async(worker_index, func, *args, **kwargs))
