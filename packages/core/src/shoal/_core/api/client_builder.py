"""The older way to connect to a cluster: `shoal.client(address).namespace("x").connect()`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal._core.api.context import ShoalContext
from shoal._core.api.runtime import init


class ClientBuilder:
    """Collects settings of a connection. `shoal.init(address, ...)` takes all of them at once.

    Args:
        address: as for `shoal.init`.
    """

    def __init__(self, address: str | None = None) -> None:
        self._arguments: dict[str, Any] = {"address": address}

    def namespace(self, namespace: str) -> ClientBuilder:
        """Sets the namespace of named actors."""
        self._arguments["namespace"] = namespace
        return self

    def env(self, env: Mapping[str, Any]) -> ClientBuilder:
        """Sets the environment of tasks and actors."""
        self._arguments["runtime_env"] = env
        return self

    def connect(self) -> ShoalContext:
        """Begins or joins the session. Raises as `shoal.init`."""
        return init(**self._arguments)


def client(address: str | None = None) -> ClientBuilder:
    """Returns a builder for a connection. New programs call `shoal.init(address)`."""
    return ClientBuilder(address)
