"""How calls and answers travel on a line to a replica: a head of fixed size, then a pickled value."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
from struct import Struct
from typing import Any

HEAD = Struct("<IIB")
"""Bytes of the value, number of the call, kind."""
HTTP, CALL, NEXT, PUSH, CANCEL, GOODBYE = range(6)
"""What callers send: a request of HTTP, a call of a method, a question for more of a stream, more of a request, the end of a call, and what
answers a replica's goodbye."""
VALUE, PART, BUSY, FETCH, ENDING = range(6, 11)
"""What replicas send: a value, a part of a stream, that somebody else should do it, that what there is has to be fetched by a call of the
actor, and that no more calls should come on this line."""
MOST_BYTES = 1 << 18
"""Of what travels in one frame, about: larger ones go by calls of the actor, whose memory is shared."""

_CREDENTIALS = Struct("3i")
OWN_USER = os.geteuid()


def new_address() -> str:
    """Returns a name for a replica's socket: an abstract one, of which nothing is left behind, and that nobody guesses."""
    return f"\0shoal-serve-{os.urandom(16).hex()}"


def descriptor_of(transport: Any) -> int:
    """Returns the file descriptor of a connection."""
    return int(transport.get_extra_info("socket").fileno())


def is_own_user(transport: Any) -> bool:
    """Whether who is at the other end is of the same user as this process."""
    sock = transport.get_extra_info("socket")
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(credentials)[1] == OWN_USER)


class FrameReader:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = 0

    def feed(self, data: bytes) -> list[tuple[int, int, memoryview]]:
        """Returns the frames that are whole now: number, kind, and the pickled value."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
            self._rest = bytearray()
        frames = []
        view, position, end = memoryview(data), 0, len(data)
        self._needed = HEAD.size
        while end - position >= HEAD.size:
            size, number, kind = HEAD.unpack_from(data, position)
            start = position + HEAD.size
            if end - start < size:
                self._needed = HEAD.size + size
                break
            position = start + size
            frames.append((number, kind, view[start:position]))
        if position < end:
            self._rest = bytearray(view[position:])
        return frames


class FrameWriter:
    """Writes frames; those of one turn of the loop together.

    Args:
        transport: where to.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []

    def write(self, number: int, kind: int, pickled: bytes = b"", at_once: bool = False) -> None:
        """Writes a frame: in the next turn of the loop, or at once where it is not likely that others follow."""
        frame = HEAD.pack(len(pickled), number, kind) + pickled
        if at_once and not self._gathered:
            self._write(frame)
            return
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append(frame)

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _write(self, data: bytes) -> None:
        # Where it is closing, who waits for what it would bring is told when it is closed.
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Closes when all is written."""
        self._flush()
        self._transport.close()


def pickled(value: Any) -> bytes:
    """Returns a value as bytes."""
    return pickle.dumps(value, 5)
