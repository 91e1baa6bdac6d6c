"""A node's scheduler under random events: nothing is lost, given twice, or forgotten."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from shoal._core.logic.lease_effects import (
    BundlesPrepared,
    Grant,
    LeaseLost,
    Reclaim,
    Refuse,
    RoomForGroup,
    StartWorker,
    StopWorker,
)
from shoal._core.logic.lease_queue import ACTOR, TASK
from shoal._core.logic.leases import Leases
from shoal._core.schema.resources import DEFAULT, PlacementGroupStrategy, ResourceSet, SchedulingClass

TOTAL = {"CPU": 4, "GPU": 2, "special": 1}
GROUPS = [bytes([number]) * 16 for number in (201, 202)]
ASKS: list[dict[str, float]] = [
    {"CPU": 1},
    {"CPU": 1},
    {"CPU": 0.5},
    {"CPU": 4},
    {"CPU": 5},
    {},
    {"CPU": 1, "GPU": 0.5},
    {"GPU": 0.3},
    {"GPU": 2},
    {"CPU": 2, "special": 1},
]


class Node(RuleBasedStateMachine):
    """One node with clients that keep the rules: what is granted is returned at most once, and the asked-for worker comes up or fails."""

    leases = Bundle("leases")
    requests = Bundle("requests")

    @initialize(joinable=st.booleans())
    def start(self, joinable: bool) -> None:
        self.node = Leases(b"n" * 16, dict(ResourceSet.parse(TOTAL)), joinable=joinable)
        self.now = 0.0
        self.next_id = 0
        self.granted: dict[int, Grant] = {}
        self.kinds: dict[tuple[bytes, int], int] = {}
        self.starts: list[StartWorker] = []
        self.workers: set[bytes] = set()
        self.doomed: list[bytes] = []
        self.leaving: list[bytes] = []
        self.reclaimed: set[int] = set()
        self.waiting: dict[tuple[bytes, int], int] = {}
        self.prepared: set[bytes] = set()
        self.removed: set[bytes] = set()

    def fresh_id(self) -> bytes:
        self.next_id += 1
        return self.next_id.to_bytes(16, "big")

    def carry_out(self, effects: list[Any]) -> list[int]:
        new = []
        for effect in effects:
            kind = type(effect)
            if kind is Grant:
                assert effect.lease_id not in self.granted
                assert effect.worker_id in self.workers
                assert effect.worker_id not in {grant.worker_id for grant in self.granted.values()}
                left = self.waiting[effect.client, effect.request_id] - 1
                assert left == effect.remaining
                self.count_down(effect.client, effect.request_id, left)
                self.granted[effect.lease_id] = effect
                new.append(effect.lease_id)
            elif kind is StartWorker:
                self.starts.append(effect)
            elif kind is StopWorker:
                assert effect.worker_id in self.workers
                (self.doomed if effect.force else self.leaving).append(effect.worker_id)
            elif kind is Reclaim:
                assert effect.lease_id not in self.reclaimed
                assert self.granted[effect.lease_id].client == effect.client
                assert self.kinds[effect.client, self.granted[effect.lease_id].request_id] == TASK
                self.reclaimed.add(effect.lease_id)
            elif kind is LeaseLost:
                assert self.granted.pop(effect.lease_id).worker_id == effect.worker_id
            elif kind is Refuse:
                self.count_down(effect.client, effect.request_id, 0)
            elif kind is BundlesPrepared:
                self.prepared.add(effect.group_id)
            elif kind is RoomForGroup:
                pass
        return new

    def count_down(self, client: bytes, request_id: int, left: int) -> None:
        if left:
            self.waiting[client, request_id] = left
        else:
            self.waiting.pop((client, request_id), None)

    def clients(self) -> list[bytes]:
        return [b"driver-1", b"driver-2", *sorted({grant.worker_id for grant in self.granted.values()})]

    @rule(
        target=requests,
        who=st.integers(0, 5),
        ask=st.sampled_from(ASKS),
        count=st.integers(1, 5),
        environment=st.sampled_from(["", "", "other"]),
        group=st.sampled_from([None, None, None, *GROUPS]),
        index=st.sampled_from([-1, 0]),
    )
    def request(self, who: int, ask: dict[str, float], count: int, environment: str, group: Any, index: int) -> Any:
        clients = self.clients()
        client = clients[who % len(clients)]
        self.next_id += 1
        strategy = DEFAULT if group is None else PlacementGroupStrategy(group, index)
        wanted = SchedulingClass(ResourceSet.parse(ask), environment, strategy)
        self.waiting[client, self.next_id] = count
        self.kinds[client, self.next_id] = TASK
        request = (client, self.next_id)
        self.carry_out(self.node.request(client, self.next_id, wanted, count, "f", self.now))
        return request

    @rule(ask=st.sampled_from(ASKS), placement=st.sampled_from([None, {"CPU": 1}]))
    def request_actor(self, ask: dict[str, float], placement: Any) -> None:
        self.next_id += 1
        self.waiting[b"head", self.next_id] = 1
        self.kinds[b"head", self.next_id] = ACTOR
        need = None if placement is None else ResourceSet.parse(placement)
        wanted = SchedulingClass(ResourceSet.parse(ask))
        self.carry_out(self.node.request(b"head", self.next_id, wanted, 1, "A", self.now, ACTOR, need))

    @rule(request=consumes(requests))
    def cancel(self, request: tuple[bytes, int]) -> None:
        self.waiting.pop(request, None)
        self.carry_out(self.node.cancel_request(*request, self.now))

    @rule(which=st.integers(0, 10), works=st.integers(0, 9))
    def worker_comes(self, which: int, works: int) -> None:
        if not self.starts:
            return
        start = self.starts.pop(which % len(self.starts))
        if works == 0:
            self.carry_out(self.node.start_failed(start.token, "no fork today", self.now))
            return
        worker_id = self.fresh_id()
        self.workers.add(worker_id)
        self.carry_out(self.node.worker_ready(worker_id, start.environment_key, self.now, start.token))

    @rule()
    def all_workers_come(self) -> None:
        for _ in range(20):
            self.worker_comes(0, 1)

    @rule(which=st.integers(0, 10), reusable=st.booleans())
    def lease_comes_back(self, which: int, reusable: bool) -> None:
        ours = sorted(
            number for number, grant in self.granted.items() if self.kinds[grant.client, grant.request_id] == TASK
        )
        if ours:
            lease_id = ours[which % len(ours)]
            del self.granted[lease_id]
            self.carry_out(self.node.lease_returned(lease_id, self.now, reusable))
            assert self.node.lease_returned(lease_id, self.now) == []

    @rule(which=st.integers(0, 20))
    def worker_dies(self, which: int) -> None:
        if self.workers:
            self.end_worker(sorted(self.workers)[which % len(self.workers)])

    def end_worker(self, worker_id: bytes) -> None:
        self.workers.discard(worker_id)
        self.doomed = [other for other in self.doomed if other != worker_id]
        self.leaving = [other for other in self.leaving if other != worker_id]
        self.carry_out(self.node.worker_died(worker_id, self.now))
        self.end_client(worker_id)

    def end_client(self, client: bytes) -> None:
        for request in [request for request in self.waiting if request[0] == client]:
            del self.waiting[request]
        self.carry_out(self.node.client_gone(client, self.now))

    @rule(which=st.integers(0, 1))
    def driver_leaves(self, which: int) -> None:
        self.end_client((b"driver-1", b"driver-2")[which])

    @rule()
    def stopped_workers_end(self) -> None:
        for worker_id in self.doomed + self.leaving:
            self.end_worker(worker_id)

    @rule()
    def leaving_worker_is_needed(self) -> None:
        if self.leaving:
            worker_id = self.leaving.pop()
            self.carry_out(self.node.worker_kept(worker_id, self.now))

    @rule(which=st.integers(0, 10))
    def worker_blocks(self, which: int) -> None:
        busy = sorted(grant.worker_id for grant in self.granted.values())
        if busy:
            self.carry_out(self.node.worker_blocked(busy[which % len(busy)], self.now))

    @rule(which=st.integers(0, 10))
    def worker_unblocks(self, which: int) -> None:
        busy = sorted(grant.worker_id for grant in self.granted.values())
        if busy:
            self.carry_out(self.node.worker_unblocked(busy[which % len(busy)], self.now))

    @rule(
        group=st.sampled_from(GROUPS),
        sizes=st.lists(st.sampled_from([{"CPU": 1}, {"CPU": 2, "GPU": 0.5}]), min_size=1, max_size=2),
    )
    def group_wants_room(self, group: bytes, sizes: list[dict[str, float]]) -> None:
        if group not in self.prepared | self.removed:
            self.carry_out(self.node.want_room(group, "g", [ResourceSet.parse(size) for size in sizes], self.now))

    @rule(
        group=st.sampled_from(GROUPS),
        sizes=st.lists(st.sampled_from([{"CPU": 1}, {"CPU": 2, "GPU": 0.5}]), min_size=1, max_size=2),
    )
    def group_is_reserved(self, group: bytes, sizes: list[dict[str, float]]) -> None:
        if group not in self.prepared | self.removed:
            bundles = {index: ResourceSet.parse(size) for index, size in enumerate(sizes)}
            self.carry_out(self.node.prepare_bundles(group, bundles, self.now))
            if group in self.prepared:
                self.carry_out(self.node.commit_bundles(group, tuple(bundles), self.now))

    @rule(group=st.sampled_from(GROUPS), for_good=st.booleans())
    def group_ends(self, group: bytes, for_good: bool) -> None:
        self.prepared.discard(group)
        if for_good:
            self.removed.add(group)
            self.carry_out(self.node.group_removed(group, self.now))
        else:
            self.carry_out(self.node.return_bundles(group, (0, 1), self.now))

    @rule(ready=st.booleans())
    def environment(self, ready: bool) -> None:
        event = self.node.environment_ready if ready else self.node.environment_pending
        self.carry_out(event("other", self.now))

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 12.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for _ in range(3):
            self.carry_out(self.node.tick(self.now))
        due = self.node.next_deadline()
        assert due is None or due > self.now, "after a few ticks, nothing is due"

    @invariant()
    def books_agree(self) -> None:
        if hasattr(self, "node"):
            self.node.check()

    @invariant()
    def nobody_waits_for_what_is_there(self) -> None:
        """Whoever waits has been told so: there is a deadline, or a worker is on the way."""
        if hasattr(self, "node") and self.node.demand():
            for client, request_id in self.waiting:
                told = self.node.explain(client, request_id, self.now)
                assert told is not None and told.text

    def teardown(self) -> None:
        """When all that runs ends, everything is free again."""
        if not hasattr(self, "node"):
            return
        for group in GROUPS:
            self.group_ends(group, True)
        for request in list(self.waiting):
            self.cancel(request)
        while self.starts or self.workers:
            self.all_workers_come()
            for worker_id in sorted(self.workers):
                self.end_worker(worker_id)
            for request in list(self.waiting):
                self.cancel(request)
        self.node.check()
        assert self.node.available() == dict(ResourceSet.parse(TOTAL))
        assert not self.node.demand() and not self.granted and not self.waiting


Node.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestNode = Node.TestCase
