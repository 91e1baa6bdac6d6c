"""Servers of HTTP that run on the loop of an actor."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

WAITING_CONNECTIONS = 2048
"""That have not been accepted yet."""


class Server(uvicorn.Server):
    """Leaves signals to the process that it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def new_loop() -> asyncio.AbstractEventLoop:
    """Returns an event loop: uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def listener_at(host: str, port: int) -> socket.socket:
    """Returns a socket that listens: who is told its address may connect at once. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: head and body would be 40 ms apart.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(WAITING_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno,
            f"nothing can listen on {host}:{port}: {error.strerror}; give another host or port, or the port 0 for any that is free",
        ) from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address, as far as its text tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
