"""What becomes of requests in the proxy that no replica has: they wait for room, and their time is over, or their client goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shoal.serve._internal.process.proxied_request import ProxiedRequest
from shoal.serve._internal.process.proxy import Destination, Proxy
from shoal.serve._internal.process.refusal_pace import RefusalPace
from shoal.serve._internal.process.router import Call
from shoal.serve._internal.process.whole_request import WholeRequest
from shoal.serve._internal.schema.deployments import Route
from shoal.serve._internal.schema.requests import Streaming
from shoal.serve.config import HTTPOptions
from shoal.serve.exceptions import BackPressureError, ReplicaUnavailableError, RequestCancelledError, ServeError

ROUTE = Route("/", "app", "One")
SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": []}


class FullRouter:
    """A call waits there until it is cancelled: who cancels it hears of that before `cancel` returns."""

    def __init__(self) -> None:
        self.waiting: list[Call] = []

    def submit(self, call: Call) -> None:
        self.waiting.append(call)

    def cancel(self, call: Call) -> None:
        self.waiting.remove(call)
        call.done(None, RequestCancelledError(call.meta.request_id))


class FakeExchange:
    """Keeps what is written."""

    scope = SCOPE
    answering: Any = None

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.written = asyncio.Event()

    def write_whole(self, start: dict[str, Any], body: bytes, more: bytes) -> bool:
        self.statuses.append(start["status"])
        self.written.set()
        return True


def on_a_loop(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def whole_request(exchange: FakeExchange, router: FullRouter, timeout_s: float | None, over: list[str]) -> WholeRequest:
    def ended(status: str, lost: BaseException | None, request_id: str) -> None:
        over.append(status)

    pace = RefusalPace()
    return WholeRequest(exchange, ROUTE, router, None, pace, b"", timeout_s, ended)  # type: ignore[arg-type]


def test_who_has_waited_too_long_is_told_that() -> None:
    async def test() -> None:
        exchange, router, over = FakeExchange(), FullRouter(), list[str]()
        whole_request(exchange, router, 0.001, over)
        await exchange.written.wait()
        assert (exchange.statuses, over, router.waiting) == ([408], ["408"], [])

    on_a_loop(test)


def test_who_goes_while_it_waits_is_counted_once_and_written_nothing() -> None:
    async def test() -> None:
        exchange, router, over = FakeExchange(), FullRouter(), list[str]()
        whole_request(exchange, router, None, over)
        exchange.answering.client_gone()
        assert (exchange.statuses, over, router.waiting) == ([], ["499"], [])

    on_a_loop(test)


@pytest.mark.parametrize("more_body", [False, True])
def test_who_has_waited_too_long_is_told_that_through_asgi(more_body: bool) -> None:
    async def test() -> None:
        router, sent = FullRouter(), list[Any]()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": more_body}

        async def send(message: Any) -> None:
            sent.append(message)

        request = ProxiedRequest(ROUTE, router, SCOPE, receive, send, 0.001, RefusalPace())  # type: ignore[arg-type]
        await request.answer()
        assert (sent[0]["status"], request.status, router.waiting) == (408, "408", [])

    on_a_loop(test)


def test_what_has_no_router_goes_the_way_that_has_an_answer_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_router(self: Destination) -> None:
        raise ServeError("nothing is served")

    monkeypatch.setattr(Destination, "router", no_router)

    async def test() -> None:
        proxy, exchange = Proxy(HTTPOptions()), FakeExchange()
        proxy._routes_changed((ROUTE,))
        assert not proxy.begin(exchange, b"")  # type: ignore[arg-type]
        assert not exchange.statuses

    on_a_loop(test)


class SlowRouter(FullRouter):
    """A replica has the call, and no answer yet."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = asyncio.Event()

    def submit(self, call: Call) -> None:
        super().submit(call)
        call.done(Streaming([], False), None)

    def cancel(self, call: Call) -> None:
        self.waiting.remove(call)
        self.ended.set()

    async def next_items(self, call: Call) -> Streaming:
        await self.ended.wait()
        return Streaming([], True)


def test_who_sends_more_and_has_no_answer_in_time_is_told_that() -> None:
    async def test() -> None:
        router, sent = SlowRouter(), list[Any]()
        messages = [{"type": "http.request", "body": b"a", "more_body": True}]

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            sent.append(message)

        request = ProxiedRequest(ROUTE, router, SCOPE, receive, send, 0.001, RefusalPace())  # type: ignore[arg-type]
        await request.answer()
        assert (sent[0]["status"], request.status, router.waiting) == (408, "408", [])

    on_a_loop(test)


