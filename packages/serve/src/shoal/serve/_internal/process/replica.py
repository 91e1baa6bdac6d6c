"""The actor that serves one replica of a deployment."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Any

import shoal
from shoal.serve._internal.process.reply_stream import ReplyStream
from shoal.serve._internal.process.request_context import CURRENT, HERE, RequestContext
from shoal.serve._internal.process.user_code import UserCode
from shoal.serve._internal.schema.deployments import DeploymentSpec
from shoal.serve._internal.schema.requests import Busy, HttpRequest, RequestMeta, Streaming
from shoal.serve.context import ReplicaContext, ReplicaRank


class Replica:
    """One replica. Its methods are called by routers, proxies and the controller.

    Args:
        spec: of its deployment.
        replica_id: its own.
        rank: its number among those of its deployment.
    """

    def __init__(self, spec: DeploymentSpec, replica_id: str, rank: int = 0) -> None:
        self._spec = spec
        self._id = replica_id
        self._code = UserCode(spec)
        self._limit = spec.config.max_ongoing_requests
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._streams: dict[str, ReplyStream] = {}
        self._room: deque[asyncio.Future[None]] = deque()
        self._ending = False
        self._idle = asyncio.Event()
        self._drained = asyncio.Event()
        self._rank = rank
        self._context: ReplicaContext | None = None

    async def start(self) -> str:
        """Makes the user's object, and gives it its user_config. Returns the node's id. Raises what they raise."""
        deployment = self._spec.id
        context = ReplicaContext(
            deployment.app,
            deployment.name,
            self._id,
            None,
            ReplicaRank(self._rank),
            self._spec.config.num_replicas,
            self._spec.code_version,
        )
        HERE.set(context)
        await self._code.start()
        self._context = replace(context, servable_object=self._code.instance)
        if self._spec.config.user_config is not None:
            await self._code.reconfigure(self._spec.config.user_config)
        return shoal.get_runtime_context().get_node_id() if shoal.is_initialized() else ""

    # --- requests -----------------------------------------------------------------------------------------------------------------

    async def call(self, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a method; a stream's first items where `meta.stream`."""
        if self._ending or len(self._running) >= self._limit:
            return Busy(self._ending)
        self._begin(meta)
        try:
            value = await self._code.run(self._code.method(meta.method), *args, **kwargs)
        except BaseException:
            self._over(meta)
            raise
        if not meta.stream:
            self._over(meta)
            return value
        return await self._begin_stream(meta, self._from_generator(value))

    async def http(self, meta: RequestMeta, args: tuple[HttpRequest], kwargs: dict[str, Any]) -> Any:
        """Answers a request of HTTP, or talks over a WebSocket; returns the first ASGI messages, or nothing yet where more is to come
        from the client."""
        if self._ending or len(self._running) >= self._limit:
            return Busy(self._ending)
        self._begin(meta)
        (request,) = args

        async def answer(stream: ReplyStream) -> None:
            await self._code.asgi(request.scope, stream.receive, stream.send)

        return await self._begin_stream(meta, answer, request)

    async def _begin_stream(self, meta: RequestMeta, body: Any, request: HttpRequest | None = None) -> Streaming:
        stream = self._streams[meta.call_id] = ReplyStream(body, request, lambda: self._over(meta))
        self._running[meta.call_id] = stream.task
        if request is not None and not request.is_whole:
            return Streaming([], False)
        return await self._next_part(meta.call_id, stream)

    def _from_generator(self, generator: Any) -> Any:
        async def send_items(stream: ReplyStream) -> None:
            async for item in self._code.items(generator):
                await stream.send(item)

        return send_items

    async def next_items(self, call_id: str) -> Streaming:
        """Returns what a stream has by now; waits where that is nothing."""
        stream = self._streams.get(call_id)
        return Streaming([], True) if stream is None else await self._next_part(call_id, stream)

    async def _next_part(self, call_id: str, stream: ReplyStream) -> Streaming:
        try:
            part = await stream.next_part()
        except BaseException:
            self._forget_stream(call_id)
            raise
        if part.finished:
            self._forget_stream(call_id)
        return part

    def _forget_stream(self, call_id: str) -> None:
        self._streams.pop(call_id, None)
        self._check_idle()

    async def push(self, call_id: str, messages: list[Any]) -> None:
        """Gives ASGI messages to a request's `receive`; returns when there is room for more."""
        stream = self._streams.get(call_id)
        if stream is not None:
            await stream.push(messages)

    def _begin(self, meta: RequestMeta) -> None:
        HERE.set(self._context)
        CURRENT.set(RequestContext(meta.request_id, meta.call_id, meta.app, meta.route, meta.model_id))
        task = asyncio.current_task()
        assert task is not None
        self._running[meta.call_id] = task

    def _over(self, meta: RequestMeta) -> None:
        self._running.pop(meta.call_id, None)
        if self._room and len(self._running) < self._limit:
            waiting = self._room.popleft()
            if not waiting.done():
                waiting.set_result(None)
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._running and not self._streams:
            self._idle.set()

    async def cancel(self, call_id: str) -> None:
        """Ends a request: its code sees asyncio.CancelledError at its next `await`."""
        self._forget_stream(call_id)
        task = self._running.get(call_id)
        if task is not None:
            task.cancel()

    async def room(self) -> None:
        """Returns when another request would be taken."""
        if len(self._running) < self._limit or self._ending:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(future)
        await future

    # --- the controller's ----------------------------------------------------------------------------------------------------------

    async def reconfigure(self, spec: DeploymentSpec) -> None:
        """Takes options that need no new replica."""
        changed = spec.config.user_config != self._spec.config.user_config
        self._spec = spec
        self._limit = spec.config.max_ongoing_requests
        if changed:
            await self._code.reconfigure(spec.config.user_config)

    async def describe(self) -> tuple[DeploymentSpec, int, str] | None:
        """Returns what it serves, its rank and its node; None where it has not begun, or is about to end."""
        if self._context is None or self._ending:
            return None
        return self._spec, self._rank, shoal.get_runtime_context().get_node_id()

    async def until_it_ends(self) -> None:
        """Returns when it is drained: who waits for this learns of the process's death at once."""
        await self._drained.wait()

    async def check_health(self) -> int:
        """Returns how many requests there are. Raises what the user's `check_health` raises."""
        check = getattr(self._code.instance, "check_health", None)
        if check is not None:
            await self._code.run(check)
        return len(self._running)

    async def drain(self) -> None:
        """Takes no more requests; returns when there are none left, and what they answered is fetched."""
        self._ending = True
        for waiting in self._room:
            if not waiting.done():
                waiting.set_result(None)
        self._idle.clear()
        self._check_idle()
        await self._idle.wait()
        await self._code.end()
        self._drained.set()
