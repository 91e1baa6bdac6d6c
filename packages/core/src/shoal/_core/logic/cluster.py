"""Who belongs to a session: its nodes, and the jobs of its drivers.

A node is alive from the moment that it joins until its connection ends; there are no heartbeats. It reports what it has free. A
job begins with its driver and ends with it. The dead are remembered, the last DEAD_KEPT of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from shoal._core.logic.scheduling import NodeView
from shoal._core.schema.resources import format_amounts, is_node_mark
from shoal.exceptions import ShoalSystemError

DEAD_KEPT = 1_000


class Member:
    """One node, dead or alive."""

    __slots__ = ("address", "died", "hostname", "is_head", "joined", "reason", "view")

    def __init__(self, view: NodeView, address: str, hostname: str, is_head: bool, now: float) -> None:
        self.view = view
        self.address = address
        self.hostname = hostname
        self.is_head = is_head
        self.joined = now
        self.died = 0.0
        self.reason = ""
        """Why it is dead."""


class Job:
    """One driver's run."""

    __slots__ = ("driver", "ended", "entrypoint", "id", "namespace", "node_id", "pid", "started")

    def __init__(
        self, id: bytes, driver: bytes, node_id: bytes, pid: int, namespace: str, entrypoint: str, now: float
    ) -> None:
        self.id = id
        self.driver = driver
        """Worker id of the driver."""
        self.node_id = node_id
        self.pid = pid
        self.namespace = namespace
        self.entrypoint = entrypoint
        self.started = now
        self.ended = 0.0
        """0 while it runs."""


class NodeJoined(msgspec.Struct, frozen=True):
    """Tell the nodes, and those who wait for resources."""

    node_id: bytes


class NodeDied(msgspec.Struct, frozen=True):
    """Tell everybody who has something there: actors, placement groups, owners of objects, other nodes."""

    node_id: bytes
    reason: str


class JobEnded(msgspec.Struct, frozen=True):
    """End what must not outlive the job."""

    job_id: bytes
    driver: bytes


Effect = NodeJoined | NodeDied | JobEnded


class Cluster:
    """The members and jobs of one session."""

    def __init__(self) -> None:
        self.members: OrderedDict[bytes, Member] = OrderedDict()
        """In the order of joining."""
        self.jobs: OrderedDict[bytes, Job] = OrderedDict()

    # --- events -------------------------------------------------------------------------------------------------------

    def node_joined(
        self, view: NodeView, address: str, now: float, hostname: str = "", is_head: bool = False
    ) -> list[Effect]:
        """A node has joined. Raises ShoalSystemError where there was one with its id: a node that died joins under a new id."""
        if view.node_id in self.members:
            raise ShoalSystemError(f"there is, or was, a node {view.node_id.hex()} in this session already")
        self.members[view.node_id] = Member(view, address, hostname, is_head, now)
        return [NodeJoined(view.node_id)]

    def node_reported(self, view: NodeView) -> list[Effect]:
        """A node says what it has free. News from the dead are ignored."""
        member = self.members.get(view.node_id)
        if member is not None and member.view.alive:
            member.view = view
        return []

    def node_died(self, node_id: bytes, reason: str, now: float) -> list[Effect]:
        """A node's connection has ended: so have the jobs whose drivers were there."""
        member = self.members.get(node_id)
        if member is None or not member.view.alive:
            return []
        member.view = msgspec.structs.replace(member.view, alive=False, available={})
        member.died = now
        member.reason = reason
        effects: list[Effect] = [NodeDied(node_id, reason)]
        for job in list(self.jobs.values()):
            if job.node_id == node_id:
                effects += self.driver_gone(job.driver, now)
        dead = [known for known, member in self.members.items() if not member.view.alive]
        for known in dead[: max(0, len(dead) - DEAD_KEPT)]:
            del self.members[known]
        return effects

    def job_started(
        self,
        job_id: bytes,
        driver: bytes,
        node_id: bytes,
        now: float,
        pid: int = 0,
        namespace: str = "",
        entrypoint: str = "",
    ) -> list[Effect]:
        """A driver has joined. Raises ShoalSystemError where its job is there already."""
        if job_id in self.jobs:
            raise ShoalSystemError(f"there is, or was, a job {job_id.hex()} in this session already")
        self.jobs[job_id] = Job(job_id, driver, node_id, pid, namespace, entrypoint, now)
        return []

    def driver_gone(self, driver: bytes, now: float) -> list[Effect]:
        """A driver has ended, and its job with it."""
        effects: list[Effect] = []
        for job in self.jobs.values():
            if job.driver == driver and not job.ended:
                job.ended = now
                effects.append(JobEnded(job.id, driver))
        ended = [job.id for job in self.jobs.values() if job.ended]
        for job_id in ended[: max(0, len(ended) - DEAD_KEPT)]:
            del self.jobs[job_id]
        return effects

    # --- looking inside -----------------------------------------------------------------------------------------------

    def views(self) -> list[NodeView]:
        """Returns the nodes that are alive, in the order of joining."""
        return [member.view for member in self.members.values() if member.view.alive]

    def total(self) -> dict[str, int]:
        """Returns what all nodes together have, in ten-thousandths."""
        return _sum(view.total for view in self.views())

    def available(self) -> dict[str, int]:
        """Returns what is free on all nodes together, without what is used up."""
        return {name: amount for name, amount in _sum(view.available for view in self.views()).items() if amount > 0}

    def explain(self) -> str:
        """Says what there is, for people."""
        lines = []
        for node_id, member in self.members.items():
            if member.view.alive:
                told = {name: amount for name, amount in member.view.total.items() if not is_node_mark(name)}
                labels = f", labels {member.view.labels}" if member.view.labels else ""
                lines.append(f"node {node_id.hex()[:8]} ({member.address}): {format_amounts(told)}{labels}")
            else:
                lines.append(f"node {node_id.hex()[:8]} ({member.address}) is dead: {member.reason}")
        return "\n".join(lines) or "the session has no nodes"

    def story(self, id: bytes) -> list[str]:
        """Returns what is known of the life of a node or a job, for people."""
        member, job = self.members.get(id), self.jobs.get(id)
        if member is not None:
            end = [f"{member.died:.3f} died: {member.reason}"] if not member.view.alive else []
            return [f"{member.joined:.3f} joined from {member.address}", *end]
        if job is not None:
            end = [f"{job.ended:.3f} ended"] if job.ended else []
            return [f"{job.started:.3f} started by process {job.pid}: {job.entrypoint}", *end]
        return []

    def check(self) -> None:
        """Raises AssertionError where an invariant does not hold."""
        for node_id, member in self.members.items():
            assert member.view.node_id == node_id
            assert member.view.alive == (not member.died)
        for job_id, job in self.jobs.items():
            member_of_job = self.members.get(job.node_id)
            assert job.id == job_id
            assert job.ended or (member_of_job is not None and member_of_job.view.alive)


def _sum(amounts: Iterable[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for one in amounts:
        for name, amount in one.items():
            sums[name] = sums.get(name, 0) + amount
    return sums
