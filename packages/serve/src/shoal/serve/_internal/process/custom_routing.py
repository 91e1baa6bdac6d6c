"""Asks routers of the user's own, one request after the other, in the order in which they came."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from shoal import cloudpickle
from shoal.serve._internal.process.event_loop_thread import EventLoopThread
from shoal.serve._internal.schema.deployments import DeploymentId, ReplicaInfo
from shoal.serve.exceptions import ServeError
from shoal.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

LOOP = EventLoopThread("shoal-serve-routing")


class Sending(Protocol):
    """A router, as this sees it."""

    deployment: DeploymentId

    def first_waiting(self) -> Any:
        """Returns the call that has waited longest; None where none waits."""

    def ongoing(self) -> dict[str, tuple[ReplicaInfo, int]]:
        """Returns the replicas, with what each has to do."""

    def send_first(self, call: Any, replica_ids: Sequence[str]) -> str | None:
        """Sends it to the first of these that has room. Returns which; None for none."""

    def fail_first(self, call: Any, error: BaseException) -> None:
        """Ends it with an error."""


class CustomRouting:
    """For one router.

    Args:
        router: has the requests, and sends them.
        pickled: the user's class, and its arguments.
    """

    def __init__(self, router: Sending, pickled: bytes) -> None:
        self.pickled = pickled
        self._router = router
        self._wanted = asyncio.Event()
        self._over = threading.Event()
        self._user: RequestRouter | None = None
        LOOP.run(self._route())

    def wake(self) -> None:
        """A request waits, or a replica has room, has come or gone."""
        LOOP.call_soon(self._wanted.set)

    def end(self) -> None:
        """It is not used any more."""
        self._over.set()
        self.wake()

    def completed(self, replica_id: str, call_id: str) -> None:
        """A request is over."""
        LOOP.call_soon(self._tell_completed, replica_id, call_id)

    def _tell_completed(self, replica_id: str, call_id: str) -> None:
        if self._user is not None:
            self._user.on_request_completed(ReplicaID(replica_id, self._router.deployment), call_id)

    async def _route(self) -> None:
        while not self._over.is_set():
            await self._wanted.wait()
            self._wanted.clear()
            while not self._over.is_set() and (call := self._router.first_waiting()) is not None:
                try:
                    if not await self._route_one(call):
                        break
                except Exception as error:
                    failure = ServeError(f"the request router of {self._router.deployment} raised {error!r}")
                    failure.__cause__ = error
                    self._router.fail_first(call, failure)

    async def _route_one(self, call: Any) -> bool:
        """Returns whether the next one may be asked for: False where nobody has room."""
        user = self._user or self._made()
        replicas = [self._running(info, ongoing) for info, ongoing in self._router.ongoing().values()]
        if not replicas:
            return False
        user.update_running_replicas(replicas)
        pending = PendingRequest(call.args, call.kwargs, call.meta)
        ranks = await user.choose_replicas(replicas, pending)
        sent = self._router.send_first(call, [one.replica_id.unique_id for rank in ranks for one in rank])
        if sent is None:
            return self._router.first_waiting() is not call
        user.on_request_routed(pending, ReplicaID(sent, self._router.deployment))
        return True

    def _made(self) -> RequestRouter:
        kind, kwargs = cloudpickle.loads(self.pickled)
        user: RequestRouter = kind(self._router.deployment)
        user.initialize_state(**kwargs)
        self._user = user
        return user

    def _running(self, info: ReplicaInfo, ongoing: int) -> RunningReplica:
        replica_id = ReplicaID(info.replica_id, self._router.deployment)
        stats = dict(info.routing_stats or {})
        return RunningReplica(replica_id, info.place.node_id, info.max_ongoing, ongoing, frozenset(info.models), stats)
