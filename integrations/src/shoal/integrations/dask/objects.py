"""Objects as the scheduler knows them: what shoal needs beyond Dask's own keys. Part of `head`.

A promise is a key whose value comes from elsewhere than from a task of Dask's: the result of an actor's call, the life of an actor's
handles. To the scheduler it is a task that asks for a resource that no worker has; whoever makes the value puts it into its worker's
memory, and `fulfil` says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any

from shoal.integrations.dask.errors import FREED

if TYPE_CHECKING:
    from distributed.scheduler import Scheduler

CLIENT = "shoal-head"
"""As whom the head wants keys."""
STIMULUS = "shoal"
_NOWHERE = {"shoal-promise": 1.0}


class Objects:
    """Args:
    scheduler: Dask's.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler: Any = scheduler
        self._inside: dict[str, list[str]] = {}
        self._wanted: Counter[str] = Counter()

    # --- promises ---------------------------------------------------------------------------------------------------------------

    def promise(self, key: str, client: str) -> None:
        """A key will have a value, which a client wants."""
        scheduler = self._scheduler
        task = scheduler.new_task(key, None, "no-worker")
        task.resource_restrictions = _NOWHERE
        scheduler.unrunnable[task] = monotonic()
        scheduler.client_desires_keys(keys=[key], client=client)

    def fulfil(self, key: str, worker: str, size: int) -> None:
        """The value of a promise is in the memory of `worker`."""
        scheduler = self._scheduler
        task: Any = scheduler.tasks.get(key)
        state = scheduler.workers.get(worker)
        is_open = task is not None and task.state == "no-worker" and task.resource_restrictions is _NOWHERE
        if not is_open or state is None:
            self._drop(key, worker)
            return
        scheduler.unrunnable.pop(task, None)
        task.set_nbytes(size)
        recommendations: dict[str, Any] = {}
        messages: dict[str, Any] = {}
        scheduler._add_to_memory(task, state, recommendations, messages, type=b"", typename="bytes")
        scheduler.send_all(messages, {})
        scheduler.transitions(recommendations, stimulus_id=STIMULUS)

    def fail(self, key: str, error: bytes) -> None:
        """A promise, or a task that has not ended, fails."""
        scheduler = self._scheduler
        task: Any = scheduler.tasks.get(key)
        if task is None or task.state in ("memory", "erred", "forgotten"):
            return
        facts: dict[str, Any] = {}
        if task.state in ("processing", "queued", "no-worker"):
            facts = {"cause": key, "exception": error}
            if task.state == "processing":
                facts["worker"] = task.processing_on.address
                self._drop(key, facts["worker"])
        else:
            task.exception = error
            task.exception_blame = task
        scheduler.transitions(scheduler.transition(key, "erred", stimulus_id=STIMULUS, **facts), stimulus_id=STIMULUS)

    def item(self, key: str, worker: str, size: int, client: str) -> bool:
        """An item of a stream is in the memory of `worker`. Returns whether its client is there to want it."""
        scheduler = self._scheduler
        if client not in scheduler.clients or worker not in scheduler.workers:
            self._drop(key, worker)
            self.key_forgotten(key)
            return False
        scheduler.update_data(who_has={key: [worker]}, nbytes={key: size}, client=client)
        return True

    def _drop(self, key: str, worker: str) -> None:
        if worker in self._scheduler.stream_comms:
            self._scheduler.worker_send(worker, {"op": "free-keys", "keys": [key], "stimulus_id": STIMULUS})

    # --- who wants what ---------------------------------------------------------------------------------------------------------

    def desire(self, client: str, keys: list[str]) -> None:
        """A client has got references."""
        scheduler = self._scheduler
        scheduler.client_desires_keys(keys=[key for key in keys if key in scheduler.tasks], client=client)
        lost = [key for key in keys if key not in scheduler.tasks]
        if lost:
            scheduler.client_send(
                client, {"op": "cancelled-keys", "keys": lost, "reason": "it was let go of everywhere"}
            )

    def contains(self, client: str, outer: list[str], inner: list[str], are_there: bool = True) -> None:
        """Objects keep those that they refer to, as long as they are there; or will be."""
        tasks = self._scheduler.tasks
        for key in outer:
            if are_there and key not in tasks:
                continue  # nobody wants it any more
            before = self._inside.setdefault(key, [])
            new = [one for one in inner if one not in before]
            before.extend(new)
            self._wanted.update(new)
        known = [key for key in inner if key in tasks and key in self._wanted]
        self._scheduler.client_desires_keys(keys=known, client=CLIENT)

    def want(self, key: str) -> None:
        """The head keeps a key."""
        self._wanted[key] += 1
        self._scheduler.client_desires_keys(keys=[key], client=CLIENT)

    def let_go(self, keys: Iterable[str]) -> None:
        """Each of some keys is wanted once less."""
        unwanted = []
        for key in keys:
            if key in self._wanted:
                self._wanted[key] -= 1
                if self._wanted[key] <= 0:
                    del self._wanted[key]
                    unwanted.append(key)
        if unwanted and CLIENT in self._scheduler.clients:
            self._scheduler.client_releases_keys(keys=unwanted, client=CLIENT)

    def key_forgotten(self, key: str) -> None:
        """An object is gone: what it has referred to may go."""
        inside = self._inside.pop(key, None)
        if inside:
            soon(self.let_go, inside)

    def free(self, client: str, keys: list[str]) -> None:
        """Objects are no longer kept, whoever wants them."""
        scheduler = self._scheduler
        for key in keys:
            task = scheduler.tasks.get(key)
            if task is None or task.state != "memory":
                continue
            scheduler.report({"op": "cancelled-keys", "keys": [key], "reason": FREED}, ts=task)
            for wanting in list(task.who_wants or ()):
                scheduler.client_releases_keys(keys=[key], client=wanting.client_key)

    def places(self, client: str, keys: list[str]) -> list[tuple[list[str], int]]:
        """Returns the workers that have each key, and its size in bytes."""
        tasks = [self._scheduler.tasks.get(key) for key in keys]
        return [
            ([one.address for one in task.who_has or ()], max(task.nbytes, 0)) if task else ([], 0) for task in tasks
        ]


def soon(function: Callable[..., Any], argument: Any) -> None:
    """Calls something when the scheduler's present step is done."""
    asyncio.get_running_loop().call_soon(function, argument)
