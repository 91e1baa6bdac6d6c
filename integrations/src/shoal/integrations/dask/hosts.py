"""The actors of a worker of Dask's: each lives in a task that ends when it does, and its calls come from the head, in order."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from distributed.worker import secede

from shoal.integrations.dask.actor_calls import ActorSpec
from shoal.integrations.dask.async_host import AsyncHost
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.host import Host, ThreadHost
from shoal.integrations.dask.sessions import session_of_task
from shoal.integrations.engines.templates import template_of


def live(spec: bytes, payload: bytes, *values: bytes) -> None:
    """An actor's life. (Dask runs it.)"""
    session = session_of_task()
    secede()
    actor: ActorSpec = pickle.loads(spec)
    again = True
    while again:
        deaths = session.connection.ask("actor_starts", actor=actor.actor, worker=session.connection.worker.address)
        if deaths is None:
            return
        template = template_of(actor.template)
        host = (AsyncHost if template.is_async else ThreadHost)(session, actor, template, deaths)
        session.hosts.add(host)
        try:
            again = host.live(payload, values)
        finally:
            session.hosts.remove(host)


class Hosts:
    """The actors of this worker.

    Args:
        connection: of this process.
    """

    def __init__(self, connection: Connection) -> None:
        self._hosts: dict[str, Host] = {}
        if connection.worker is not None:
            connection.worker.stream_handlers["shoal-actor"] = self._hear

    def _hear(self, what: str, actor: str, facts: dict[str, Any]) -> None:
        """The head says something to an actor. (To one that has ended nothing, of which the head hears.)"""
        host = self._hosts.get(actor)
        if host is not None:
            told: dict[str, Callable[..., None]] = {"deliver": host.deliver, "cancel": host.cancel, "end": host.end}
            told[what](**facts)

    def add(self, host: Host) -> None:
        """An actor begins here."""
        self._hosts[host.actor] = host

    def remove(self, host: Host) -> None:
        """It has ended."""
        if self._hosts.get(host.actor) is host:
            del self._hosts[host.actor]
