"""Where objects are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from shoal._core.api.checks import text
from shoal._core.api.runtime import SESSION
from shoal._core.process.object_ref import ObjectRef
from shoal.exceptions import InvalidOptionTypeError, UnsupportedError


def get_object_locations(
    obj_refs: Sequence[ObjectRef[Any]], timeout_ms: int = -1
) -> dict[ObjectRef[Any], dict[str, Any]]:
    """Returns for each reference where its object is: {'node_ids': [hex, ...], 'object_size': bytes, 'did_spill': bool}.

    Args:
        obj_refs: references.
        timeout_ms: kept for Ray's programs; the answer is known at once.
    """
    for index, ref in enumerate(obj_refs):
        if not isinstance(ref, ObjectRef):
            raise InvalidOptionTypeError(f"obj_refs[{index}]", ref, "give a list of references")
    if not obj_refs:
        return {}
    return dict(zip(obj_refs, SESSION.running().object_locations(obj_refs), strict=True))


def get_local_object_locations(obj_refs: Sequence[ObjectRef[Any]]) -> dict[ObjectRef[Any], dict[str, Any]]:
    """Returns what this process knows of it; as `get_object_locations`."""
    return get_object_locations(obj_refs)


def set_resource(resource_name: str, capacity: float, node_id: str | None = None) -> NoReturn:
    """Raises UnsupportedError: a session's resources are set when it begins."""
    text("resource_name", resource_name)
    raise UnsupportedError("set_resource", "Give shoal.init(resources={...}) the resources of the machine.")
