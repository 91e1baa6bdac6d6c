"""What is served, as a table."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from shoal.serve.status import ServeStatus

_COLOURS = {
    "RUNNING": "green",
    "HEALTHY": "green",
    "DEPLOYING": "yellow",
    "UPDATING": "yellow",
    "UPSCALING": "yellow",
    "DOWNSCALING": "yellow",
    "DELETING": "yellow",
    "UNHEALTHY": "red",
    "DEPLOY_FAILED": "red",
}


def status_table(status: ServeStatus) -> Group:
    """Returns a row for each deployment, below one for its application."""
    table = Table(box=None, pad_edge=False)
    for heading in ("application", "deployment", "status", "replicas", "deployed"):
        table.add_column(heading)
    messages = []
    for name, application in status.applications.items():
        deployed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(application.last_deployed_time_s))
        table.add_row(name, "", _coloured(application.status), "", deployed)
        for deployment, overview in application.deployments.items():
            states = ", ".join(f"{count} {state.lower()}" for state, count in overview.replica_states.items())
            table.add_row("", deployment, _coloured(overview.status), states or "none", "")
        if application.message:
            messages.append(Text(f"{name}: {application.message}", style="red"))
    proxies = ", ".join((*status.proxies.values(), *(f"{kind} at {where}" for kind, where in status.addresses.items())))
    proxies = proxies or "none"
    if not status.applications:
        return Group(Text(f"No application is served. Proxies: {proxies}."))
    return Group(table, *messages, Text(f"proxies: {proxies}"))


def _coloured(status: str) -> Text:
    return Text(status, style=_COLOURS.get(status, ""))


def status_document(status: ServeStatus) -> dict[str, Any]:
    """Returns the same for YAML and JSON, as Ray writes it."""
    document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(status)))
    return document
