"""Actors with coroutine methods."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from shoal import DynamicObjectRefGenerator
from shoal.engines import DYNAMIC, STREAMING, ActorTemplate
from shoal.integrations.dask.actor_calls import ActorSpec, Call
from shoal.integrations.dask.host import Host
from shoal.integrations.dask.references import unpack
from shoal.integrations.dask.results import Inside, packed_results
from shoal.integrations.dask.running_call import RunningCall, running_call

if TYPE_CHECKING:
    from shoal.integrations.dask.engine import DaskEngine

_CONCURRENCY = 1000


class AsyncHost(Host):
    """An actor with coroutine methods: its calls run in an event loop, the ordinary ones too."""

    def __init__(self, session: DaskEngine, spec: ActorSpec, template: ActorTemplate, deaths: int) -> None:
        super().__init__(session, spec, template, deaths)
        self.limits[""] = template.options.max_concurrency or _CONCURRENCY
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._room = {group: asyncio.Semaphore(number) for group, number in self.limits.items()}
        self._over = asyncio.Event()
        # As many as calls: those of streams block until there is room for their next item.
        self._in_threads = ThreadPoolExecutor(sum(self.limits.values()), f"shoal-{self.class_name}")

    def serve(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(payload, values))

    async def _serve(self, payload: bytes, values: tuple[bytes, ...]) -> None:
        try:
            if self.construct(payload, values):
                await self._over.wait()
        finally:
            self._in_threads.shutdown(wait=False)

    def stop(self) -> None:
        self._in_loop(self._over.set)

    def _in_loop(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop has ended: so has the actor, and the head knows.
            self.ended.set()

    def begin(self, call: Call) -> None:
        self._in_loop(self._begin, call)

    def _begin(self, call: Call) -> None:
        self.calls[call.task] = call
        self._tasks[call.task] = self._loop.create_task(self._run(call))

    def cancel(self, key: str) -> None:
        self._in_loop(self._cancel, key)

    def _cancel(self, key: str) -> None:
        call = self.find(key)
        if call is not None:
            self._tasks[call.task].cancel()

    async def _run(self, call: Call) -> None:
        try:
            async with self._room[self.group_of(call)]:
                running = self.running(call)
                running_call.set(running)
                while await self._attempt(call, running):
                    pass
        except asyncio.CancelledError:
            self.cancelled(call)
        finally:
            self.calls.pop(call.task, None)
            self._tasks.pop(call.task, None)

    async def _attempt(self, call: Call, running: RunningCall) -> bool:
        """Returns whether it is to be run again."""
        try:
            values, inside = await self._outcome(call)
            if inside or running.arrived:
                await self._in_thread(self.session.settle, running, call.keys, inside)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return self.has_failed(call, error)
        self.answer(call, values)
        return False

    async def _outcome(self, call: Call) -> tuple[list[bytes], Inside]:
        """As `results.outcome`, with coroutines and asynchronous generators."""
        spec, name = call.spec, self.name_of(call.spec)
        awaited = await asyncio.gather(*[self.awaited(key).as_future() for key in call.awaited])
        args, kwargs = unpack(call.payload, awaited)
        del awaited
        result = self.invoke(spec.method, args, kwargs)
        if spec.returns.number == STREAMING:
            with self.session.producers.begin(call.task, spec.returns) as producer:
                async for item in _items(result):
                    await self._in_thread(producer.send, item)
            result = None
        elif spec.returns.number == DYNAMIC:
            refs = [await self._in_thread(self.session.put, item) async for item in _items(result)]
            result = DynamicObjectRefGenerator(refs)
        elif inspect.isawaitable(result):
            result = await result
        return packed_results(result, spec.returns, name)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self._loop.run_in_executor(self._in_threads, function, *args)


async def _items(result: Any) -> AsyncIterator[Any]:
    if hasattr(result, "__aiter__"):
        async for item in result:
            yield item
    else:
        for item in result:
            yield item
