"""Frames between processes: unix sockets now, an address string that other transports can join.

A frame is a little-endian u32 length and a msgspec message. `Connection.send` writes from the caller's thread; reading happens on the
event loop's thread. Peers are authenticated (same user, by SO_PEERCRED) before a byte of theirs is read.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from shoal._core.schema.messages import decode_message, encode_message
from shoal._core.system.event_loop import READ, WRITE, EventLoop

_RECEIVE_SIZE = 1 << 18
_CREDENTIALS = struct.Struct("3i")
_LENGTH = struct.Struct("<I")
MAX_FRAME = (1 << 32) - 1


class ConnectionClosed(OSError):
    """The peer is gone, or this side closed."""


def _address_bytes(address: str) -> str:
    if not address.startswith("unix:@"):
        raise ValueError(f"cannot reach {address!r}: only 'unix:@name' addresses are known")
    return "\0" + address[len("unix:@") :]


class Connection:
    """One socket to one peer.

    `on_messages(connection, messages)` is called on the loop's thread with all messages of one read;
    `on_close(connection)` once, after the last
    of them. `peer` is for the owner of the connection to say who is at the other end.
    """

    __slots__ = (
        "_closing",
        "_incoming",
        "_lock",
        "_loop",
        "_outgoing",
        "_outgoing_fds",
        "_received_fds",
        "_socket",
        "closed",
        "on_close",
        "on_messages",
        "peer",
        "peer_pid",
    )

    def __init__(self, sock: socket.socket, loop: EventLoop) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._loop = loop
        self._lock = threading.Lock()
        self._outgoing: deque[memoryview] = deque()
        self._outgoing_fds: deque[tuple[memoryview, list[int]]] = deque()
        self._incoming = bytearray()
        self._received_fds: list[int] = []
        self._closing = False
        self.closed = False
        self.peer: Any = None
        self.peer_pid = 0
        self.on_messages: Callable[[Connection, list[Any]], None] = _ignore_messages
        self.on_close: Callable[[Connection], None] = _ignore_close

    def start(self) -> None:
        """Begins reading. Safe from any thread; set the callbacks first."""
        if self._loop.in_loop_thread:
            self._watch()
        else:
            self._loop.call_soon(self._watch)

    def _watch(self) -> None:
        if not self.closed:
            self._loop.watch(self._socket.fileno(), READ | (WRITE if self._outgoing else 0), self._on_ready)

    def send(self, message: Any, fds: list[int] | None = None) -> None:
        """Sends one message; what the socket does not take now follows by itself. `fds` are descriptors to hand over.

        Raises ConnectionClosed."""
        self.send_bytes(encode_message(message), fds)

    def send_bytes(self, frame: bytes | bytearray, fds: list[int] | None = None) -> None:
        with self._lock:
            if self.closed or self._closing:
                raise ConnectionClosed(errno.EPIPE, "the connection is closed")
            if self._outgoing:
                self._queue(memoryview(frame), fds)
                return
            try:
                if fds:
                    sent = self._socket.sendmsg(
                        [frame], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                    )
                else:
                    sent = self._socket.send(frame)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                raise ConnectionClosed(error.errno, f"the peer is gone: {error.strerror}") from None
            if sent != len(frame):
                self._queue(memoryview(frame)[sent:], fds if sent == 0 else None)
                self._loop.call_soon(self._want_write)

    def _queue(self, rest: memoryview, fds: list[int] | None) -> None:
        self._outgoing.append(rest)
        if fds:
            self._outgoing_fds.append((rest, fds))

    def _want_write(self) -> None:
        with self._lock:
            if not self.closed and self._outgoing:
                self._loop.rewatch(self._socket.fileno(), READ | WRITE)

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE:
            self._receive()

    def _flush(self) -> None:
        with self._lock:
            outgoing = self._outgoing
            while outgoing and not self.closed:
                first = outgoing[0]
                try:
                    if self._outgoing_fds and self._outgoing_fds[0][0] is first:
                        fds = self._outgoing_fds[0][1]
                        sent = self._socket.sendmsg(
                            [first], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                        )
                        self._outgoing_fds.popleft()
                    else:
                        sent = self._socket.send(first)
                except (BlockingIOError, InterruptedError):
                    return
                except OSError:
                    outgoing.clear()
                    break
                if sent == len(first):
                    outgoing.popleft()
                else:
                    outgoing[0] = first[sent:]
            if not self.closed:
                self._loop.rewatch(self._socket.fileno(), READ)
            closing = self._closing
        if closing:
            self._finish()

    def _receive(self) -> None:
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_RECEIVE_SIZE, 1024)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
                self._received_fds.extend(fds)
        if not data:
            self._finish()
            return
        incoming: bytes | bytearray = data
        if self._incoming:
            self._incoming += data
            incoming = self._incoming
        messages = []
        position, end = 0, len(incoming)
        view = memoryview(incoming)
        while end - position >= 4:
            (length,) = _LENGTH.unpack_from(incoming, position)
            if end - position - 4 < length:
                break
            messages.append(decode_message(view[position + 4 : position + 4 + length]))
            position += 4 + length
        view.release()
        if incoming is self._incoming:
            del self._incoming[:position]
        elif position < end:
            self._incoming = bytearray(data[position:])
        if messages:
            self.on_messages(self, messages)

    def take_fds(self, count: int) -> list[int]:
        """Returns the next `count` descriptors that the peer handed over, in order."""
        taken, self._received_fds = self._received_fds[:count], self._received_fds[count:]
        return taken

    def close(self) -> None:
        """Closes after what was sent so far has left. Safe from any thread; `on_close` is called on the loop's thread."""
        if self._loop.in_loop_thread:
            self._begin_close()
        else:
            self._loop.call_soon(self._begin_close)

    def abandon(self) -> None:
        """Closes a connection that was never started; nobody is told."""
        with self._lock:
            self.closed = True
            self._socket.close()

    def _begin_close(self) -> None:
        with self._lock:
            self._closing = True
            waiting = bool(self._outgoing)
        if not waiting:
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            if self.closed:
                return
            self.closed = True
            self._loop.unwatch(self._socket.fileno())
            with suppress(OSError):
                # A forked child may hold the socket open: the peer shall see the end all the same.
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._outgoing.clear()
        for fd in self._received_fds:
            os.close(fd)
        self._received_fds = []
        self.on_close(self)


