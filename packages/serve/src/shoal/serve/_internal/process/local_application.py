"""An application in this process, for tests: the same replicas, without actors, controller and proxy."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from shoal.serve._internal.process.loop_mailbox import outcome_of
from shoal.serve._internal.process.replica import Replica
from shoal.serve._internal.process.router import Call
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.schema.deployments import ApplicationSpec, DeploymentSpec
from shoal.serve._internal.schema.requests import Busy, Streaming
from shoal.serve.exceptions import BackPressureError


class LocalLoop:
    """The event loop on which replicas of this process run, on a thread of its own that ends with the process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def run(self, coroutine: Any) -> Future[Any]:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="shoal-serve-local", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


LOOP = LocalLoop()


class LocalRouter:
    """Calls one replica in this process."""

    def __init__(self, spec: DeploymentSpec) -> None:
        self._replica = Replica(spec, f"{spec.id.app}#{spec.id.name}#local", is_local=True)

    def start(self) -> None:
        """Returns when the user's object is made. Raises what that raises."""
        LOOP.run(self._replica.start()).result()

    def submit(self, call: Call) -> None:
        LOOP.run(self._carry_out(call)).add_done_callback(lambda done: _tell(call, done))

    def refusal(self) -> BackPressureError | None:
        return None

    async def _carry_out(self, call: Call) -> Any:
        method = self._replica.http if call.method == "http" else self._replica.call
        while isinstance(answer := await method(call.meta, call.args, call.kwargs), Busy):
            await self._replica.room()
        return answer

    def cancel(self, call: Call) -> None:
        LOOP.run(self._replica.cancel(call.meta.call_id))

    def wait_for_items(self, call: Call) -> Streaming:
        part: Streaming = LOOP.run(self._replica.next_items(call.meta.call_id)).result()
        return part

    async def next_items(self, call: Call) -> Streaming:
        part: Streaming = await outcome_of(LOOP.run(self._replica.next_items(call.meta.call_id)))
        return part

    def push(self, call: Call, messages: list[Any]) -> asyncio.Future[None]:
        return asyncio.wrap_future(LOOP.run(self._replica.push(call.meta.call_id, messages)))


def _tell(call: Call, done: Future[Any]) -> None:
    error = done.exception()
    call.done(None if error is not None else done.result(), error)


def run_here(application: ApplicationSpec) -> None:
    """Makes the replicas of an application in this process, one for each deployment. Raises what their constructors raise."""
    routers = {spec.id: LocalRouter(spec) for spec in application.deployments}
    ROUTERS.set_local(application.name, routers)
    try:
        for router in routers.values():
            router.start()
    except BaseException:
        ROUTERS.set_local(application.name, {})
        raise
