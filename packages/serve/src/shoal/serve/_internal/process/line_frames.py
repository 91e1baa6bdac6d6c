"""How calls and answers travel on a line to a replica: a head of fixed size, then a pickled value."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections import deque
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
"""Of what travels in one frame, about: larger ones go by calls of the actor, whose memory is shared. A request that comes in parts may have
larger ones."""
LARGE = 1 << 16
"""Bytes that are worth not copying."""
AT_ONCE = 1 << 20
"""Bytes of large frames that a transport gets at a time."""


def new_address() -> str:
    """Returns a name for a replica's socket: an abstract one, of which nothing is left behind, and that nobody guesses."""
    return f"\0shoal-serve-{os.urandom(16).hex()}"


class Pieces:
    """The value of a large frame, as it has arrived: a file to read pickles from. What is large in it is copied once, to where it is used.

    Args:
        pieces: all of it, in order.
    """

    def __init__(self, pieces: list[bytes | memoryview]) -> None:
        self._pieces = deque(memoryview(piece) for piece in pieces)

    def read(self, count: int) -> bytes:
        """Returns the next bytes."""
        found = bytearray(count)
        return bytes(found[: self.readinto(found)])

    def readline(self) -> bytes:
        """Of files; pickles of this protocol have no lines."""
        raise NotImplementedError

    def readinto(self, room: bytearray | memoryview) -> int:
        """Fills room with the next bytes. Returns how many there were."""
        view, filled, pieces = memoryview(room), 0, self._pieces
        while pieces and filled < len(view):
            piece = pieces[0]
            count = min(len(piece), len(view) - filled)
            view[filled : filled + count] = piece[:count]
            filled += count
            if count == len(piece):
                pieces.popleft()
            else:
                pieces[0] = piece[count:]
        return filled


Content = memoryview | Pieces


class FrameReader:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = b""
        """The beginning of a head."""
        self._pieces: list[bytes | memoryview] = []
        """Of the value of a frame that is not whole yet."""
        self._missing = 0
        self._number = 0
        self._kind = 0

    def feed(self, data: bytes) -> list[tuple[int, int, Content]]:
        """Returns the frames that are whole now: number, kind, and the pickled value."""
        frames: list[tuple[int, int, Content]] = []
        position = 0
        if self._missing:
            if len(data) < self._missing:
                self._pieces.append(data)
                self._missing -= len(data)
                return frames
            position = self._missing
            self._pieces.append(memoryview(data)[:position])
            frames.append((self._number, self._kind, _joined(self._pieces)))
            self._pieces, self._missing = [], 0
        elif self._rest:
            data = self._rest + data
            self._rest = b""
        view, end = memoryview(data), len(data)
        while end - position >= HEAD.size:
            size, number, kind = HEAD.unpack_from(data, position)
            start = position + HEAD.size
            position = start + size
            if position > end:
                self._pieces, self._missing = [view[start:]], position - end
                self._number, self._kind = number, kind
                position = end
                break
            frames.append((number, kind, view[start:position]))
        if position < end:
            self._rest = data[position:]
        return frames


def _joined(pieces: list[bytes | memoryview]) -> Content:
    return Pieces(pieces) if sum(map(len, pieces)) >= LARGE else memoryview(b"".join(pieces))


class FrameWriter:
    """Writes frames; those of one turn of the loop together.

    Args:
        transport: where to.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._gathered: list[bytes] = []
        self._has_large = False
        """Something of what is gathered is worth not copying."""
        self._left: deque[memoryview] = deque()
        """What waits until there is room: where frames are large, a transport of asyncio's would copy what it cannot send at once."""
        self._is_paused = False
        self._closes = False

    def write(self, number: int, kind: int, pickled: bytes | list[bytes] = b"", at_once: bool = False) -> None:
        """Writes a frame: in the next turn of the loop, or at once where it is not likely that others follow."""
        if isinstance(pickled, bytes):
            frame = HEAD.pack(len(pickled), number, kind) + pickled
            if at_once and not self._gathered and not self._left:
                self._write(frame)
                return
            if not self._gathered:
                self._loop.call_soon(self._flush)
            self._gathered.append(frame)
            return
        self._gathered.append(HEAD.pack(sum(map(len, pickled)), number, kind))
        self._gathered += pickled
        self._has_large = True
        self._flush()

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        if not self._has_large and not self._left:
            if gathered:
                self._write(gathered[0] if len(gathered) == 1 else b"".join(gathered))
            return
        self._has_large = False
        self._left.extend(map(memoryview, gathered))
        self._write_left()

    def _write_left(self) -> None:
        left, small = self._left, list[memoryview]()
        while left and not self._is_paused:
            if len(left[0]) < LARGE:
                small.append(left.popleft())
                continue
            if small:
                self._write(b"".join(small))
                small.clear()
                continue
            part = left.popleft()
            if len(part) > AT_ONCE:
                left.appendleft(part[AT_ONCE:])
            self._write(part[:AT_ONCE])
        if small:
            self._write(b"".join(small))
        if self._closes and not left:
            self._transport.close()

    def _write(self, data: bytes | memoryview) -> None:
        # Where it is closing, who waits for what it would bring is told when it is closed.
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause(self) -> None:
        """The transport has more than it can send."""
        self._is_paused = True

    def resume(self) -> None:
        """It has room again."""
        self._is_paused = False
        self._write_left()

    def close(self) -> None:
        """Closes when all is written."""
        self._flush()
        self._closes = True
        if not self._left:
            self._transport.close()


class _Chunks(list[bytes]):
    """A file to write pickles to: what is large in them is not copied."""

    write = list.append


def pickled(value: Any) -> bytes:
    """Returns a value as bytes."""
    return pickle.dumps(value, 5)


def pickled_in_parts(value: Any) -> list[bytes]:
    """Returns a value that has large bytes in it, with these as they are."""
    chunks = _Chunks()
    pickle.Pickler(chunks, 5).dump(value)
    return chunks


def unpickled(content: Content) -> Any:
    """Returns a value. Raises what pickle raises."""
    if isinstance(content, memoryview):
        return pickle.loads(content)
    return pickle.Unpickler(content).load()
