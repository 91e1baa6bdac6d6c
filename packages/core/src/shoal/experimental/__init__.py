"""Things whose names may still change."""

from __future__ import annotations

from shoal.experimental.locations import get_local_object_locations, get_object_locations, set_resource
from shoal.experimental.preloading import preload

__all__ = ["get_local_object_locations", "get_object_locations", "preload", "set_resource"]
