"""The virtual network: messages of one connection arrive in order, each after a random delay; those of different ones overtake each other.

A process that dies closes its connections: what it sent still arrives, then the end does.
"""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

from shoal._core.schema.messages import Message, decode_message, encode_message
from shoal.testing.simulation.agenda import Agenda
from shoal.testing.simulation.trace import Trace

USUAL_DELAY = 0.0002
LONG_DELAY = 0.02


class Unreachable(Exception):
    """Nobody listens at that address (any more)."""


class Station(Protocol):
    """A process on the network."""

    name: str
    alive: bool

    def receive(self, end: End, message: Any) -> None: ...

    def closed(self, end: End) -> None: ...


class End:
    """One process's end of a connection. `label` is the process's own."""

    __slots__ = ("_last_arrival", "_network", "closed", "label", "other", "station")

    def __init__(self, network: Network, station: Station) -> None:
        self._network = network
        self.station = station
        self.other: End = self
        self.closed = False
        self.label: Any = None
        self._last_arrival = 0.0

    def send(self, message: Message) -> bool:
        """Returns False where the connection is known to be closed."""
        if self.closed:
            return False
        frame = bytes(encode_message(message)[4:])
        self._network.trace.sent(self.station.name, self.other.station.name, message, frame)
        self._arrive(lambda: self._deliver(frame))
        return True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._arrive(self._deliver_end)

    def _arrive(self, action: Any) -> None:
        network = self._network
        self._last_arrival = max(self._last_arrival, network.agenda.now + network.delay())
        network.agenda.at(self._last_arrival, action)

    def _deliver(self, frame: bytes) -> None:
        other = self.other
        if other.station.alive and not other.closed:
            message = decode_message(memoryview(frame))
            self._network.trace.arrived(self.station.name, other.station.name, message)
            other.station.receive(other, message)

    def _deliver_end(self) -> None:
        other = self.other
        if other.station.alive and not other.closed:
            other.closed = True
            self._network.trace.note(f"{other.station.name} sees the end of {self.station.name}")
            other.station.closed(other)


class Network:
    """All connections."""

    def __init__(self, agenda: Agenda, random: Random, trace: Trace) -> None:
        self.agenda = agenda
        self.trace = trace
        self._random = random
        self._stations: dict[str, Station] = {}
        self._ends: dict[str, list[End]] = {}
        self._slowness = random.choice((0.0, 0.02, 0.2))
        """How often a message takes long."""

    def delay(self) -> float:
        random = self._random
        if random.random() < self._slowness:
            return random.random() * LONG_DELAY
        return random.random() * USUAL_DELAY

    def listen(self, address: str, station: Station) -> None:
        self._stations[address] = station

    def connect(self, address: str, caller: Station) -> End:
        """Raises Unreachable where nobody listens there."""
        station = self._stations.get(address)
        if station is None or not station.alive:
            raise Unreachable(address)
        near, far = End(self, caller), End(self, station)
        near.other, far.other = far, near
        self._ends.setdefault(caller.name, []).append(near)
        self._ends.setdefault(station.name, []).append(far)
        return near

    def cut(self, station: Station) -> None:
        """A process has ended."""
        for end in self._ends.pop(station.name, []):
            end.close()
