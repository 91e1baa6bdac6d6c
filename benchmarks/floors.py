"""What this machine allows: the same kinds of work with nothing but the standard library and numpy in between."""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rows import Cases, Row, Size
from timing import per_second, seconds

CASES = Cases()

LARGE = 100_000_000  # bytes
LENGTH = struct.Struct("<I")


@CASES.measures(
    Row("floor_ping", "64 bytes to and fro", "trips/s", "ping-pong over a unix socket between two Python processes")
)
def ping_pong(_: None, size: Size) -> float:
    message = b"x" * 64

    def echo(connection: socket.socket) -> None:
        while received := connection.recv(64):
            connection.sendall(received)

    with child_running(echo) as connection:

        def ping() -> None:
            connection.sendall(message)
            connection.recv(64)

        return per_second(ping, 1, size)


@CASES.measures(
    Row(
        "floor_call",
        "pickled call and reply, one at a time",
        "calls/s",
        "the same with a pickled call, its arguments pickled apart, and its pickled result",
    )
)
def one_call(_: None, size: Size) -> float:
    return calls_in_a_frame(1, size)


@CASES.measures(Row("floor_call_100", "pickled calls, 100 in a frame", "calls/s", "the same with 100 calls in a frame"))
def hundred_calls(_: None, size: Size) -> float:
    return calls_in_a_frame(100, size)


def calls_in_a_frame(count: int, size: Size) -> float:
    """Calls that carry what a task's call must: its id, the function's, and the pickled arguments; and replies with a pickled value."""
    function_id = os.urandom(16)
    task_ids = [os.urandom(24) for _ in range(count)]

    def serve(connection: socket.socket) -> None:
        while frame := receive_frame(connection):
            calls = [(task_id, pickle.loads(arguments)) for task_id, _, arguments in pickle.loads(frame)]
            send_frame(connection, pickle.dumps([(task_id, pickle.dumps(b"ok")) for task_id, _ in calls]))

    with child_running(serve) as connection:

        def call() -> None:
            send_frame(
                connection, pickle.dumps([(task_id, function_id, pickle.dumps(((), {}))) for task_id in task_ids])
            )
            for _, value in pickle.loads(receive_frame(connection)):
                pickle.loads(value)

        return per_second(call, count, size)


@CASES.measures(
    Row("floor_memcpy", "copy of 100 MB", "GB/s", "numpy copies 100 MB into shared memory that has been written before")
)
def warm_memcpy(_: None, size: Size) -> float:
    import numpy as np

    source = np.ones(LARGE, np.uint8)
    target = np.frombuffer(mmap.mmap(-1, LARGE), np.uint8)
    return per_second(lambda: np.copyto(target, source), LARGE / 1e9, size)


@CASES.measures(
    Row("floor_forks", "forks", "forks/s", "fork a process of 100 MB until the child's first byte, and reap it")
)
def forks(_: None, size: Size) -> float:
    ballast = bytearray(os.urandom(1)) * LARGE

    def fork() -> None:
        with child_running(lambda connection: connection.sendall(ballast[:1])) as connection:
            connection.recv(1)

    return per_second(fork, 1, size)


@CASES.measures(
    Row("floor_threads", "hand-offs between threads", "trips/s", "one thread wakes another and waits for its answer")
)
def thread_hand_off(_: None, size: Size) -> float:
    ask, answer = threading.Semaphore(0), threading.Semaphore(0)
    end = threading.Event()

    def other() -> None:
        while True:
            ask.acquire()
            if end.is_set():
                return
            answer.release()

    thread = threading.Thread(target=other)
    thread.start()

    def hand_off() -> None:
        ask.release()
        answer.acquire()

    speed = per_second(hand_off, 1, size)
    end.set()
    ask.release()
    thread.join()
    return speed


@CASES.measures(
    Row("floor_interpreter", "a fresh interpreter", "s", "start Python and wait for its end", lower_is_better=True)
)
def interpreter(_: None, size: Size) -> float:
    import subprocess
    import sys

    count = size.count(10, 3)
    return seconds(lambda: [subprocess.run([sys.executable, "-I", "-c", ""], check=True) for _ in range(count)]) / count


@contextmanager
def child_running(serve: Callable[[socket.socket], None]) -> Iterator[socket.socket]:
    """A forked child that runs `serve` on its end of a socket until it returns; ours is closed at the end."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        serve(theirs)
        os._exit(0)
    theirs.close()
    with ours:
        yield ours
    os.waitpid(pid, 0)


def send_frame(connection: socket.socket, data: bytes) -> None:
    connection.sendall(LENGTH.pack(len(data)) + data)


def receive_frame(connection: socket.socket) -> bytes:
    """One frame, or b'' when the other side has closed."""
    head = connection.recv(4)
    if not head:
        return b""
    (length,) = LENGTH.unpack(head)
    data = connection.recv(length)
    while len(data) < length:
        data += connection.recv(length - len(data))
    return data
