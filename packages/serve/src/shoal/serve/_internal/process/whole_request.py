"""A request that is there at once, on its way through the proxy: callbacks answer it, without a task, and mostly with one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from shoal.serve._internal.process.loop_mailbox import running_loop
from shoal.serve._internal.process.proxied_request import (
    REQUEST_ID,
    AnswerTooLate,
    ProxiedRequest,
    made_call,
    refusal_of,
    text_head,
)
from shoal.serve._internal.process.proxy_http import Exchange
from shoal.serve._internal.process.refusal_pace import RefusalPace
from shoal.serve._internal.process.router import AnyRouter, Call
from shoal.serve._internal.schema.deployments import Route
from shoal.serve._internal.schema.requests import Streaming
from shoal.serve.exceptions import BackPressureError

Over = Callable[[str, BaseException | None, str], None]


class WholeRequest:
    """One of them.

    Args:
        exchange: it and its answer.
        route: where it goes.
        router: of its ingress.
        refusal: why it is to be turned away; None where the router takes it.
        pace: at which requests are turned away that do not fit into the queue.
        body: all of it.
        timeout_s: seconds until the answer has to begin; None for no limit.
        over: takes, once, the status of the answer, why there is none where that is for the log, and the request's id.
    """

    __slots__ = (
        "_call",
        "_deadline",
        "_exchange",
        "_is_over",
        "_loop",
        "_over",
        "_pace",
        "_request_id",
        "_route",
        "_router",
        "_timeout_s",
    )

    def __init__(
        self,
        exchange: Exchange,
        route: Route,
        router: AnyRouter,
        refusal: BackPressureError | None,
        pace: RefusalPace,
        body: bytes,
        timeout_s: float | None,
        over: Over,
    ) -> None:
        self._exchange = exchange
        self._route = route
        self._router = router
        self._pace = pace
        self._over = over
        self._timeout_s = timeout_s
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.call_later(timeout_s, self._too_late) if timeout_s else None
        first = {"type": "http.request", "body": body, "more_body": False}
        call = made_call(exchange.scope, first, route, self._done)
        self._request_id = call.meta.request_id
        self._call: Call | None = call
        exchange.answering = self
        if refusal is None:
            router.submit(call)
        else:
            call.done(None, refusal)

    def client_gone(self) -> None:
        """Nobody waits for the answer any more."""
        call = self._call
        self._end("499")
        self._cancel(call)

    def _cancel(self, call: Call | None) -> None:
        """Once the request is over: a call that waits is done before this returns."""
        if call is not None:
            self._router.cancel(call)

    def _done(self, value: Any, error: BaseException | None) -> None:
        if running_loop() is self._loop:
            self._answered(value, error)
        else:
            self._loop.call_soon_threadsafe(self._answered, value, error)

    def _too_late(self) -> None:
        assert self._timeout_s is not None
        if not self._is_over:
            call = self._call
            self._refuse(AnswerTooLate(self._timeout_s))
            self._cancel(call)

    def _answered(self, value: Any, error: BaseException | None) -> None:
        if self._is_over:
            return
        if error is not None:
            if isinstance(error, BackPressureError):
                self._pace.refuse(partial(self._turn_away, error))
            else:
                self._refuse(error)
            return
        part: Streaming = value
        items = part.items
        if part.finished and len(items) == 2 and items[0]["type"] == "http.response.start":
            start = items[0]
            if self._exchange.write_whole(start, items[1].get("body", b""), self._id_line()):
                self._end(str(start["status"]))
                return
        self._go_on(part)

    def _turn_away(self, error: BackPressureError) -> None:
        if not self._is_over:
            self._refuse(error)

    def _id_line(self) -> bytes:
        return b"%b: %b\r\n" % (REQUEST_ID, self._request_id.encode("latin-1"))

    def _refuse(self, error: BaseException) -> None:
        refusal = refusal_of(error)
        body = refusal.text.encode()
        head = text_head(refusal.status, body, refusal.headers)
        if self._exchange.write_whole(head, body, self._id_line()):
            self._end(str(refusal.status), error if refusal.is_loss else None)
            return
        messages = [head, {"type": "http.response.body", "body": body}]
        self._go_on(Streaming(messages, True), error if refusal.is_loss else None)

    def _go_on(self, part: Streaming, lost: BaseException | None = None) -> None:
        """What is more than one write goes the way of all others from here on."""
        call, exchange = self._call, self._exchange
        assert call is not None
        self._let_go()

        async def rest(scope: dict[str, Any], receive: Any, send: Any) -> None:
            request = ProxiedRequest(self._route, self._router, scope, receive, send, None, self._pace)
            try:
                await request.go_on(call, part)
            finally:
                self._tell(request.status, lost or request.lost)

        exchange.go_on(rest)

    def _end(self, status: str, lost: BaseException | None = None) -> None:
        self._let_go()
        self._tell(status, lost)

    def _let_go(self) -> None:
        """What refers to this is not referred to any more: there is nothing for the garbage collector."""
        self._is_over = True
        self._call = None
        self._exchange.answering = None
        if self._deadline is not None:
            self._deadline.cancel()

    def _tell(self, status: str, lost: BaseException | None) -> None:
        self._over(status, lost, self._request_id)
