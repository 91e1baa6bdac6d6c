"""Things made of tasks, actors and objects, and adapters for other libraries. What is here is imported when it is first used."""

# Without `from __future__ import annotations`: that name belongs to a module of this package.
import sys

from shoal._core.package_path import extended_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from shoal._core.api.named_actors import list_named_actors as list_named_actors
    from shoal._core.system.serializability import inspect_serializability as inspect_serializability
    from shoal._core.system.serialization import deregister_serializer as deregister_serializer
    from shoal._core.system.serialization import register_serializer as register_serializer
    from shoal.util import accelerators as accelerators
    from shoal.util import scheduling_strategies as scheduling_strategies
    from shoal.util.helpers import as_completed as as_completed
    from shoal.util.helpers import map_unordered as map_unordered
    from shoal.util.node_address import get_node_instance_id as get_node_instance_id
    from shoal.util.node_address import get_node_ip_address as get_node_ip_address
else:
    from shoal._core.api.util_names import load, public_names

    def __getattr__(name: str) -> "Any":
        value = globals()[name] = load(name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *public_names()})


__path__ = extended_path(list(__path__), __name__.replace(".", "/"), sys.path)
# Last, so that modules which another distribution brings come before those that only say what to use instead.
__path__.append(__path__[0] + "/_absent")

# The function has the name of its module: imported later, the module would take its place.
from shoal.util.placement_group import (  # noqa: E402
    PlacementGroup,
    get_current_placement_group,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)

__all__ = [
    "PlacementGroup",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
]
