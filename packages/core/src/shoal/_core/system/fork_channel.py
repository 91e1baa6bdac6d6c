"""Packets with descriptors between a daemon and a fork server: a SOCK_SEQPACKET socket pair, never blocking.

The kernel keeps packets apart and each with its own descriptors. What does not fit a packet travels in a memfd.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from collections.abc import Sequence

_LARGEST_PACKET = 32 << 10
_IN_PACKET = b"\0"
_IN_MEMFD = b"\1"
_MOST_FDS = 8


class ChannelClosed(OSError):
    """The process at the other end is gone, or closed its end."""


class ForkChannel:
    """One end of a channel. Owns its socket and the descriptors of what waits to be sent."""

    __slots__ = ("_socket", "_waiting")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._waiting: deque[tuple[bytes, list[int]]] = deque()

    @classmethod
    def pair(cls) -> tuple[ForkChannel, ForkChannel]:
        """Returns both ends of a new channel."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        return cls(ours), cls(theirs)

    @classmethod
    def from_fd(cls, fd: int) -> ForkChannel:
        """Returns the end whose descriptor this process inherited."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something waits for room in the socket: call `flush` when it is writable."""
        return bool(self._waiting)

    def send(self, payload: bytes, fds: Sequence[int] = ()) -> None:
        """Sends a packet, now or when there is room; `fds` stay the caller's, who may close them at once.

        Raises ChannelClosed.
        """
        packet, own = _IN_PACKET + payload, []
        if len(packet) > _LARGEST_PACKET:
            packet = _IN_MEMFD
            own = [memfd_of(payload)]
        try:
            if self._waiting or not self._send_now(packet, [*fds, *own]):
                self._waiting.append((packet, [os.dup(fd) for fd in (*fds, *own)]))
        finally:
            for fd in own:
                os.close(fd)

    def flush(self) -> None:
        """Sends what waits, as far as there is room. Raises ChannelClosed."""
        while self._waiting:
            packet, fds = self._waiting[0]
            if not self._send_now(packet, fds):
                return
            self._waiting.popleft()
            for fd in fds:
                os.close(fd)

    def _send_now(self, packet: bytes, fds: list[int]) -> bool:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([packet], ancillary, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except OSError as error:
            raise ChannelClosed(error.errno, f"the other end is gone: {error.strerror}") from None
        return True

    def receive(self) -> tuple[bytes, list[int]] | None:
        """Returns the next packet and its descriptors, which are then the caller's; None where there is none now.

        Raises ChannelClosed.
        """
        try:
            packet, ancillary, _, _ = self._socket.recvmsg(
                _LARGEST_PACKET, socket.CMSG_SPACE(4 * _MOST_FDS), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(error.errno, f"the other end is gone: {error.strerror}") from None
        if not packet:
            raise ChannelClosed("the other end was closed")
        fds = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data)
        received = list(fds)
        if packet[:1] == _IN_MEMFD:
            return content_of(received.pop()), received
        return packet[1:], received

    def close(self) -> None:
        self._socket.close()
        for _, fds in self._waiting:
            for fd in fds:
                os.close(fd)
        self._waiting.clear()


def memfd_of(payload: bytes) -> int:
    """Returns a descriptor of a new file in memory that holds `payload`, for a process that inherits it."""
    fd = os.memfd_create("shoal-message", os.MFD_CLOEXEC)
    with open(fd, "wb", buffering=0, closefd=False) as file:
        file.write(payload)
    return fd


def content_of(fd: int) -> bytes:
    """Returns what `memfd_of` stored, and closes the descriptor."""
    with open(fd, "rb", buffering=0) as file:
        file.seek(0)
        return file.readall()
