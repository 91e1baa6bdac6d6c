"""For authors of engines: what one has to offer, and how it is found.

An engine runs tasks, actors and objects somewhere. A package that has one registers a function in the entry-point group
`shoal.engines`, under the scheme of its addresses; `shoal.init("scheme://...")` calls it with a `SessionRequest`, and it returns
an `Engine`.

    [project.entry-points."shoal.engines"]
    ray = "shoal_ray.engine:start"
"""

from __future__ import annotations

from shoal._core.api.engine import ActorRef, Engine, Stream
from shoal._core.api.engine_choice import ENTRY_POINT_GROUP
from shoal._core.api.runtime import SESSION
from shoal._core.process.object_ref import ObjectRef, RefHome, set_current_home
from shoal._core.schema.definitions import ActorTemplate, Definition, MethodDefinition, MethodTemplate, TaskTemplate
from shoal._core.schema.options import DYNAMIC, STREAMING, ActorOptions, MethodOptions, TaskOptions
from shoal._core.schema.session import ExecutionContext, SessionInfo
from shoal._core.schema.session_request import SessionRequest


def current() -> Engine:
    """Returns the engine of this process's session. Raises NotInitializedError where there is none."""
    return SESSION.running()


__all__ = [
    "DYNAMIC",
    "ENTRY_POINT_GROUP",
    "STREAMING",
    "ActorOptions",
    "ActorRef",
    "ActorTemplate",
    "Definition",
    "Engine",
    "ExecutionContext",
    "MethodDefinition",
    "MethodOptions",
    "MethodTemplate",
    "ObjectRef",
    "RefHome",
    "SessionInfo",
    "SessionRequest",
    "Stream",
    "TaskOptions",
    "TaskTemplate",
    "current",
    "set_current_home",
]
