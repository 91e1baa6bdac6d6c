"""Names of Ray's insides that libraries import although nobody promised them, and what of shoal's they mean."""

from __future__ import annotations

import importlib
import types
from typing import Any


class ClientObjectRef:
    """Ray's reference to an object through its client. Libraries ask whether something is one; nothing ever is."""


class ClientActorRef:
    """The same for actors."""


class ClientActorHandle:
    """The same for handles of actors."""


_HERE = "shoal.as_ray.internal_names"

INTERNAL_NAMES: dict[str, dict[str, str]] = {
    "ray._private.services": {"get_node_ip_address": "shoal.util"},
    "ray._private.utils": {"get_node_ip_address": "shoal.util"},
    "ray._raylet": {
        "ActorClassID": "shoal",
        "ActorID": "shoal",
        "DynamicObjectRefGenerator": "shoal",
        "JobID": "shoal",
        "NodeID": "shoal",
        "ObjectID": "shoal",
        "ObjectRef": "shoal",
        "ObjectRefGenerator": "shoal",
        "PlacementGroupID": "shoal",
        "TaskID": "shoal",
        "UniqueID": "shoal",
        "WorkerID": "shoal",
    },
    "ray.util.client": {},
    "ray.util.client.common": {
        "ClientActorHandle": _HERE,
        "ClientActorRef": _HERE,
        "ClientObjectRef": _HERE,
    },
}
"""By module: its names, and shoal's modules that have them."""


class InternalModule(types.ModuleType):
    """A module of INTERNAL_NAMES.

    Args:
        name: its name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # What Python says of a name that `from … import` does not find.
        self.__file__ = __file__

    def __getattr__(self, name: str) -> Any:
        homes = INTERNAL_NAMES[self.__name__]
        if name not in homes:
            if name.startswith("__"):
                raise AttributeError(name)
            raise AttributeError(f"shoal, which stands in for Ray here, has no `{self.__name__}.{name}`")
        return getattr(importlib.import_module(homes[name]), name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *INTERNAL_NAMES[self.__name__]]
