"""The actor that serves one replica of a deployment."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from time import perf_counter
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import shoal
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.process.access_log import ServeLog
from shoal.serve._internal.process.garbage import collect_seldom
from shoal.serve._internal.process.grpc_call import answer as answer_grpc
from shoal.serve._internal.process.line_server import LineServer
from shoal.serve._internal.process.loop_watch import LoopWatch
from shoal.serve._internal.process.metrics import ReplicaMetrics
from shoal.serve._internal.process.reply_stream import ReplyStream
from shoal.serve._internal.process.request_context import CURRENT, HERE, RequestContext
from shoal.serve._internal.process.routers import ROUTERS
from shoal.serve._internal.process.user_code import UserCode
from shoal.serve._internal.schema.deployments import NOWHERE, DeploymentSpec, ReplicaPlace
from shoal.serve._internal.schema.requests import Busy, HttpRequest, Lost, RequestMeta, Streaming
from shoal.serve.context import ReplicaContext, ReplicaRank
from shoal.serve.exceptions import BackPressureError, DeploymentUnavailableError, RequestCancelledError

GENERATORS = (GeneratorType, AsyncGeneratorType)
NOT_WORTH_A_TRACEBACK = (BackPressureError, DeploymentUnavailableError, RequestCancelledError)
"""They say all there is to say, to the caller."""


class Replica:
    """One replica. Its methods are called by routers, proxies and the controller.

    Args:
        spec: of its deployment.
        replica_id: its own.
        rank: its number among those of its deployment.
        is_local: it is in the process of those who call it, which see its errors themselves: it logs nothing, and watches no loop.
    """

    def __init__(self, spec: DeploymentSpec, replica_id: str, rank: int = 0, is_local: bool = False) -> None:
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
        self._names = {"application": spec.id.app, "deployment": spec.id.name, "replica": replica_id.split("#")[-1]}
        self._metrics = ReplicaMetrics(self._names)
        self._is_local = is_local
        self._log: ServeLog | None = None
        self._access: ServeLog | None = None
        """The log, where it gets a line for each request."""
        self._watch: LoopWatch | None = None
        self._lines = LineServer(self)
        self._kept: dict[str, tuple[Any, BaseException | None, object]] = {}
        """Outcomes of calls that are yet to be fetched, and for whom."""
        self._recovering: dict[str, asyncio.Future[Any]] = {}
        """Calls that run, whose callers have lost their line, and ask the actor now."""

    async def start(self) -> ReplicaPlace:
        """Makes the user's object, and gives it its user_config. Raises what they raise."""
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
        if not self._is_local:
            ROUTERS.name = self._id
            ROUTERS.loop = asyncio.get_running_loop()
            self._set_up_log()
            self._watch = LoopWatch(lambda: bool(self._running), self._say)
            self._code.load()
            collect_seldom()
        await self._code.start()
        self._context = replace(context, servable_object=self._code.instance)
        if self._spec.config.user_config is not None:
            await self._code.reconfigure(self._spec.config.user_config)
        if self._is_local:
            return NOWHERE
        return ReplicaPlace(shoal.get_runtime_context().get_node_id(), await self._address())

    async def _address(self) -> str:
        """Listens for lines. Returns where; nothing where that cannot be."""
        try:
            return await self._lines.start()
        except OSError as error:
            self._say(
                f"requests come to this replica through its actor alone, which is slower: no socket listens ({error})"
            )
            return ""

    def _set_up_log(self) -> None:
        self._log = ServeLog(self._spec.config.logging_config, self._names)
        self._access = self._log if self._log.has_access_log else None

    def _say(self, text: str) -> None:
        if self._log is not None:
            self._log.warn(text)

    # --- requests -----------------------------------------------------------------------------------------------------------------

    async def call(self, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a method; a stream's first items where `meta.stream`."""
        if self._ending or len(self._running) >= self._limit:
            return Busy(self._ending)
        begun = self._begin(meta)
        try:
            value = await self._code.run(self._code.method(meta.method), *args, **kwargs)
        except BaseException as error:
            self._over(meta, begun, error)
            raise
        if not meta.stream:
            self._over(meta, begun)
            if type(value) in GENERATORS:
                raise TypeError(
                    f"the method {meta.method} yields its answer; call it with handle.options(stream=True), and iterate over that"
                )
            return value
        return await self._begin_stream(meta, begun, self._from_generator(value))

    async def grpc(self, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answers a call of gRPC: returns its messages, and a GrpcEnd as the last one; nothing yet where the client sends a stream."""
        if self._ending or len(self._running) >= self._limit:
            return Busy(self._ending)
        begun = self._begin(meta)
        message, context = args

        async def answer(stream: ReplyStream) -> None:
            error = await answer_grpc(self._code, meta, message, context, stream)
            if error is not None:
                self._failed(meta, error)

        return await self._begin_stream(meta, begun, answer, waits_for_more=message is None)

    async def http(self, meta: RequestMeta, args: tuple[HttpRequest], kwargs: dict[str, Any]) -> Any:
        """Answers a request of HTTP, or talks over a WebSocket; returns the first ASGI messages, or nothing yet where more is to come
        from the client."""
        (request,) = args
        stream = self.begin_http(meta, request)
        if isinstance(stream, Busy):
            return stream
        return await self._next_part(meta.call_id, stream) if request.is_whole else Streaming([], False)

    def begin_http(self, meta: RequestMeta, request: HttpRequest) -> ReplyStream | Busy:
        """Does the same, and returns at once what its answer can be taken from."""
        if self._ending or len(self._running) >= self._limit:
            return Busy(self._ending)
        begun = self._begun_now()

        async def answer(stream: ReplyStream) -> None:
            self._enter(meta)
            send = stream.send if self._access is None else self._logged(meta, begun, request, stream.send)
            await self._code.asgi(request.scope, stream.receive, send)

        return self._new_stream(meta, begun, answer, request)

    def _logged(self, meta: RequestMeta, begun: float, request: HttpRequest, send: Any) -> Any:
        """Returns a `send` that writes a line of the access log at the end of the answer."""
        status = ""

        async def logged(message: Any) -> None:
            nonlocal status
            await send(message)
            kind = message["type"]
            if kind == "http.response.start":
                status = str(message["status"])
            elif kind == "websocket.close" or (kind == "http.response.body" and not message.get("more_body")):
                scope = request.scope
                method, took = scope.get("method", "WEBSOCKET"), 1e3 * (perf_counter() - begun)
                if self._access is not None:
                    self._access.answered(method, scope["path"], status, meta.route, took)

        return logged

    async def _begin_stream(
        self,
        meta: RequestMeta,
        begun: float,
        body: Any,
        waits_for_more: bool = False,
    ) -> Streaming:
        stream = self._new_stream(meta, begun, body)
        if waits_for_more:
            return Streaming([], False)
        return await self._next_part(meta.call_id, stream)

    def _new_stream(
        self, meta: RequestMeta, begun: float, body: Any, request: HttpRequest | None = None
    ) -> ReplyStream:
        stream = ReplyStream(body, request, lambda error: self._over(meta, begun, error))
        self._streams[meta.call_id] = stream
        self._running[meta.call_id] = stream.task
        return stream

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
            await stream.until_ready()
        except BaseException:
            self._forget_stream(call_id)
            raise
        return self.take_part(call_id, stream)

    def stream_of(self, call_id: str) -> ReplyStream | None:
        """Returns what a request is answered with, while there is more of it."""
        return self._streams.get(call_id)

    def take_part(self, call_id: str, stream: ReplyStream) -> Streaming:
        """Returns what a stream that is ready has by now. Raises what its code raised."""
        try:
            part = stream.take()
        except BaseException:
            self._forget_stream(call_id)
            raise
        if part.finished:
            self._forget_stream(call_id)
        return part

    def keep(self, call_id: str, value: Any, error: BaseException | None, keeper: object) -> None:
        """Keeps the outcome of a call until it is fetched, or its caller is gone."""
        self._kept[call_id] = (value, error, keeper)

    def forget_all(self, keeper: object) -> None:
        """Nobody will fetch what is kept for this one."""
        self._kept = {call_id: kept for call_id, kept in self._kept.items() if kept[2] is not keeper}
        self._check_idle()

    async def fetch(self, call_id: str, is_there: bool = False) -> Any:
        """Returns, or raises, what was kept, or does as `next_items` does.

        Args:
            call_id: of the call.
            is_there: its line has said that there is something: where there is not, that is lost, as the line is.
        """
        if call_id not in self._kept:
            return Lost() if is_there and call_id not in self._streams else await self.next_items(call_id)
        value, error, _ = self._kept.pop(call_id)
        self._check_idle()
        if error is not None:
            raise error
        return value

    async def recover(self, call_id: str) -> Any:
        """Returns, or raises, what comes of a call whose line was lost: Lost where that cannot be told. A request of HTTP ended with it."""
        if call_id in self._streams or call_id not in self._running:
            self.end_call(call_id)
            return Lost()
        future = self._recovering[call_id] = asyncio.get_running_loop().create_future()
        return await future

    def recovered(self, call_id: str, value: Any, error: BaseException | None) -> None:
        """A call is over whose line was lost."""
        future = self._recovering.pop(call_id, None)
        if future is not None and not future.done():
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        self._check_idle()

    def _forget_stream(self, call_id: str) -> None:
        self._streams.pop(call_id, None)
        self._check_idle()

    async def push(self, call_id: str, messages: list[Any]) -> None:
        """Gives ASGI messages to a request's `receive`; returns when there is room for more."""
        stream = self._streams.get(call_id)
        if stream is not None:
            await stream.push(messages)

    def _begin(self, meta: RequestMeta) -> float:
        self._enter(meta)
        task = asyncio.current_task()
        assert task is not None
        self._running[meta.call_id] = task
        return self._begun_now()

    def _enter(self, meta: RequestMeta) -> None:
        """The running task works on a request."""
        HERE.set(self._context)
        CURRENT.set(RequestContext(meta.request_id, meta.call_id, meta.app, meta.route, meta.model_id))

    def _begun_now(self) -> float:
        if self._watch is not None and not self._watch.armed:
            self._watch.arm()
        return perf_counter()

    def _over(self, meta: RequestMeta, begun: float, error: BaseException | None = None) -> None:
        self._running.pop(meta.call_id, None)
        took = 1e3 * (perf_counter() - begun)
        self._metrics.ended(meta.route, took)
        if error is not None:
            self._failed(meta, error)
        if self._access is not None and meta.kind != "http":
            outcome = "OK" if error is None else type(error).__name__
            self._access.answered(meta.kind.upper(), meta.method, outcome, meta.route, took)
        if self._room and len(self._running) < self._limit:
            # Who is told may have nothing to send any more. The end of another request tells the next one; without one, all are told.
            self._tell_of_room(1 if self._running else len(self._room))
        self._check_idle()

    def _tell_of_room(self, most: int) -> None:
        for _ in range(min(most, len(self._room))):
            waiting = self._room.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def _failed(self, meta: RequestMeta, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._metrics.failed(meta.route, error)
            if self._log is not None and not isinstance(error, NOT_WORTH_A_TRACEBACK):
                self._log.failed(f"request {meta.request_id} to {self._spec.id} ({meta.method})", error)

    def _check_idle(self) -> None:
        if self._is_idle:
            self._idle.set()

    @property
    def _is_idle(self) -> bool:
        return not self._running and not self._streams and not self._kept and not self._recovering

    async def _until_idle(self) -> None:
        while not self._is_idle:
            self._idle.clear()
            await self._idle.wait()

    async def cancel(self, call_id: str) -> None:
        """Ends a request: its code sees asyncio.CancelledError at its next `await`."""
        self.end_call(call_id)

    def end_call(self, call_id: str) -> None:
        """Does the same at once."""
        stream, task = self._streams.get(call_id), self._running.get(call_id)
        self._forget_stream(call_id)
        if stream is not None:
            stream.cancel()
        elif task is not None:
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
        logs_otherwise = spec.config.logging_config != self._spec.config.logging_config
        self._spec = spec
        if logs_otherwise and self._log is not None:
            self._set_up_log()
        self._limit = spec.config.max_ongoing_requests
        self._tell_of_room(max(self._limit - len(self._running), 0))
        if changed:
            HERE.set(self._context)
            await self._code.reconfigure(spec.config.user_config)

    async def until_it_ends(self) -> None:
        """Returns when it is drained: who waits for this learns of the process's death at once."""
        await self._drained.wait()

    async def check_health(self) -> int:
        """Returns how many requests there are. Raises what the user's `check_health` raises."""
        await self._called_if_there("check_health")
        return len(self._running)

    async def stats(self, method: str) -> Any:
        """Returns what the user's method tells of this replica; None where there is no such method. Raises what that raises."""
        return await self._called_if_there(method)

    async def _called_if_there(self, hook: str) -> Any:
        HERE.set(self._context)
        function = getattr(self._code.instance, hook, None)
        return await self._code.run(function) if function is not None else None

    async def metrics(self) -> list[Sample]:
        """Returns what it has counted, and its routers have."""
        return self._metrics.samples(len(self._running)) + ROUTERS.samples(self._id)

    async def drain(self) -> None:
        """Takes no more requests; returns when there are none left, and what they answered is fetched."""
        if self._ending:
            await self._drained.wait()
            return
        self._ending = True
        self._tell_of_room(len(self._room))
        self._lines.say_goodbye()
        await self._until_idle()
        await self._lines.heard_goodbye()
        await self._until_idle()
        await self._lines.close()
        if self._watch is not None:
            self._watch.end()
        HERE.set(self._context)
        try:
            await self._code.end()
        except Exception as error:
            # It is over all the same.
            if self._log is not None:
                self._log.failed(f"cleaning up {self._spec.id}", error)
        self._drained.set()
