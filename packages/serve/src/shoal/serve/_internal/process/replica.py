"""The actor that serves one replica of a deployment."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Any

from shoal.serve._internal.process.reply_stream import ReplyStream
from shoal.serve._internal.process.request_context import CURRENT, HERE, RequestContext
from shoal.serve._internal.process.user_code import UserCode
from shoal.serve._internal.schema.deployments import DeploymentSpec
from shoal.serve._internal.schema.requests import Busy, HttpRequest, RequestMeta, Streaming
from shoal.serve.context import ReplicaContext


class Replica:
    """One replica. Its methods are called by routers, proxies and the controller.

    Args:
        spec: of its deployment.
        replica_id: its own.
    """

    def __init__(self, spec: DeploymentSpec, replica_id: str) -> None:
        self._spec = spec
        self._id = replica_id
        self._code = UserCode(spec)
        self._limit = spec.config.max_ongoing_requests
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._streams: dict[str, ReplyStream] = {}
        self._room: deque[asyncio.Future[None]] = deque()
        self._ending = False
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Makes the user's object, and gives it its user_config. Raises what they raise."""
        deployment = self._spec.id
        context = ReplicaContext(deployment.app, deployment.name, self._id, None, code_version=self._spec.code_version)
        HERE.set(context)
        await self._code.start()
        self._context = replace(context, servable_object=self._code.instance)
        if self._spec.config.user_config is not None:
            await self._code.reconfigure(self._spec.config.user_config)

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
        """Answers a request of HTTP, or talks over a WebSocket; returns the first ASGI messages."""
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
            self._streams.pop(call_id, None)
            raise
        if part.finished:
            self._streams.pop(call_id, None)
        return part

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
        if not self._running:
            self._idle.set()

    async def cancel(self, call_id: str) -> None:
        """Ends a request: its code sees asyncio.CancelledError at its next `await`."""
        self._streams.pop(call_id, None)
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

    async def check_health(self) -> int:
        """Returns how many requests there are. Raises what the user's `check_health` raises."""
        check = getattr(self._code.instance, "check_health", None)
        if check is not None:
            await self._code.run(check)
        return len(self._running)

    async def drain(self) -> None:
        """Takes no more requests; returns when there are none left."""
        self._ending = True
        for waiting in self._room:
            if not waiting.done():
                waiting.set_result(None)
        self._idle.clear()
        if self._running:
            await self._idle.wait()
