"""A router's lines to the replicas of its machine. One that is lost while its replica lives is made again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

from shoal.serve._internal.logic.retries import Retries
from shoal.serve._internal.process.replica_line import ReplicaLine
from shoal.serve._internal.schema.deployments import ReplicaInfo


class KeptLine:
    """The line to one replica. Calls of the actor reach it while there is none, or tell why they do not.

    Args:
        loop: on which it is used.
        address: of the replica's socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str) -> None:
        self.address = address
        self.line: ReplicaLine | None = None
        """The newest one, which may not be open."""
        self._loop = loop
        self._retries = Retries()
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self._connect()

    def look_again(self) -> None:
        """The replica is still there: where the line was given up, it is tried again."""
        if self._connecting is None and self._timer is None and (self.line is None or self.line.is_lost):
            self._retries.worked()
            self._connect()

    def end(self) -> None:
        """No other line is needed; the one that there is ends by itself, when nobody waits for it."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def _connect(self) -> None:
        self._timer = None
        self._connecting = self._loop.create_task(self._connected())

    async def _connected(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            await self._loop.sock_connect(sock, self.address)
            _, self.line = await self._loop.create_unix_connection(lambda: ReplicaLine(self._lost), sock=sock)
        except OSError:
            sock.close()
            self._try_again()
        finally:
            self._connecting = None

    def _lost(self, line: ReplicaLine) -> None:
        if line.has_worked:
            self._retries.worked()
        self._try_again()

    def _try_again(self) -> None:
        pause_s = None if self._over else self._retries.next_pause_s()
        if pause_s is not None:
            self._timer = self._loop.call_later(pause_s, self._connect)


class KeptLines:
    """The lines of one router.

    Args:
        loop: on which they are used.
        node_id: of this machine: replicas on others are not reached this way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, node_id: str) -> None:
        self._loop = loop
        self._node_id = node_id
        self._kept: dict[str, KeptLine] = {}

    def replicas_changed(self, replicas: Iterable[ReplicaInfo]) -> None:
        """These take calls now. From any thread."""
        here = {one.replica_id: one.place.address for one in replicas if one.place.node_id == self._node_id}
        self._loop.call_soon_threadsafe(self._keep, {name: address for name, address in here.items() if address})

    def _keep(self, addresses: dict[str, str]) -> None:
        for replica_id in self._kept.keys() - addresses.keys():
            self._kept.pop(replica_id).end()
        for replica_id, address in addresses.items():
            kept = self._kept.get(replica_id)
            if kept is None:
                self._kept[replica_id] = KeptLine(self._loop, address)
            else:
                kept.look_again()

    def of(self, replica_id: str) -> ReplicaLine | None:
        """Returns the line to a replica; None where new calls cannot go that way."""
        kept = self._kept.get(replica_id)
        line = kept.line if kept is not None else None
        return line if line is not None and line.is_open else None
