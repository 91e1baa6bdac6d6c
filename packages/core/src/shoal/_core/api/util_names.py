"""Where each name of the package `shoal.util` is defined, and importing it when it is first used."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES: dict[str, str] = {
    "ActorPool": "shoal.util.actor_pool",
    "as_completed": "shoal.util.helpers",
    "deregister_serializer": "shoal._core.system.serialization",
    "disable_log_once_globally": "shoal.util.debug",
    "enable_periodic_logging": "shoal.util.debug",
    "get_node_instance_id": "shoal.util.node_address",
    "get_node_ip_address": "shoal.util.node_address",
    "inspect_serializability": "shoal._core.system.serializability",
    "list_named_actors": "shoal._core.api.named_actors",
    "log_once": "shoal.util.debug",
    "map_unordered": "shoal.util.helpers",
    "register_serializer": "shoal._core.system.serialization",
}


def load(name: str) -> Any:
    """Returns what a public name stands for: a function, a class, or a module.

    Raises:
        AttributeError: there is no such name.
        UnsupportedModuleError: (an ImportError) it is a module of Ray's that shoal does not have.
    """
    home = NAMES.get(name)
    if home is not None:
        return getattr(import_module(home), name)
    module = f"shoal.util.{name}"
    if not name.startswith("_"):
        from importlib.util import find_spec

        if find_spec(module) is not None:
            return import_module(module)
    raise AttributeError(f"module 'shoal.util' has no attribute {name!r}")


def public_names() -> list[str]:
    """Returns the names that are imported when they are first used."""
    return sorted(NAMES)
