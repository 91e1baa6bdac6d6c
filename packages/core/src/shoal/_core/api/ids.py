"""Ids as users see them: small typed objects around the runtime's bytes."""

from __future__ import annotations

from shoal._core.process.object_ref import BaseID, JobID, ObjectRef, TaskID
from shoal._core.schema.ids import ACTOR_ID_SIZE, NODE_ID_SIZE, PLACEMENT_GROUP_ID_SIZE, WORKER_ID_SIZE

ObjectID = ObjectRef


class ActorID(BaseID):
    __slots__ = ()
    SIZE = ACTOR_ID_SIZE


class NodeID(BaseID):
    __slots__ = ()
    SIZE = NODE_ID_SIZE
    SIZE_ELSEWHERE = 28


class WorkerID(BaseID):
    __slots__ = ()
    SIZE = WORKER_ID_SIZE
    SIZE_ELSEWHERE = 28


class PlacementGroupID(BaseID):
    __slots__ = ()
    SIZE = PLACEMENT_GROUP_ID_SIZE
    SIZE_ELSEWHERE = 18


class ClusterID(BaseID):
    __slots__ = ()


class UniqueID(BaseID):
    __slots__ = ()


class FunctionID(BaseID):
    __slots__ = ()


class ActorClassID(BaseID):
    __slots__ = ()


__all__ = [
    "ActorClassID",
    "ActorID",
    "BaseID",
    "ClusterID",
    "FunctionID",
    "JobID",
    "NodeID",
    "ObjectID",
    "ObjectRef",
    "PlacementGroupID",
    "TaskID",
    "UniqueID",
    "WorkerID",
]
