"""What shoal needs of Dask's scheduler beyond what that does: a plugin of it, which each session installs.

It runs in the scheduler's event loop, so nothing here needs a lock, and nothing may block. `objects` has promises and what refers to what,
`actor_table` the actors; here are what sessions and workers say and ask, the scheduler's own events, and key-values.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from shoal.integrations.dask.actor_table import ActorTable, carried
from shoal.integrations.dask.errors import cancelled
from shoal.integrations.dask.objects import Objects
from shoal.integrations.dask.sending import send_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed.scheduler import Scheduler

logger = logging.getLogger("shoal.dask")
NAME = "shoal"
RETRIES = "shoal_retries"
"""Annotation of a task: how many deaths of workers it survives."""
_FOREVER = 10**9


class Head(SchedulerPlugin):
    """See the module's own words."""

    idempotent = True
    name = NAME

    async def start(self, scheduler: Scheduler) -> None:
        """Makes the scheduler listen to sessions."""
        self._scheduler: Any = scheduler
        self.objects = objects = Objects(scheduler)
        self._actors = actors = ActorTable(scheduler, objects)
        self._values: dict[tuple[str, bytes], bytes] = {}
        self._jobs: dict[str, str] = {}
        self._handlers: dict[str, Callable[..., Any]] = {
            "actor_ended": actors.ended,
            "actor_ready": actors.is_ready,
            "actor_starts": actors.starts,
            "call": actors.call,
            "call_done": actors.done,
            "cancel": self._cancel,
            "contains": objects.contains,
            "desire": objects.desire,
            "find_actor": actors.find,
            "free": objects.free,
            "hello": self._hello,
            "how_far": self._how_far,
            "item": self._item,
            "job_ended": self._job_ended,
            "kill": actors.kill,
            "kv": self._kv,
            "life_submitted": actors.life_submitted,
            "names": actors.names,
            "new_actor": actors.new,
            "no_retries": self._no_retries,
            "taken": self._taken,
            "where_is": objects.places,
            "workers": self._workers,
        }
        scheduler.stream_handlers["shoal"] = self._hear

    def _hear(
        self, what: str, facts: dict[str, Any], number: int | None = None, client: str = "", worker: str = ""
    ) -> None:
        """A session says something, or asks, if there is a number. Raises nothing: Dask would end the connection."""
        reply: dict[str, Any] = {"op": "shoal-answer", "number": number, "answer": None}
        try:
            reply["answer"] = self._handlers[what](client or worker, **facts)
        except Exception as error:
            logger.exception("shoal's part of the scheduler failed; what was asked of it is not done")
            reply["error"] = f"Dask's scheduler could not answer {what!r}: {error!r}"
        if number is not None:
            self._scheduler.client_send(client, reply)
            send_now(self._scheduler.client_comms.get(client))

    # --- tasks ------------------------------------------------------------------------------------------------------------------

    def transition(self, key: Any, start: Any, finish: Any, *args: Any, stimulus_id: str, **kwargs: Any) -> None:
        """Looks at each step of each task. (What follows of it has to wait until the step is done.)"""
        if finish == "processing":
            task = self._scheduler.tasks.get(key)
            if task is not None and task.annotations and RETRIES in task.annotations:
                retries = task.annotations.pop(RETRIES)
                task.suspicious = -_FOREVER if retries < 0 else self._scheduler.allowed_failures - retries
        elif finish == "erred":
            self._actors.task_failed(key)
        elif finish == "forgotten":
            self.objects.key_forgotten(key)
            self._actors.key_forgotten(key)

    def _no_retries(self, client: str, key: str) -> None:
        """A task has failed with an error that it must not be run again for."""
        task = self._scheduler.tasks.get(key)
        if task is not None:
            task.retries = 0

    def _how_far(self, client: str, keys: list[str]) -> list[tuple[str, bool]]:
        """Returns of each key the worker that has its task to run ('' for none), and whether it is of an actor's call."""
        tasks = [self._scheduler.tasks.get(key) for key in keys]
        return [
            (
                task.processing_on.address if task is not None and task.processing_on else "",
                self._actors.call_of(key) is not None,
            )
            for key, task in zip(keys, tasks, strict=True)
        ]

    def _cancel(self, client: str, keys: list[str]) -> None:
        """What makes some keys is cancelled, as far as it has not begun."""
        if not any(self._actors.cancel(key) for key in keys):
            for key in keys:
                self.objects.fail(key, carried(cancelled(key)))

    # --- streams ----------------------------------------------------------------------------------------------------------------

    def _item(self, worker: str, stream: str, index: int, key: str, size: int, client: str) -> None:
        """An item of a stream is in the memory of `worker`, for `client`."""
        if self.objects.item(key, worker, size, client):
            self._scheduler.client_send(
                client, {"op": "shoal-item", "stream": stream, "index": index, "key": key, "worker": worker}
            )
            send_now(self._scheduler.client_comms.get(client))

    def _taken(self, client: str, stream: str, at: str, count: int) -> None:
        """The consumer of a stream has taken `count` items: its producer, at the worker `at`, may go on."""
        if at in self._scheduler.workers:
            self._scheduler.worker_send(at, {"op": "shoal-taken", "stream": stream, "count": count})
            send_now(self._scheduler.stream_comms.get(at))

    # --- who comes and goes -----------------------------------------------------------------------------------------------------

    def _hello(self, client: str, job: str) -> None:
        """A driver has begun a session."""
        self._jobs[client] = job

    def _job_ended(self, client: str, job: str) -> None:
        """A driver has ended its session."""
        if self._jobs.get(client) == job:
            del self._jobs[client]
        self._actors.job_ended(job)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A client is gone, perhaps without a word."""
        job = self._jobs.get(client)
        if job is not None:
            self._job_ended(client, job)

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **kwargs: Any) -> None:
        """A worker is gone, and with it the actors that were there."""
        self._actors.worker_lost(worker)

    def _workers(self, client: str) -> list[dict[str, Any]]:
        """Returns what is known of each worker."""
        rows = []
        for address, worker in self._scheduler.workers.items():
            threads_used = min(worker.nthreads, len(worker.processing) - len(worker.long_running))
            rows.append(
                {
                    "address": address,
                    "host": worker.host,
                    "threads": worker.nthreads,
                    "threads_used": max(0, threads_used),
                    "memory": worker.memory_limit or 0,
                    "resources": dict(worker.resources),
                    "used": dict(worker.used_resources),
                }
            )
        return rows

    # --- key-values -------------------------------------------------------------------------------------------------------------

    def _kv(
        self, client: str, action: str, namespace: str, key: bytes, value: bytes = b"", overwrite: bool = True
    ) -> Any:
        """Does one thing with the key-values."""
        values, place = self._values, (namespace, bytes(key))
        if action == "get":
            return values.get(place)
        if action == "keys":
            return [one for space, one in values if space == namespace and one.startswith(place[1])]
        existed = place in values
        if action == "delete":
            values.pop(place, None)
        elif overwrite or not existed:
            values[place] = bytes(value)
        return existed
