"""For authors of engines: what one has to offer, and how it is found.

An engine runs tasks, actors and objects somewhere. A package that has one registers a function in the entry-point group
`shoal.engines`, under the scheme of its addresses; `shoal.init("scheme://...")` calls it with a `SessionRequest`, and it returns
an `Engine`.

    [project.entry-points."shoal.engines"]
    ray = "shoal_ray.engine:start"

In the processes that an engine starts it gives its part of the session to `adopt`. Where others start them (a worker of Ray's that
runs a task of plain Ray), a function of the group `shoal.engines.surrounding` says whether this process is one: `init()` means the
engine there. Only the engines `ray` and `dask` are asked, where their libraries are loaded: looking for others would take time at each
start.

What engines can do has names, `CAPABILITIES`; an engine says with `EngineLimits` which it lacks, and what to do instead.
"""

from __future__ import annotations

from shoal._core.api.engine import ActorRef, Engine, Stream
from shoal._core.api.engine_choice import ENTRY_POINT_GROUP, SURROUNDING_GROUP
from shoal._core.api.runtime import SESSION, adopt
from shoal._core.process.object_ref import ObjectRef, RefHome, set_current_home
from shoal._core.schema.definitions import ActorTemplate, Definition, MethodDefinition, MethodTemplate, TaskTemplate
from shoal._core.schema.engine_limits import CAPABILITIES, EngineLimits
from shoal._core.schema.options import DYNAMIC, STREAMING, ActorOptions, MethodOptions, TaskOptions
from shoal._core.schema.resources import (
    DefaultStrategy,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingStrategy,
    SpreadStrategy,
)
from shoal._core.schema.session import ExecutionContext, SessionInfo
from shoal._core.schema.session_request import SessionRequest
from shoal._core.system.serialization import Serialized, deserialize, note_ref, serialize


def current() -> Engine:
    """Returns the engine of this process's session. Raises NotInitializedError where there is none."""
    return SESSION.running()


__all__ = [
    "CAPABILITIES",
    "DYNAMIC",
    "ENTRY_POINT_GROUP",
    "STREAMING",
    "SURROUNDING_GROUP",
    "ActorOptions",
    "ActorRef",
    "ActorTemplate",
    "DefaultStrategy",
    "Definition",
    "Engine",
    "EngineLimits",
    "ExecutionContext",
    "MethodDefinition",
    "MethodOptions",
    "MethodTemplate",
    "NodeAffinityStrategy",
    "NodeLabelStrategy",
    "ObjectRef",
    "PlacementGroupStrategy",
    "RefHome",
    "ResourceSet",
    "SchedulingStrategy",
    "Serialized",
    "SessionInfo",
    "SessionRequest",
    "SpreadStrategy",
    "Stream",
    "TaskOptions",
    "TaskTemplate",
    "adopt",
    "current",
    "deserialize",
    "note_ref",
    "serialize",
    "set_current_home",
]