class OverloadedRouter:
    """Its queue is full, which it says before or when it is given a request."""

    def __init__(self, says_so: bool) -> None:
        self.says_so = says_so
        self.was_given = 0

    def refusal(self) -> BackPressureError | None:
        return BackPressureError(1, 1) if self.says_so else None

    def submit(self, call: Call) -> None:
        self.was_given += 1
        call.done(None, BackPressureError(1, 1))

    def cancel(self, call: Call) -> None: ...


class HeldPace(RefusalPace):
    """Turns nobody away until the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Callable[[], None]] = []
        self.holds = asyncio.Event()

    def refuse(self, turn_away: Callable[[], None]) -> None:
        self.held.append(turn_away)
        self.holds.set()


@pytest.mark.parametrize("says_so", [True, False])
@pytest.mark.parametrize("way", ["whole", "http", "websocket", "websocket of an old server"])
def test_who_does_not_fit_is_turned_away_in_turn_whichever_way_it_came(
    monkeypatch: pytest.MonkeyPatch, way: str, says_so: bool
) -> None:
    router = OverloadedRouter(says_so)
    monkeypatch.setattr(Destination, "router", lambda self: router)

    async def test() -> None:
        proxy, exchange, sent = Proxy(HTTPOptions()), FakeExchange(), list[Any]()
        pace = proxy._pace = HeldPace()
        proxy._routes_changed((ROUTE,))
        kind = way.partition(" ")[0]
        scope = {**SCOPE, "type": kind, "extensions": {"websocket.http.response": {}} if kind == way else {}}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        if way == "whole":
            assert proxy.begin(exchange, b"")  # type: ignore[arg-type]
            assert not exchange.statuses
            pace.held.pop()()
            assert exchange.statuses == [503]
        else:
            asked = asyncio.create_task(proxy._app(scope, receive, send))
            await pace.holds.wait()
            assert not sent
            pace.held.pop()()
            await asked
        if way in ("http", "websocket"):
            assert (sent[0]["status"], dict(sent[0]["headers"])[b"retry-after"]) == (503, b"1")
            assert sent[0]["type"].startswith(f"{way}.") and sent[1]["body"]
        elif way != "whole":
            assert sent == [{"type": "websocket.close", "code": 1011}]
        assert router.was_given == (not says_so)

    on_a_loop(test)


def test_who_goes_before_it_is_turned_away_is_written_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Destination, "router", lambda self: OverloadedRouter(True))

    async def test() -> None:
        proxy, exchange = Proxy(HTTPOptions()), FakeExchange()
        pace = proxy._pace = HeldPace()
        proxy._routes_changed((ROUTE,))
        assert proxy.begin(exchange, b"")  # type: ignore[arg-type]
        exchange.answering.client_gone()
        pace.held.pop()()
        assert not exchange.statuses

    on_a_loop(test)


class TalkingRouter(FullRouter):
    """Its replica accepts a WebSocket, sends this, and then fails."""

    def __init__(self, sent: list[Any], error: Exception) -> None:
        super().__init__()
        self.parts = [Streaming([{"type": "websocket.accept"}, *sent], False)]
        self.error = error

    def submit(self, call: Call) -> None:
        call.done(Streaming([], False), None)

    def cancel(self, call: Call) -> None: ...

    async def next_items(self, call: Call) -> Streaming:
        if not self.parts:
            raise self.error
        return self.parts.pop()


CLOSE = "websocket.close"


@pytest.mark.parametrize(
    ("sent", "error", "code"),
    [
        ([], ValueError("a fault of the code"), 1011),
        ([], ReplicaUnavailableError("it died"), 1012),
        ([{"type": CLOSE, "code": 4000}], ValueError("later"), None),
    ],
)
def test_a_websocket_that_cannot_go_on_is_closed(sent: list[Any], error: Exception, code: int | None) -> None:
    async def test() -> None:
        got, router = list[Any](), TalkingRouter(sent, error)

        async def receive() -> Any:
            if got:
                await asyncio.get_running_loop().create_future()
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            got.append(message)

        scope = {**SCOPE, "type": "websocket"}
        request = ProxiedRequest(ROUTE, router, scope, receive, send, None, RefusalPace())  # type: ignore[arg-type]
        try:
            await request.answer()
        except ValueError:
            assert code is None
        assert [one.get("code") for one in got if one["type"] == CLOSE] == [code or 4000]
        assert (request.lost is error) == (code == 1012)

    on_a_loop(test)
