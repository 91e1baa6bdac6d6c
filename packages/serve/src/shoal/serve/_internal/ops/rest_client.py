"""Commands whose --address is a URL ask there, by REST."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

from shoal.serve.exceptions import ServeError
from shoal.serve.schema import ServeDeploySchema, ServeInstanceDetails
from shoal.serve.status import (
    ApplicationStatus,
    ApplicationStatusOverview,
    DeploymentStatus,
    DeploymentStatusOverview,
    DeploymentStatusTrigger,
    ProxyStatus,
    ReplicaState,
    ServeStatus,
)

APPLICATIONS = "/api/serve/applications/"
TOKEN = "SHOAL_SERVE_TOKEN"
LONGEST_ANSWER_S = 120.0


def is_url(address: str | None) -> bool:
    """Whether an --address is that of a server."""
    return address is not None and address.startswith(("http://", "https://"))


class RestClient:
    """Asks one server.

    Args:
        address: its URL.
    """

    def __init__(self, address: str) -> None:
        self._url = address.rstrip("/") + APPLICATIONS
        # What is asked here is about this machine or a named one: no proxy has anything to do with it.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def deploy(self, config: ServeDeploySchema) -> None:
        """Makes what is served what a configuration says. Raises ServeError."""
        self._ask("PUT", config.model_dump(mode="json", exclude_unset=True))

    def details(self) -> ServeInstanceDetails:
        """Returns what is served. Raises ServeError."""
        return ServeInstanceDetails.model_validate_json(self._ask("GET"))

    def shutdown(self) -> None:
        """Ends serving. Raises ServeError."""
        self._ask("DELETE")

    def _ask(self, method: str, body: Any = None) -> bytes:
        request = urllib.request.Request(self._url, method=method)
        token = os.environ.get(TOKEN)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=LONGEST_ANSWER_S) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            raise ServeError(error.read().decode(errors="replace") or str(error)) from None
        except (urllib.error.URLError, OSError) as error:
            why = getattr(error, "reason", error)
            raise ServeError(
                f"nobody answers at {self._url} ({why}); start with `shoal serve start --rest-port …`, or give no --address"
            ) from None


def status_of(details: ServeInstanceDetails) -> ServeStatus:
    """Returns what `serve.status()` would."""
    applications = {}
    for name, one in details.applications.items():
        deployments = {}
        for deployment, it in one.deployments.items():
            states = [ReplicaState(replica.state) for replica in it.replicas]
            deployments[deployment] = DeploymentStatusOverview(
                DeploymentStatus(it.status),
                DeploymentStatusTrigger(it.status_trigger),
                {state: states.count(state) for state in states},
                it.message,
            )
        applications[name] = ApplicationStatusOverview(
            ApplicationStatus(one.status), one.message, one.last_deployed_time_s, deployments
        )
    return ServeStatus({node: ProxyStatus(one.status) for node, one in details.proxies.items()}, applications)
