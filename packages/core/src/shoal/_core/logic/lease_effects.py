"""What the scheduler of a node wants done. Amounts in ten-thousandths."""

from __future__ import annotations

import msgspec

from shoal._core.schema.resources import ResourceSet

INFEASIBLE = "infeasible"
UNSCHEDULABLE = "unschedulable"
GROUP_REMOVED = "group_removed"
ENVIRONMENT = "environment"


class Grant(msgspec.Struct, frozen=True):
    """Lend the worker to the client."""

    client: bytes
    request_id: int
    lease_id: int
    worker_id: bytes
    resources: ResourceSet
    gpu_ids: tuple[int, ...]
    remaining: int
    """Grants of this request still to come."""
    bundle_index: int
    """Which bundle of its placement group it takes from; -1 outside of groups."""


class Refuse(msgspec.Struct, frozen=True):
    """The request can never be granted: fail what waits for it."""

    client: bytes
    request_id: int
    why: str
    """INFEASIBLE (nobody has so much), UNSCHEDULABLE (it is bound to a node that cannot), GROUP_REMOVED, or ENVIRONMENT (no
    worker can be started)."""
    explanation: str
    kind: int
    """TASK or ACTOR."""
    requested: ResourceSet


class PassOn(msgspec.Struct, frozen=True):
    """Another node shall grant what is left of the request."""

    client: bytes
    request_id: int
    node_id: bytes
    remaining: int


class Reclaim(msgspec.Struct, frozen=True):
    """Ask the client to return this lease when the tasks begun on it have ended: others wait."""

    client: bytes
    lease_id: int


class LeaseLost(msgspec.Struct, frozen=True):
    """The worker of a lease died: tell the client."""

    client: bytes
    lease_id: int
    worker_id: bytes
    kind: int


class StartWorker(msgspec.Struct, frozen=True):
    """Start a worker; answer with `worker_ready(..., token)` or `start_failed(token, ...)`."""

    environment_key: str
    token: int


class StopWorker(msgspec.Struct, frozen=True):
    """End a worker; answer with `worker_died`."""

    worker_id: bytes
    reason: str
    force: bool
    """True: kill it, with all that it started. False: let it leave; answer with `worker_kept` where its objects are needed."""


class WarnInfeasible(msgspec.Struct, frozen=True):
    """Tell the user: nobody has so much now; a node that joins might."""

    client: bytes
    request_id: int
    explanation: str


class WarnWaiting(msgspec.Struct, frozen=True):
    """Tell the user why this has been waiting for long."""

    client: bytes
    """Empty for a placement group (see `group_id`)."""
    request_id: int
    explanation: str
    holders: tuple[str, ...]
    stuck: bool
    """Those who hold what it needs will not give it back by themselves."""
    group_id: bytes = b""


class BundlesPrepared(msgspec.Struct, frozen=True):
    """Tell the head: these bundles are reserved."""

    group_id: bytes
    indices: tuple[int, ...]


class BundlesRefused(msgspec.Struct, frozen=True):
    """Tell the head: none of these bundles is reserved, for want of room."""

    group_id: bytes
    indices: tuple[int, ...]


class RoomForGroup(msgspec.Struct, frozen=True):
    """Tell the head: there is room now for what `want_room` asked for."""

    group_id: bytes


Effect = (
    Grant
    | Refuse
    | PassOn
    | Reclaim
    | LeaseLost
    | StartWorker
    | StopWorker
    | WarnInfeasible
    | WarnWaiting
    | BundlesPrepared
    | BundlesRefused
    | RoomForGroup
)
