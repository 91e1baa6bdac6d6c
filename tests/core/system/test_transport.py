"""`system/transport.py`: frames, descriptors, ends of connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shoal._core.schema.messages import Answer, ArenaAdded, Notice, PushTasks, TaskCall
from shoal._core.system.event_loop import EventLoop
from shoal._core.system.transport import Connection, ConnectionClosed, Listener, connect

PATIENCE = 20.0


class End:
    """One end of a connection: what it has received, and whether it is closed."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.messages: list[Any] = []
        self.arrived = threading.Condition()
        self.closed = threading.Event()
        self.there = threading.Event()

    def adopt(self, connection: Connection) -> None:
        self.connection = connection
        connection.on_messages = self._take
        connection.on_close = lambda _: self.closed.set()
        self.there.set()

    def _take(self, connection: Connection, messages: list[Any]) -> None:
        with self.arrived:
            self.messages.extend(messages)
            self.arrived.notify_all()

    def wait_for(self, count: int) -> list[Any]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= count, PATIENCE)
            return list(self.messages)


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    errors: list[BaseException] = []
    loop = EventLoop(errors.append)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield loop
    loop.stop()
    thread.join(PATIENCE)
    loop.close()
    assert errors == []


@pytest.fixture
def ends(loop: EventLoop) -> Iterator[tuple[End, End]]:
    server, client = End(), End()
    name = f"shoal-test-{os.getpid()}-{os.urandom(4).hex()}"
    listener = Listener.bind(name, loop, server.adopt)
    loop.call_soon(listener.start)
    client.adopt(connect(listener.address, loop))
    assert client.connection is not None
    client.connection.start()
    assert server.there.wait(PATIENCE)
    yield server, client
    closed = threading.Event()
    loop.call_soon(lambda: (listener.close(), client.connection and client.connection.close(), closed.set()))
    assert closed.wait(PATIENCE)
    assert server.closed.wait(PATIENCE)


def test_messages_arrive_whole_and_in_order(ends: tuple[End, End]) -> None:
    server, client = ends
    assert client.connection is not None
    for number in range(1000):
        client.connection.send(Notice(f"{number} " + "x" * (number % 300)))
    texts = [message.text.split()[0] for message in server.wait_for(1000)]
    assert texts == [str(number) for number in range(1000)]


def test_a_frame_larger_than_the_socket_takes_at_once_arrives(ends: tuple[End, End]) -> None:
    server, client = ends
    assert client.connection is not None
    args = os.urandom(8 << 20)
    client.connection.send(PushTasks([TaskCall(b"t" * 24, b"f", args)]))
    client.connection.send(Notice("after"))
    push, notice = server.wait_for(2)
    assert push.calls[0].args == args
    assert notice.text == "after"


def test_descriptors_travel_with_their_message(ends: tuple[End, End]) -> None:
    server, client = ends
    assert server.connection is not None
    assert client.connection is not None
    reading, writing = os.pipe()
    server.connection.send(ArenaAdded(1, 100), [writing])
    client.wait_for(1)
    (received,) = client.connection.take_fds(1)
    os.write(received, b"through")
    assert os.read(reading, 100) == b"through"
    for fd in (reading, writing, received):
        os.close(fd)


def test_many_threads_may_send_over_one_connection(ends: tuple[End, End]) -> None:
    server, client = ends
    connection = client.connection
    assert connection is not None

    def send(thread: int) -> None:
        for number in range(200):
            connection.send(Answer(thread, number))

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = server.wait_for(800)
    for thread in range(4):
        assert [answer.value for answer in answers if answer.request_id == thread] == list(range(200))


def test_the_end_of_one_side_is_told_to_the_other_and_sending_fails(loop: EventLoop, ends: tuple[End, End]) -> None:
    server, client = ends
    assert server.connection is not None
    assert client.connection is not None
    client.connection.send(Notice("last words"))
    client.connection.close()
    assert client.closed.wait(PATIENCE)
    assert server.closed.wait(PATIENCE)
    assert [message.text for message in server.messages] == ["last words"]
    with pytest.raises(ConnectionClosed):
        client.connection.send(Notice("too late"))


def test_connecting_to_nobody_says_so(loop: EventLoop) -> None:
    with pytest.raises(ConnectionClosed, match="nobody answers at unix:@no-such-listener"):
        connect("unix:@no-such-listener", loop)


def test_other_kinds_of_addresses_are_refused(loop: EventLoop) -> None:
    with pytest.raises(ValueError, match="tcp:host:1"):
        connect("tcp:host:1", loop)
