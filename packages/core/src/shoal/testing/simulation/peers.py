"""A simulated client's connections to other clients, as `process/peers.py` keeps them: one for each pair and direction that needs it."""

from __future__ import annotations

from typing import Any

from shoal._core.schema.messages import Hello, Message
from shoal.testing.simulation.network import End, Network, Station


class Peer:
    """Another client at the end of a connection."""

    __slots__ = ("address", "end", "worker_id")

    def __init__(self, address: str, end: End) -> None:
        self.address = address
        self.end = end
        self.worker_id = b""

    @property
    def closed(self) -> bool:
        return self.end.closed

    def send(self, message: Message) -> bool:
        return self.end.send(message)


class Peers:
    """All peers of one client."""

    def __init__(self, network: Network, station: Station, hello: Hello) -> None:
        self._network = network
        self._station = station
        self._hello = hello
        self._by_address: dict[str, Peer] = {}

    def connect_to(self, address: str) -> Peer:
        """Raises Unreachable."""
        peer = self._by_address.get(address)
        if peer is not None and not peer.closed:
            return peer
        end = self._network.connect(address, self._station)
        peer = end.label = Peer(address, end)
        end.send(self._hello)
        self._by_address[address] = peer
        return peer

    def greeted(self, end: End, message: Any) -> Peer | None:
        """Returns whom a message came from; None where it was the greeting."""
        peer: Peer | None = end.label
        if peer is None:
            peer = end.label = Peer("", end)
            end.send(self._hello)
        if type(message) is Hello:
            peer.worker_id = message.worker_id
            peer.address = message.address
            return None
        return peer

    def gone(self, end: End) -> Peer | None:
        """A connection has ended: whose it was; None for one that never said who it is."""
        peer: Peer | None = end.label
        if peer is not None and self._by_address.get(peer.address) is peer:
            del self._by_address[peer.address]
        return peer
