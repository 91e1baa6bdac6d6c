"""The routers of this process, and its link to the controller: one of each, found again by whoever needs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import shoal
from shoal.serve._internal.logic.metric_text import Sample
from shoal.serve._internal.process.controller_link import ControllerLink, find_controller
from shoal.serve._internal.process.router import AnyRouter, Router
from shoal.serve._internal.schema.deployments import DeploymentId
from shoal.serve.exceptions import ServeError


class Routers:
    """Makes routers when they are first asked for, anew in each session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routers: dict[DeploymentId, Router] = {}
        self._local: dict[DeploymentId, AnyRouter] = {}
        self._link: ControllerLink | None = None
        self._session = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop of this process, where it lives as long as the process does."""
        self.name = ""
        """Of this process, for the controller: a replica's id; empty for any that nobody else has."""

    def link(self) -> ControllerLink:
        """Returns this process's link. Raises ServeError where nothing is served."""
        with self._lock:
            return self._link_locked()

    def _link_locked(self) -> ControllerLink:
        if self._session and not shoal.is_initialized():
            # To look for a controller would start another session.
            raise ServeError(
                "the session in which this was served has ended; start one, and serve there: serve.run(...)"
            )
        session = shoal.get_runtime_context().get_job_id() if shoal.is_initialized() else ""
        if self._link is None or self._link.is_lost or session != self._session:
            self._link = ControllerLink(find_controller(), self.name)
            self._session = session
            self._routers.clear()
        return self._link

    def set_local(self, app: str, routers: Mapping[DeploymentId, AnyRouter]) -> None:
        """From now on these are an application's routers: its replicas are in this process. Nothing for no longer."""
        with self._lock:
            self._local = {key: router for key, router in self._local.items() if key.app != app} | dict(routers)

    def is_local(self, app: str) -> bool:
        """Whether an application's replicas are in this process."""
        return any(key.app == app for key in self._local)

    def of(self, deployment: DeploymentId) -> AnyRouter:
        """Returns the router of a deployment. Raises ServeError where nothing is served."""
        local = self._local.get(deployment)
        if local is not None:
            return local
        with self._lock:
            link = self._link_locked()
            router = self._routers.get(deployment)
            if router is None:
                router = self._routers[deployment] = Router(deployment, link, self.loop)
            return router

    def samples(self, process: str) -> list[Sample]:
        """Returns what the routers of this process count; `process` is its name."""
        with self._lock:
            routers = list(self._routers.values())
        return [sample for router in routers for sample in router.samples(process)]

    def forget(self) -> None:
        """Serving is over."""
        with self._lock:
            self._link = None
            self._routers.clear()


ROUTERS = Routers()
