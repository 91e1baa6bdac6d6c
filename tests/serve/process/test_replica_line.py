"""Lines between routers and replicas: what comes of calls, whatever happens to either end."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.serve._internal.process import kept_line, line_frames
from shoal.serve._internal.process.kept_line import KeptLines
from shoal.serve._internal.process.line_frames import (
    CALL,
    HEAD,
    LARGE,
    MOST_BYTES,
    FrameReader,
    FrameWriter,
    new_address,
    pickled,
    pickled_in_parts,
    unpickled,
)
from shoal.serve._internal.process.line_server import LineServer
from shoal.serve._internal.process.replica_line import Fetch, LineLost, ReplicaLine, request_frame
from shoal.serve._internal.process.reply_stream import ReplyStream
from shoal.serve._internal.schema.deployments import ReplicaInfo, ReplicaPlace
from shoal.serve._internal.schema.requests import Busy, HttpRequest, RequestMeta, Streaming

NODE = os.urandom(8).hex()
START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"done"}


class FakeReplica:
    """Answers calls with what it is given, or as their arguments say."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}
        self.outcomes: dict[str, Any] = {}
        self.streams: dict[str, ReplyStream] = {}
        self.pushed: list[Any] = []
        self.ended: list[str] = []
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        self.is_ending = False
        self.parts: list[Any] = [START, END]

    def begin_http(self, meta: RequestMeta, request: HttpRequest) -> ReplyStream | Busy:
        if self.is_ending:
            return Busy(True)

        async def answer(stream: ReplyStream) -> None:
            for part in self.parts:
                if isinstance(part, Exception):
                    raise part
                if part is None:
                    await self.may_end.wait()
                else:
                    await stream.send(part)

        stream = self.streams[meta.call_id] = ReplyStream(answer, request, lambda error: None)
        return stream

    async def call(self, meta: RequestMeta, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.is_ending:
            return Busy(True)
        self.begun.append(meta.call_id)
        if meta.method.startswith("wait"):
            await self.may_end.wait()
        if meta.method.endswith("raise"):
            raise ValueError(*args)
        return object() if meta.method.endswith("object") else (args, kwargs)

    def stream_of(self, call_id: str) -> ReplyStream | None:
        return self.streams.get(call_id)

    def take_part(self, call_id: str, stream: ReplyStream) -> Streaming:
        return stream.take()

    async def push(self, call_id: str, messages: list[Any]) -> None:
        self.pushed += messages

    def end_call(self, call_id: str) -> None:
        assert call_id in self.streams or call_id in self.begun
        self.ended.append(call_id)
        self.may_end.set()

    def keep(self, call_id: str, value: Any, error: BaseException | None, keeper: object) -> None:
        self.kept[call_id] = (value, error, keeper)

    def recovered(self, call_id: str, value: Any, error: BaseException | None) -> None:
        self.outcomes[call_id] = (value, error)

    def forget_all(self, keeper: object) -> None:
        self.kept = {}


class Connected:
    """A replica, and a line to it."""

    def __init__(self, replica: FakeReplica, server: LineServer, lines: KeptLines) -> None:
        self.replica, self.server, self.lines = replica, server, lines
        self.infos: list[ReplicaInfo] = []
        self._count = 0

    @property
    def line(self) -> ReplicaLine:
        line = self.lines.of("app#One#0")
        assert line is not None
        return line

    def send(self, kind: int, frame: bytes, line: ReplicaLine | None = None) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answered(value: Any, error: BaseException | None) -> None:
            assert not answer.done()
            answer.set_exception(error) if error is not None else answer.set_result(value)

        (line or self.line).send(kind, frame, answered)
        return answer

    def meta(self, method: str = "__call__", stream: bool = False) -> RequestMeta:
        self._count += 1
        return RequestMeta("request", f"call{self._count}", "app", method=method, stream=stream)

    def call(self, method: str, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        frame = request_frame("call", self.meta(method), args, kwargs)
        assert frame is not None
        return self.send(*frame)

    def ask(self, more_body: bool = False) -> asyncio.Future[Any]:
        first = {"type": "http.request", "body": b"body", "more_body": more_body}
        frame = request_frame("http", self.meta(), (HttpRequest({"type": "http"}, first),), {})
        assert frame is not None
        return self.send(*frame)

    async def lose(self) -> None:
        """The router dies."""
        assert self.line._writer is not None
        self.line._writer.close()
        while self.server.lines:
            self.server._over.clear()
            await self.server._over.wait()


async def connected() -> Connected:
    replica = FakeReplica()
    server, lines = LineServer(replica), KeptLines(asyncio.get_running_loop(), NODE)
    address = await server.start()
    found = Connected(replica, server, lines)
    found.infos = [
        ReplicaInfo("app#One#0", None, 1, ReplicaPlace(NODE, address)),
        ReplicaInfo("app#One#1", None, 1, ReplicaPlace("another", address)),
        ReplicaInfo("app#One#2", None, 1, ReplicaPlace(NODE, "")),
    ]
    lines.replicas_changed(found.infos)
    await until(lambda: bool(server.lines) and lines.of("app#One#0") is not None)
    assert lines.of("app#One#1") is lines.of("app#One#2") is None
    return found


async def until(holds: Callable[[], bool]) -> None:
    for _ in iter(holds, True):
        await asyncio.sleep(0)


def on_a_line(test: Callable[[Connected], Any]) -> None:
    async def run() -> None:
        async with asyncio.timeout(30):
            found = await connected()
            try:
                await test(found)
            finally:
                found.replica.may_end.set()
                await found.server.close()

    asyncio.run(run())


def test_values_come_back_and_what_is_none_of_the_plain_ones_is_kept() -> None:
    async def test(one: Connected) -> None:
        assert await one.call("echo", 1, a="b") == ((1,), {"a": "b"})
        for method in ("object", "raise"):
            with pytest.raises(Fetch):
                await one.call(method, 1)
        kept = list(one.replica.kept.values())
        assert type(kept[0][0]) is object
        assert isinstance(kept[1][1], ValueError)

    on_a_line(test)


def test_an_answer_that_is_whole_comes_at_once_also_where_its_code_goes_on() -> None:
    async def test(one: Connected) -> None:
        assert await one.ask() == Streaming([START, END], True)
        one.replica.parts = [START, END, None]
        assert await one.ask() == Streaming([START, END], True)

    on_a_line(test)


def test_parts_follow_when_they_are_asked_for() -> None:
    async def test(one: Connected) -> None:
        more = {**END, "more_body": True}
        one.replica.parts = [START, more, None, END]
        assert await one.ask() == Streaming([START, more], False)
        asked = one.line.ask_next("call1")
        one.replica.may_end.set()
        assert await asked == Streaming([END], True)

    on_a_line(test)


def test_what_fails_or_is_large_is_fetched_elsewhere() -> None:
    async def test(one: Connected) -> None:
        for parts in (
            [ValueError()],
            [START, {**END, "body": bytes(MOST_BYTES + 1)}],
            [{**START, "headers": (str(number) for number in range(1))}, END],
        ):
            one.replica.parts = parts
            with pytest.raises(Fetch):
                await one.ask()

    on_a_line(test)


def test_more_of_a_request_and_its_end_go_the_same_way() -> None:
    async def test(one: Connected) -> None:
        one.replica.parts = [None]
        assert await one.ask(more_body=True) == Streaming([], False)
        await one.line.push("call1", [1, 2])
        assert one.replica.pushed == [1, 2]
        one.line.cancel("call1")
        await one.replica.may_end.wait()
        assert one.replica.ended == ["call1"]

    on_a_line(test)


def test_large_parts_of_a_request_arrive_whole_and_in_order_among_others() -> None:
    async def test(one: Connected) -> None:
        one.replica.parts = [None]
        assert await one.ask(more_body=True) == Streaming([], False)
        messages = [{"type": "http.request", "body": os.urandom(3 * LARGE), "more_body": True} for _ in range(30)]
        arrived = [one.line.push("call1", messages[start : start + 10]) for start in (0, 10, 20)]
        others = [one.call("echo", number) for number in range(5)]
        await asyncio.gather(*arrived)
        assert one.replica.pushed == messages
        assert {type(message["body"]) for message in one.replica.pushed} == {bytes}
        assert await asyncio.gather(*others) == [((number,), {}) for number in range(5)]

    on_a_line(test)


def test_the_end_of_a_call_does_not_overtake_it() -> None:
    async def test(one: Connected) -> None:
        other = one.call("wait")
        waits = one.call("wait", 2)
        one.line.cancel("call2")
        assert await waits == ((2,), {})
        assert one.replica.ended == ["call2"]
        await other

    on_a_line(test)


def test_goodbye_loses_no_call() -> None:
    async def test(one: Connected) -> None:
        begun = one.call("wait", 1)
        await one.call("echo")
        one.replica.is_ending = True
        one.server.say_goodbye()
        # The router has not heard of it yet.
        late = one.ask()
        assert await late == Busy(True)
        await one.server.heard_goodbye()
        assert one.lines.of("app#One#0") is None
        one.replica.may_end.set()
        assert await begun == ((1,), {})
        await one.server.close()
        assert not one.server.lines

    on_a_line(test)


def test_who_waits_for_a_replica_that_is_gone_is_told() -> None:
    async def test(one: Connected) -> None:
        line, waits = one.line, one.call("wait")
        await one.call("echo")
        await one.server.close()
        with pytest.raises(LineLost):
            await waits
        with pytest.raises(LineLost):
            await one.send(CALL, b"", line)

    on_a_line(test)


def test_requests_end_whose_proxy_is_gone() -> None:
    async def test(one: Connected) -> None:
        one.replica.parts = [START, {**END, "more_body": True}, None]
        await one.ask()
        await one.lose()
        assert one.replica.ended == ["call1"]

    on_a_line(test)


def test_requests_end_whose_proxy_is_gone_while_it_fetches_a_large_part() -> None:
    async def test(one: Connected) -> None:
        one.replica.parts = [START, {**END, "body": bytes(MOST_BYTES + 1), "more_body": True}, None]
        with pytest.raises(Fetch):
            await one.ask()
        await one.lose()
        assert one.replica.ended == ["call1"]

    on_a_line(test)


@pytest.mark.parametrize("method", ["wait object", "wait raise"])
def test_nothing_is_kept_for_who_is_gone(method: str) -> None:
    async def test(one: Connected) -> None:
        waits = one.call(method)
        await one.call("echo")
        (served,) = one.server.lines
        await one.lose()
        one.replica.may_end.set()
        await asyncio.gather(*served._tasks)
        assert not one.replica.kept
        assert set(one.replica.outcomes) == {"call1"}
        with pytest.raises(LineLost):
            await waits

    on_a_line(test)


def test_who_waits_is_told_though_a_copy_of_the_replica_lives_on() -> None:
    """A fork, of a DataLoader with workers for example, has a copy of each socket."""

    async def test(one: Connected) -> None:
        waits = one.call("wait")
        await one.call("echo")
        until_the_end, end = os.pipe()
        with warnings.catch_warnings():
            # Newer Pythons warn of forks where there are threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            copy = os.fork()
        if copy == 0:
            os.close(end)
            os.read(until_the_end, 1)
            os._exit(0)
        try:
            await one.server.close()
            with pytest.raises(LineLost):
                await waits
        finally:
            os.close(end)
            os.close(until_the_end)
            await asyncio.to_thread(os.waitpid, copy, 0)

    on_a_line(test)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are lost are made again at once."""
    monkeypatch.setattr(kept_line.Retries, "next_pause_s", lambda self: 0.0)


@pytest.mark.usefixtures("hasty")
def test_a_line_that_is_lost_while_the_replica_lives_is_made_again() -> None:
    async def test(one: Connected) -> None:
        for number in range(3):
            before, waits = one.line, one.call("wait")
            await one.call("echo")
            await one.lose()
            with pytest.raises(LineLost) as lost:
                await waits
            assert lost.value.was_sent
            await until(lambda before=before: one.lines.of("app#One#0") not in (None, before))
            assert await one.call("echo", number) == ((number,), {})
            with pytest.raises(LineLost) as unsent:
                await one.send(CALL, b"", before)
            assert not unsent.value.was_sent

    on_a_line(test)


@pytest.mark.usefixtures("hasty")
def test_a_line_that_the_replica_ends_is_not_made_again() -> None:
    async def test(one: Connected) -> None:
        kept = one.lines._kept["app#One#0"]
        one.server.say_goodbye()
        await one.server.heard_goodbye()
        await one.server.close()
        await until(lambda: kept.line is not None and kept.line.is_lost)
        assert (kept._timer, kept._connecting) == (None, None)
        # Nor is one to a replica that takes no more requests.
        one.lines.replicas_changed([])
        await until(lambda: not one.lines._kept)
        kept._try_again()
        assert kept._timer is None

    on_a_line(test)


def test_a_line_that_was_given_up_is_tried_again_when_replicas_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_line.Retries, "next_pause_s", lambda self: None)

    async def test(one: Connected) -> None:
        before = one.line
        one.lines.replicas_changed(one.infos)
        await asyncio.sleep(0)
        assert one.line is before
        await one.lose()
        await until(lambda: before.is_lost)
        assert one.lines.of("app#One#0") is None
        one.lines.replicas_changed(one.infos)
        await until(lambda: one.lines.of("app#One#0") is not None)
        assert await one.call("echo", 1) == ((1,), {})

    on_a_line(test)


def test_a_name_that_somebody_else_has_is_not_taken() -> None:
    async def test(one: Connected) -> None:
        taken = one.infos[0].place.address
        free = new_address()
        names = [taken, taken, free]
        other = LineServer(FakeReplica())
        assert await other.start(lambda: names.pop(0)) == free
        await other.close()
        with pytest.raises(OSError):
            await LineServer(FakeReplica()).start(lambda: taken)

    on_a_line(test)


@pytest.mark.parametrize(
    ("method", "stream", "args"),
    [
        ("http", False, (HttpRequest({}, {"type": "http.request", "body": bytes(MOST_BYTES + 1)}),)),
        ("call", True, (1,)),
        ("call", False, (object(),)),
        ("call", False, ([str(n) * 12_000 for n in range(60)],)),
        ("grpc", False, (b"", None)),
    ],
)
def test_what_has_to_go_by_the_actor(method: str, stream: bool, args: Any) -> None:
    assert request_frame(method, RequestMeta("request", "call", "app", stream=stream), args, {}) is None


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 500), max_size=8))
def test_frames_may_arrive_in_any_pieces(values: list[bytes], cuts: list[int]) -> None:
    data = b"".join(HEAD.pack(len(value), number, CALL) + value for number, value in enumerate(values))
    reader, found = FrameReader(), []
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        found += [(number, kind, bytes(value)) for number, kind, value in reader.feed(data[start:end])]
    assert found == [(number, CALL, value) for number, value in enumerate(values)]


@given(
    values=st.lists(st.recursive(st.binary(max_size=60) | st.integers(), st.lists), max_size=6),
    cuts=st.lists(st.integers(0, 800), max_size=8),
    large=st.sampled_from([1, 30, LARGE]),
)
def test_values_of_large_frames_are_read_from_where_they_are(values: list[Any], cuts: list[int], large: int) -> None:
    parts = [part for value in values for part in framed(pickled_in_parts(value))]
    data = b"".join(parts)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    with mock.patch.object(line_frames, "LARGE", large):
        reader, found = FrameReader(), []
        for start, end in pairwise(edges):
            found += [unpickled(content) for _, _, content in reader.feed(data[start:end])]
    assert found == values


def framed(parts: list[bytes]) -> list[bytes]:
    return [HEAD.pack(sum(map(len, parts)), 1, CALL), *parts]


class FakeTransport:
    """Keeps what is written, and has the writer pause after each of these writes."""

    def __init__(self, pauses: int) -> None:
        self.written: list[bytes] = []
        self.closed_after = -1
        self.pauses = pauses
        self.writer: FrameWriter | None = None

    def is_closing(self) -> bool:
        return self.closed_after >= 0

    def write(self, data: bytes | memoryview) -> None:
        self.written.append(bytes(data))
        if self.pauses:
            assert self.writer is not None
            self.pauses -= 1
            self.writer.pause()

    def close(self) -> None:
        self.closed_after = len(self.written)


@pytest.mark.parametrize("pauses", [0, 1, 3])
def test_what_is_large_waits_for_room_and_what_follows_waits_behind_it(pauses: int) -> None:
    async def main() -> None:
        transport = FakeTransport(pauses)
        writer = transport.writer = FrameWriter(transport)  # type: ignore[arg-type]
        large = [os.urandom(3 * LARGE), b"small", os.urandom(LARGE)]
        values: list[bytes | list[bytes]] = [b"first", large, b"behind it", large, b"last"]
        expected = []
        for number, value in enumerate(values):
            writer.write(number, CALL, value, at_once=number == 4)
            expected.append(value if isinstance(value, bytes) else b"".join(value))
        writer.close()
        while transport.closed_after < 0:
            writer.resume()
        reader, found = FrameReader(), []
        for data in transport.written:
            found += reader.feed(data)
        assert [number for number, _, _ in found] == list(range(5))
        assert transport.closed_after == len(transport.written)
        whole = b"".join(HEAD.pack(len(value), number, CALL) + value for number, value in enumerate(expected))
        assert b"".join(transport.written) == whole

    asyncio.run(main())


def test_addresses_are_names_that_leave_no_file_and_are_short_enough() -> None:
    address = new_address()
    assert address[0] == "\0"
    assert len(address) < 108
    assert address != new_address()
    assert pickled(1)
