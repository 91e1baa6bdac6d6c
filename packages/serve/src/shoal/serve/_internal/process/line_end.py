"""What both ends of a line have in common: who may be at the other one, the socket, reading and writing frames."""

from __future__ import annotations

import asyncio
import os
import socket
from struct import Struct
from typing import Any

from shoal.serve._internal.process.line_frames import FrameReader, FrameWriter
from shoal.serve._internal.process.own_sockets import OWN_SOCKETS

ON_THE_WAY = 1 << 21
"""Bytes that a socket may hold, where the system allows it: the other end takes them without this one being woken in between."""

_CREDENTIALS = Struct("3i")
OWN_USER = os.geteuid()


class LineEnd(asyncio.Protocol):
    """One end. It is open as long as it has a writer; a process of another user's gets none, and is told nothing."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._writer: FrameWriter | None = None
        self._descriptor = -1

    def connection_made(self, transport: Any) -> None:
        """Of asyncio, or uvloop."""
        sock = transport.get_extra_info("socket")
        if not _is_own_user(sock):
            transport.abort()
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ON_THE_WAY)
        self._writer = FrameWriter(transport)
        self._descriptor = int(sock.fileno())
        OWN_SOCKETS.add(self._descriptor)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        OWN_SOCKETS.discard(self._descriptor)
        self._writer = None

    def pause_writing(self) -> None:
        """Of asyncio."""
        if self._writer is not None:
            self._writer.pause()

    def resume_writing(self) -> None:
        """Of asyncio."""
        if self._writer is not None:
            self._writer.resume()


def _is_own_user(sock: Any) -> bool:
    """Whether who is at the other end is of the same user as this process."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(credentials)[1] == OWN_USER)
