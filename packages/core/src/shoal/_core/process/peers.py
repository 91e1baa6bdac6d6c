"""Connections between clients: one for each pair that needs it, made on first use, authenticated by the socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shoal._core.schema.messages import Hello, encode_message
from shoal._core.system.event_loop import EventLoop
from shoal._core.system.transport import Connection, ConnectionClosed, Listener, connect


class Peer:
    """Another client at the end of a connection."""

    __slots__ = ("address", "connection", "known_functions", "worker_id")

    def __init__(self, address: str, connection: Connection) -> None:
        self.address = address
        self.connection = connection
        self.worker_id = b""
        self.known_functions: set[bytes] = set()
        """Definitions sent over this connection."""

    def send(self, message: Any) -> bool:
        """Returns False where the peer is gone; its end is told by `on_gone`."""
        try:
            self.connection.send(message)
        except ConnectionClosed:
            return False
        return True

    def send_all(self, messages: Sequence[Any]) -> bool:
        """Sends several at once; as `send`."""
        if len(messages) == 1:
            return self.send(messages[0])
        try:
            self.connection.send_bytes(b"".join(map(encode_message, messages)))
        except ConnectionClosed:
            return False
        return True


class Peers:
    """All peers of one client. `connect_to` may be called from any thread that holds the client's lock."""

    def __init__(
        self,
        hello: Hello,
        listener_name: str,
        loop: EventLoop,
        on_messages: Callable[[Peer, list[Any]], None],
        on_gone: Callable[[Peer], None],
    ) -> None:
        self._hello = hello
        self._loop = loop
        self._on_messages = on_messages
        self._on_gone = on_gone
        self._by_address: dict[str, Peer] = {}
        self._accepted: set[Peer] = set()
        self._listener = Listener.bind(listener_name, loop, self._accepted_one)

    @property
    def address(self) -> str:
        return self._listener.address

    def start(self) -> None:
        self._listener.start()

    def connect_to(self, address: str) -> Peer:
        """Returns the peer that listens at `address`. Raises ConnectionClosed when it is gone."""
        peer = self._by_address.get(address)
        if peer is not None and not peer.connection.closed:
            return peer
        connection = connect(address, self._loop)
        peer = Peer(address, connection)
        connection.peer = peer
        connection.on_messages = self._receive
        connection.on_close = self._closed
        try:
            connection.send(self._hello)
        except ConnectionClosed:
            connection.abandon()
            raise
        connection.start()
        self._by_address[address] = peer
        return peer

    def _accepted_one(self, connection: Connection) -> None:
        peer = Peer("", connection)
        connection.peer = peer
        connection.on_messages = self._receive
        connection.on_close = self._closed
        self._accepted.add(peer)
        # Both ends must know whom they talk to: borrows are counted by worker id.
        peer.send(self._hello)

    def _receive(self, connection: Connection, messages: list[Any]) -> None:
        peer: Peer = connection.peer
        if type(messages[0]) is Hello:
            peer.worker_id = messages[0].worker_id
            peer.address = messages[0].address
            messages = messages[1:]
            if not messages:
                return
        self._on_messages(peer, messages)

    def _closed(self, connection: Connection) -> None:
        peer: Peer = connection.peer
        self._accepted.discard(peer)
        if self._by_address.get(peer.address) is peer:
            del self._by_address[peer.address]
        self._on_gone(peer)

    def close(self) -> None:
        """On the loop's thread."""
        self._listener.close()
        for peer in [*self._by_address.values(), *self._accepted]:
            peer.connection.close()
