"""What a placement group is asked to be, and what its table wants done."""

from __future__ import annotations

import msgspec

from shoal._core.schema.resources import LabelSelector, ResourceSet


class GroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    group_id: bytes
    bundles: tuple[ResourceSet, ...]
    strategy: str = "PACK"
    name: str = ""
    namespace: str = ""
    creator: bytes = b""
    """The driver or detached actor with whose end the group ends."""
    job_id: bytes = b""
    detached: bool = False
    selectors: tuple[LabelSelector, ...] = ()
    """For each bundle; empty for any node."""


class Prepare(msgspec.Struct, frozen=True):
    """Ask a node to reserve these bundles; answer with `prepared` or `prepare_failed`."""

    node_id: bytes
    group_id: bytes
    bundles: dict[int, ResourceSet]


class Commit(msgspec.Struct, frozen=True):
    """Tell a node that these bundles may be used; answer with `committed`."""

    node_id: bytes
    group_id: bytes
    indices: tuple[int, ...]


class Return(msgspec.Struct, frozen=True):
    """Tell a node that these bundles are not needed."""

    node_id: bytes
    group_id: bytes
    indices: tuple[int, ...]


class WantRoom(msgspec.Struct, frozen=True):
    """Tell a node what a group waits for, so that it makes room."""

    node_id: bytes
    group_id: bytes
    name: str
    bundles: tuple[ResourceSet, ...]


class UnwantRoom(msgspec.Struct, frozen=True):
    """Tell a node that the group wants no room on it any more."""

    node_id: bytes
    group_id: bytes


class GroupReady(msgspec.Struct, frozen=True):
    """All bundles are reserved: wake those who wait for the group."""

    group_id: bytes


class GroupInfeasible(msgspec.Struct, frozen=True):
    """As things are, the group can never be reserved. `final`: things cannot change, so fail those who wait for it."""

    group_id: bytes
    explanation: str
    final: bool


class GroupRemoved(msgspec.Struct, frozen=True):
    """The group is gone: tell all nodes, and fail those who wait for it."""

    group_id: bytes
    reason: str


Effect = Prepare | Commit | Return | WantRoom | UnwantRoom | GroupReady | GroupInfeasible | GroupRemoved
