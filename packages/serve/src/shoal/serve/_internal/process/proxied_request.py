"""A request of HTTP, or a WebSocket, on its way through the proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import shoal
from shoal.serve._internal.process.call_ids import CALL_IDS
from shoal.serve._internal.process.loop_mailbox import running_mailbox
from shoal.serve._internal.process.refusal_pace import RefusalPace
from shoal.serve._internal.process.router import AnyRouter, Call
from shoal.serve._internal.process.uplink import Uplink
from shoal.serve._internal.schema.deployments import Route
from shoal.serve._internal.schema.requests import HttpRequest, RequestMeta, Streaming
from shoal.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
"""Methods that may be repeated (RFC 9110, 9.2.2)."""
LISTEN_AFTER = 0.02
"""Seconds after which a request is worth looking whether its client is still there."""
CODE_FAILED, REPLICA_GONE = 1011, 1012
"""Codes with which WebSockets are closed (RFC 6455, 7.4.1, and IANA's registry)."""
AGAIN_LATER = ((b"retry-after", b"1"),)
REQUEST_ID = b"x-request-id"
SESSION_IDS = (b"x-session-id", b"x_session_id")
"""Headers that name what a request belongs to: the second one as clients write it that allow no others."""
MODEL_ID = b"serve_multiplexed_model_id"
NAMES = frozenset((REQUEST_ID, MODEL_ID, *SESSION_IDS))
PASSED_ON = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "client",
    "server",
    "subprotocols",
)
Headers = list[tuple[bytes, bytes]]


class Refusal(NamedTuple):
    """What a client is told where a replica could not tell it.

    Args:
        status: of HTTP.
        text: the body.
        headers: besides those of any text.
        is_loss: whether it is for the log.
    """

    status: int
    text: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    is_loss: bool = False


def refusal_of(error: BaseException) -> Refusal:
    """Returns what a client is told of an error."""
    if isinstance(error, BackPressureError):
        return Refusal(503, str(error), AGAIN_LATER)
    if isinstance(error, DeploymentUnavailableError):
        return Refusal(503, str(error))
    if isinstance(error, AnswerTooLate):
        return Refusal(408, str(error))
    # The replica, which writes what its code raised, could not say this.
    is_loss = isinstance(error, ReplicaUnavailableError | shoal.exceptions.ActorError)
    return Refusal(500, "Internal Server Error", is_loss=is_loss)


class AnswerTooLate(Exception):
    """The answer has not begun in time.

    Args:
        timeout_s: seconds that there were.
    """

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no answer within {timeout_s:g} s")


def text_head(status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] | Headers = ()) -> dict[str, Any]:
    """Returns the head of an answer that is a text."""
    length = (b"content-length", str(len(body)).encode())
    kind = (b"content-type", b"text/plain; charset=utf-8")
    return {"type": "http.response.start", "status": status, "headers": [kind, length, *headers]}


async def send_text(send: Any, status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] | Headers = ()) -> None:
    """Sends an answer that is a text."""
    body = text.encode()
    await send(text_head(status, body, headers))
    await send({"type": "http.response.body", "body": body})


async def send_refusal(scope: dict[str, Any], send: Any, refusal: Refusal, request_id: bytes) -> None:
    """Tells a client why its request is not answered: also one that has asked for a WebSocket."""
    headers = [(REQUEST_ID, request_id), *refusal.headers]
    if scope["type"] == "http":
        await send_text(send, refusal.status, refusal.text, headers)
    elif "websocket.http.response" in scope.get("extensions", {}):
        body = refusal.text.encode()
        await send({**text_head(refusal.status, body, headers), "type": "websocket.http.response.start"})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": CODE_FAILED})