def _ignore_messages(connection: Connection, messages: list[Any]) -> None:
    return


def _ignore_close(connection: Connection) -> None:
    return


def listening_socket(name: str) -> socket.socket:
    """Returns a socket that listens under an abstract name. Raises OSError where it is taken."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    sock.bind("\0" + name)
    sock.listen(1024)
    return sock


class Listener:
    """Accepts peers of the same user on an abstract unix socket (no file, nothing to leave behind)."""

    def __init__(
        self, sock: socket.socket, address: str, loop: EventLoop, on_connection: Callable[[Connection], None]
    ) -> None:
        sock.setblocking(False)
        self.address = address
        self._loop = loop
        self._on_connection = on_connection
        self._socket = sock

    @classmethod
    def bind(cls, name: str, loop: EventLoop, on_connection: Callable[[Connection], None]) -> Listener:
        """Listens under a new name. Raises OSError where it is taken."""
        sock = listening_socket(name)
        return cls(sock, "unix:@" + name, loop, on_connection)

    @classmethod
    def from_fd(cls, fd: int, name: str, loop: EventLoop, on_connection: Callable[[Connection], None]) -> Listener:
        """Takes over a listening socket that somebody else has made."""
        return cls(socket.socket(fileno=fd), "unix:@" + name, loop, on_connection)

    def fileno(self) -> int:
        return self._socket.fileno()

    def start(self) -> None:
        """Begins accepting; on the loop's thread, or before it runs."""
        self._loop.watch(self._socket.fileno(), READ, self._accept)

    def _accept(self, events: int) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            pid, uid, _gid = _CREDENTIALS.unpack(
                sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            if uid != os.getuid():
                sock.close()
                continue
            connection = Connection(sock, self._loop)
            connection.peer_pid = pid
            self._on_connection(connection)
            connection.start()

    def close(self) -> None:
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()


def connect(address: str, loop: EventLoop) -> Connection:
    """Returns a connection to the listener at `address`; set its callbacks, then `start()` it.

    Raises ConnectionClosed when nobody listens there, or somebody else's user does."""
    name = _address_bytes(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.connect(name)
        pid, uid, _gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid != os.getuid():
            raise ConnectionClosed(errno.EPERM, f"{address} belongs to user id {uid}, not to yours")
    except OSError as error:
        sock.close()
        raise ConnectionClosed(error.errno, f"nobody answers at {address}: {error.strerror}") from None
    connection = Connection(sock, loop)
    connection.peer_pid = pid
    return connection