def id_of(scope: dict[str, Any]) -> bytes:
    """Returns what the client calls a request, or what its answer does."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            return bytes(value)
    return CALL_IDS.next().encode()


def made_call(
    scope: dict[str, Any],
    first: dict[str, Any],
    route: Route,
    done: Callable[[Any, BaseException | None], None],
) -> Call:
    """Returns the call of a replica that a request is.

    Args:
        scope: what ASGI says of it.
        first: the first message from the client.
        route: where it goes.
        done: takes its value or error.
    """
    call_id = CALL_IDS.next()
    request_id, model_id, session_id = call_id, "", ""
    for name, value in scope["headers"]:
        if name not in NAMES:
            continue
        if name == REQUEST_ID:
            request_id = value.decode("latin-1")
        elif name == MODEL_ID:
            model_id = value.decode("latin-1")
        else:
            session_id = value.decode("latin-1")
    passed = {key: scope[key] for key in PASSED_ON if key in scope}
    passed["root_path"] = scope.get("root_path", "") + route.prefix.rstrip("/")
    meta = RequestMeta(request_id, call_id, route.app, route.prefix, "__call__", model_id, False, "http", session_id)
    request = HttpRequest(passed, first)
    may_repeat = scope.get("method") in IDEMPOTENT and request.is_whole
    return Call(meta, (request,), {}, "http", done, may_repeat)


class ProxiedRequest:
    """One of them, as an ASGI application has it.

    Args:
        route: where it goes.
        router: of its ingress.
        scope: what ASGI says of it.
        receive: gives what the client sends.
        send: takes what the client gets.
        timeout_s: seconds until the answer has to begin; None for no limit.
        pace: at which requests are turned away that do not fit into the queue.
    """

    def __init__(
        self,
        route: Route,
        router: AnyRouter,
        scope: dict[str, Any],
        receive: Any,
        send: Any,
        timeout_s: float | None,
        pace: RefusalPace,
    ) -> None:
        self._route = route
        self._scope = scope
        self._receive = receive
        self._send = send
        self._timeout_s = timeout_s
        self._pace = pace
        self._router = router
        self._begun = False
        self._is_closed = False
        self._gone = False
        self._listening: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._too_late_error: AnswerTooLate | None = None
        self.status = "499"
        """Of the answer; 499 where the client was gone before there was one."""
        self.lost: BaseException | None = None
        """Why there is no answer, where that is not for the replica to say."""

    @property
    def request_id(self) -> str:
        """What the client calls it, or its answer does."""
        return self._call.meta.request_id if self._call is not None else ""

    async def answer(self) -> None:
        """Returns when the client has its answer, or is gone."""
        first = await self._receive()
        if first["type"] == "http.disconnect":
            return
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Streaming] = loop.create_future()

        mailbox = running_mailbox()

        def done(value: Any, error: BaseException | None) -> None:
            mailbox.settle(answer, value, error)

        call = self._call = made_call(self._scope, first, self._route, done)
        self._router.submit(call)
        # Most answers come at once: only those that take longer are worth a task that notices when the client goes.
        more_comes = not call.args[0].is_whole
        timer = None if more_comes else loop.call_later(LISTEN_AFTER, self._listen)
        deadline = loop.call_later(self._timeout_s, self._too_late, answer) if self._timeout_s else None

        async def first_part() -> Streaming:
            part = await answer
            if more_comes:
                # It has been taken on; the answer comes when there is one.
                self._listen()
                part = await self._unless_too_late(call)
            if deadline is not None:
                deadline.cancel()
            return part

        try:
            await self._send_parts(call, first_part)
        finally:
            if timer is not None:
                timer.cancel()
            if deadline is not None:
                deadline.cancel()
            if self._listening is not None:
                self._listening.cancel()

    async def go_on(self, call: Call, part: Streaming) -> None:
        """Returns when the client has the rest of an answer that has begun, or is gone.

        Args:
            call: that is answered.
            part: the first one of the answer.
        """
        self._call = call

        async def first_part() -> Streaming:
            return part

        if not part.finished:
            self._listen()
        try:
            await self._send_parts(call, first_part)
        finally:
            if self._listening is not None:
                self._listening.cancel()

    async def _send_parts(self, call: Call, first_part: Callable[[], Any]) -> None:
        try:
            part: Streaming = await first_part()
            self._begun = True
            while not self._gone:
                for message in part.items:
                    if message["type"] == "http.response.start":
                        self.status = str(message["status"])
                        message["headers"] = [*message.get("headers", ()), (REQUEST_ID, self._id_bytes)]
                    elif message["type"] == "websocket.accept":
                        self.status = "101"
                    elif message["type"] == "websocket.close":
                        self._is_closed = True
                        if self.status != "101":
                            self.status = "403"
                    await self._send(message)
                if part.finished:
                    return
                part = await self._router.next_items(call)
        except asyncio.CancelledError:
            if not self._gone:
                self._router.cancel(call)
                raise
        except Exception as error:
            if self._gone:
                return
            if self._begun:
                self._router.cancel(call)
                if self.status == "101" and not self._is_closed:
                    await self._close_websocket(error)
                    return
                # The client sees the connection end before the answer does: there is no other way to tell it.
                raise
            await self._refuse(error)

    async def _close_websocket(self, error: Exception) -> None:
        is_gone = refusal_of(error).is_loss
        if is_gone:
            self.lost = error
        await self._send({"type": "websocket.close", "code": REPLICA_GONE if is_gone else CODE_FAILED})

    @property
    def _id_bytes(self) -> bytes:
        return self.request_id.encode("latin-1")

    def _listen(self) -> None:
        self._listening = asyncio.get_running_loop().create_task(self._pass_on())

    async def _pass_on(self) -> None:
        """Gives the replica what the client sends later; a client that goes ends the request."""
        assert self._call is not None
        uplink = Uplink(self._router, self._call)
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._gone = True
                self._router.cancel(self._call)
                return
            await uplink.send(message)
            if message["type"] == "websocket.disconnect":
                return

    async def _unless_too_late(self, call: Call) -> Streaming:
        """Returns the first part of an answer. Raises AnswerTooLate where the request has been cancelled for that."""
        try:
            part = await self._router.next_items(call)
        except Exception as error:
            if self._too_late_error is None:
                raise
            raise self._too_late_error from error
        if self._too_late_error is not None:
            raise self._too_late_error
        return part

    def _too_late(self, answer: asyncio.Future[Streaming]) -> None:
        assert self._call is not None
        assert self._timeout_s is not None
        self._too_late_error = AnswerTooLate(self._timeout_s)
        # Before the call is cancelled: one that waits is done before `cancel` returns.
        if not answer.done():
            answer.set_exception(self._too_late_error)
        self._router.cancel(self._call)

    async def _refuse(self, error: Exception) -> None:
        refusal = refusal_of(error)
        if refusal.is_loss:
            self.lost = error
        self.status = str(refusal.status)
        if isinstance(error, BackPressureError):
            await self._pace.turn()
        await send_refusal(self._scope, self._send, refusal, self._id_bytes)
