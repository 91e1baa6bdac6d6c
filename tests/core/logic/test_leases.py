"""A node's scheduler, event by event."""

from __future__ import annotations

from typing import TypeVar

import pytest

from shoal._core.logic.lease_effects import (
    ENVIRONMENT,
    GROUP_REMOVED,
    INFEASIBLE,
    UNSCHEDULABLE,
    BundlesPrepared,
    BundlesRefused,
    Effect,
    Grant,
    LeaseLost,
    PassOn,
    Reclaim,
    Refuse,
    RoomForGroup,
    StartWorker,
    StopWorker,
    WarnInfeasible,
    WarnWaiting,
)
from shoal._core.logic.lease_queue import ACTOR, TASK
from shoal._core.logic.leases import Leases
from shoal._core.logic.scheduling import NodeView
from shoal._core.schema.resources import (
    SPREAD,
    UNIT,
    NodeAffinityStrategy,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingClass,
    SchedulingStrategy,
)
from shoal.exceptions import ShoalSystemError

NODE = b"n" * 16
GROUP = b"g" * 16
E = TypeVar("E")


def amounts(**given: float) -> ResourceSet:
    return ResourceSet.parse(given)


class Scene:
    """A node whose workers come up as soon as they are asked for, unless `starts` is False."""

    def __init__(
        self, joinable: bool = False, starts: bool = True, warm_workers: int | None = None, **total: float
    ) -> None:
        total = total or {"CPU": 2}
        self.node = Leases(NODE, dict(amounts(**total)), {"region": "north"}, joinable, warm_workers)
        self.now = 100.0
        self.starts = starts
        self.workers = 0
        self.requests = 0
        self.told: list[Effect] = []
        self.leases: dict[int, Grant] = {}

    def do(self, effects: list[Effect]) -> list[Effect]:
        """Carries effects out; returns all that came of it."""
        self.node.check()
        told = list(effects)
        for effect in effects:
            if isinstance(effect, Grant):
                self.leases[effect.lease_id] = effect
            elif isinstance(effect, StartWorker) and self.starts:
                self.workers += 1
                worker = f"w{self.workers}".encode()
                told += self.do(self.node.worker_ready(worker, effect.environment_key, self.now, effect.token))
        self.told = told
        return told

    def ask(
        self,
        client: str,
        count: int = 1,
        name: str = "f",
        strategy: SchedulingStrategy | None = None,
        environment: str = "",
        **needs: float,
    ) -> list[Effect]:
        self.requests += 1
        wanted = SchedulingClass(amounts(**needs), environment)
        if strategy is not None:
            wanted = SchedulingClass(amounts(**needs), environment, strategy)
        return self.do(self.node.request(client.encode(), self.requests, wanted, count, name, self.now))

    def actor(self, name: str, placement: ResourceSet | None = None, **needs: float) -> list[Effect]:
        self.requests += 1
        wanted = SchedulingClass(amounts(**needs))
        return self.do(self.node.request(b"head", self.requests, wanted, 1, name, self.now, ACTOR, placement))

    def give(self, grant: Grant, reusable: bool = True) -> list[Effect]:
        return self.do(self.node.lease_returned(grant.lease_id, self.now, reusable))

    def wait(self, seconds: float) -> list[Effect]:
        """Time passes; the clock stops at each deadline."""
        end, told = self.now + seconds, list[Effect]()
        for _ in range(100):
            due = self.node.next_deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            told += self.do(self.node.tick(self.now))
        else:
            pytest.fail("there is always something due")
        self.now = end
        return told

    def free(self, name: str = "CPU") -> float:
        return self.node.available().get(name, 0) / UNIT


def only(effects: list[Effect], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def grant(effects: list[Effect]) -> Grant:
    [found] = only(effects, Grant)
    return found


# --- the plain life ---------------------------------------------------------------------------------------------------


def test_a_lease_from_request_to_return() -> None:
    scene = Scene(starts=False)
    [start] = scene.ask("driver", CPU=1)
    assert start == StartWorker("", 1)
    assert scene.free() == 1, "taken while the worker starts"
    [found] = scene.do(scene.node.worker_ready(b"w", "", scene.now, 1))
    assert found == Grant(b"driver", 1, 1, b"w", amounts(CPU=1), (), 0, -1)
    lease = scene.node.lease_of(b"w")
    assert lease is not None and lease.id == 1
    assert [lease.id for lease in scene.node.leases_of(b"driver")] == [1]
    assert scene.give(grant([found])) == []
    assert scene.free() == 2
    [again] = scene.ask("driver", CPU=1)
    assert grant([again]).worker_id == b"w", "the warm worker is used again"


def test_no_more_starts_than_grants_that_wait() -> None:
    scene = Scene(starts=False)
    assert only(scene.ask("driver", 5, CPU=1), StartWorker) == [StartWorker("", 1), StartWorker("", 2)]
    assert scene.ask("other", 1, CPU=1) == []


def test_grants_count_down() -> None:
    scene = Scene(CPU=2)
    told = only(scene.ask("driver", 3, CPU=1), Grant)
    assert [found.remaining for found in told] == [2, 1]
    assert grant(scene.give(told[0])).remaining == 0


def test_nothing_needed_is_granted_at_once() -> None:
    scene = Scene(CPU=1)
    scene.ask("driver", CPU=1)
    assert grant(scene.ask("driver")).resources == ResourceSet()


def test_a_cancelled_request_gets_nothing_more() -> None:
    scene = Scene(CPU=1, starts=False)
    scene.ask("driver", 3, CPU=1)
    assert scene.do(scene.node.cancel_request(b"driver", 1, scene.now)) == []
    assert scene.free() == 1, "also the lease that waited for a worker is gone"
    assert scene.do(scene.node.worker_ready(b"w", "", scene.now, 1)) == []
    assert scene.node.cancel_request(b"driver", 1, scene.now) == []
    assert grant(scene.ask("driver", CPU=1)).worker_id == b"w"


def test_a_request_id_is_used_once() -> None:
    scene = Scene(CPU=1)
    scene.ask("driver", 2, CPU=1)
    with pytest.raises(ShoalSystemError, match="has a lease request 1 already"):
        scene.node.request(b"driver", 1, SchedulingClass(amounts(CPU=1)), 1, "f", scene.now)


def test_a_worker_that_must_not_be_reused_leaves() -> None:
    scene = Scene(CPU=1)
    found = grant(scene.ask("driver", CPU=1))
    assert scene.give(found, reusable=False) == [StopWorker(found.worker_id, "it may run no more tasks", False)]
    assert grant(scene.ask("driver", CPU=1)).worker_id != found.worker_id
    assert scene.do(scene.node.worker_kept(found.worker_id, scene.now)) == []
    assert scene.do(scene.node.worker_died(found.worker_id, scene.now)) == []


def test_deaths_end_leases() -> None:
    scene = Scene(CPU=1)
    first = grant(scene.ask("driver", CPU=1))
    scene.ask("driver", CPU=1)
    told = scene.do(scene.node.worker_died(first.worker_id, scene.now))
    assert told[0] == LeaseLost(b"driver", first.lease_id, first.worker_id, TASK)
    assert grant(told).request_id == 2
    assert scene.node.worker_died(first.worker_id, scene.now) == []
    assert scene.node.lease_returned(first.lease_id, scene.now) == []


def test_actors_keep_their_lease() -> None:
    scene = Scene(CPU=1)
    found = grant(scene.actor("A", CPU=1))
    scene.ask("driver", CPU=1)
    assert only(scene.told, Reclaim) == []
    told = scene.do(scene.node.worker_died(found.worker_id, scene.now))
    assert told[0] == LeaseLost(b"head", found.lease_id, found.worker_id, ACTOR)
    assert grant(told).client == b"driver"


def test_an_actor_may_need_more_to_be_placed_than_it_holds() -> None:
    scene = Scene(CPU=1)
    one = amounts(CPU=1)
    assert scene.free() == 1
    grant(scene.actor("A", one))
    assert scene.free() == 1
    task = grant(scene.ask("driver", CPU=1))
    assert only(scene.actor("B", one), Grant) == []
    assert grant(scene.give(task)).client == b"head"


# --- turns ------------------------------------------------------------------------------------------------------------


def test_clients_take_turns() -> None:
    scene = Scene(CPU=1)
    held = grant(scene.ask("a", 3, CPU=1))
    scene.ask("b", 3, CPU=1)
    order = []
    for _ in range(4):
        held = grant(scene.give(held))
        order.append(held.client)
    assert order == [b"a", b"b", b"a", b"b"]


def test_classes_take_turns() -> None:
    scene = Scene(CPU=1)
    held = grant(scene.ask("a", 5, CPU=1))
    scene.ask("a", 5, name="g", CPU=0.6)
    order = []
    for _ in range(4):
        held = grant(scene.give(held))
        order.append(held.request_id)
    assert order == [1, 2, 1, 2]


def test_one_that_does_not_fit_does_not_stop_others() -> None:
    scene = Scene(CPU=2)
    scene.ask("a", CPU=1)
    scene.ask("a", CPU=2)
    assert grant(scene.ask("b", CPU=1)).client == b"b"


def test_large_requests_get_their_turn_in_the_end() -> None:
    scene = Scene(CPU=2)
    held = only(scene.ask("many", 1000, CPU=1), Grant)
    scene.ask("large", CPU=2)
    assert only(scene.give(held.pop()), Grant)[0].client == b"many", "nobody is kept waiting at first"
    held.append(scene.leases[max(scene.leases)])
    scene.wait(2.5)
    assert only(scene.give(held.pop()), Grant) == [], "what comes back is kept"
    assert grant(scene.give(held.pop())).client == b"large"


def test_what_is_kept_is_not_kept_for_ever() -> None:
    scene = Scene(CPU=2)
    held = only(scene.ask("many", 1000, CPU=1), Grant)
    scene.ask("large", CPU=2)
    scene.wait(3)
    assert only(scene.give(held.pop()), Grant) == []
    assert only(scene.ask("quick"), Grant), "those who need none of it are not concerned"
    [explained] = [scene.node.explain(b"many", 1, scene.now)]
    assert explained is not None and "kept for a request that has waited longer" in explained.text
    assert only(scene.wait(10), Grant)[0].client == b"many", "perhaps the other task waits for one of these"


def test_nothing_is_kept_for_what_actors_hold() -> None:
    scene = Scene(CPU=2)
    scene.actor("A", CPU=1)
    held = grant(scene.ask("many", 1000, CPU=1))
    scene.ask("large", CPU=2)
    scene.wait(3)
    assert grant(scene.give(held)).client == b"many"


# --- lending ----------------------------------------------------------------------------------------------------------


def test_nested_tasks_never_lack_a_cpu() -> None:
    scene = Scene(CPU=1)
    client = "driver"
    for depth in range(20):
        found = grant(scene.ask(client, CPU=1) or scene.told) if depth == 0 else grant(scene.told)
        client = found.worker_id.decode()
        scene.ask(client, CPU=1)
        scene.do(scene.node.worker_blocked(found.worker_id, scene.now))
    assert len(scene.leases) == 20 + 1


def test_a_task_that_goes_on_takes_its_cpu_back_at_once() -> None:
    scene = Scene(CPU=1)
    parent = grant(scene.ask("driver", CPU=1))
    assert scene.do(scene.node.worker_blocked(parent.worker_id, scene.now)) == []
    assert scene.node.worker_blocked(parent.worker_id, scene.now) == [], "said twice, lent once"
    child = grant(scene.ask(parent.worker_id.decode(), CPU=1))
    scene.do(scene.node.worker_unblocked(parent.worker_id, scene.now))
    assert scene.node.view().available["CPU"] == -UNIT
    scene.ask("driver", CPU=1)
    assert only(scene.give(child), Grant) == [], "the CPU that came back was owed"
    assert only(scene.give(parent), Grant)
    assert scene.node.worker_unblocked(b"unknown", scene.now) == []


def test_gpus_and_the_rest_are_not_lent() -> None:
    scene = Scene(CPU=1, GPU=1, special=1)
    found = grant(scene.ask("driver", CPU=1, GPU=1, special=1))
    scene.do(scene.node.worker_blocked(found.worker_id, scene.now))
    assert (scene.free("CPU"), scene.free("GPU"), scene.free("special")) == (1, 0, 0)
    scene.give(found)
    assert (scene.free("CPU"), scene.free("GPU"), scene.free("special")) == (1, 1, 1)


def test_those_a_task_waits_for_come_first() -> None:
    scene = Scene(CPU=1)
    parent = grant(scene.ask("driver", 100, CPU=1))
    child = parent.worker_id.decode()
    scene.ask(child, 2, CPU=1)
    assert grant(scene.do(scene.node.worker_blocked(parent.worker_id, scene.now))).client == child.encode()
    again = grant(scene.give(scene.leases[2]))
    assert again.client == child.encode(), "before the next of the hundred, which would wait for children too"
    assert grant(scene.give(again)).client == b"driver"


def test_but_not_for_ever() -> None:
    scene = Scene(CPU=1)
    parent = grant(scene.ask("driver", CPU=1))
    child = parent.worker_id.decode()
    scene.ask(child, 1000, CPU=1)
    held = grant(scene.do(scene.node.worker_blocked(parent.worker_id, scene.now)))
    scene.ask("second driver", CPU=1)
    scene.wait(2.5)
    assert grant(scene.give(held)).client == b"second driver"


# --- reclaiming -------------------------------------------------------------------------------------------------------


def test_leases_are_asked_back_for_those_who_have_none() -> None:
    scene = Scene(CPU=2)
    held = only(scene.ask("a", 2, CPU=1), Grant)
    assert scene.ask("b", CPU=1) == [Reclaim(b"a", held[0].lease_id)]
    assert scene.ask("c", CPU=1) == [Reclaim(b"a", held[1].lease_id)], "each is asked for once"
    assert scene.ask("d", CPU=1) == []
    assert grant(scene.give(held[1])).client == b"b"


def test_a_class_of_the_same_client_is_somebody_else() -> None:
    scene = Scene(CPU=1)
    held = grant(scene.ask("driver", CPU=1))
    assert scene.ask("driver", CPU=0.5) == [Reclaim(b"driver", held.lease_id)]


def test_busy_clients_share_and_then_leave_each_other_alone() -> None:
    scene = Scene(CPU=4)
    held = only(scene.ask("a", 100, CPU=1), Grant)
    asked = only(scene.ask("b", 100, CPU=1), Reclaim)
    assert len(asked) == 2, "half of them"
    for reclaim in asked:
        assert only(scene.give(scene.leases[reclaim.lease_id]), Reclaim) == []
    clients = sorted(scene.leases[lease.id].client for client in (b"a", b"b") for lease in scene.node.leases_of(client))
    assert clients == [b"a", b"a", b"b", b"b"]
    assert held


def test_only_what_helps_is_asked_back() -> None:
    scene = Scene(CPU=4, GPU=1, special=1)
    scene.ask("a", CPU=1)
    gpu = grant(scene.ask("a", CPU=1, GPU=1))
    scene.ask("a", CPU=1, special=1)
    assert scene.ask("b", GPU=0.5) == [Reclaim(b"a", gpu.lease_id)]


def test_nothing_is_asked_back_where_it_would_not_suffice() -> None:
    scene = Scene(CPU=2)
    scene.actor("A", CPU=1)
    scene.ask("a", CPU=1)
    assert scene.ask("b", CPU=2) == []


def test_a_lent_cpu_is_not_asked_back() -> None:
    scene = Scene(CPU=1)
    parent = grant(scene.ask("driver", CPU=1))
    scene.do(scene.node.worker_blocked(parent.worker_id, scene.now))
    child = grant(scene.ask("x", CPU=1))
    assert scene.ask("y", CPU=1) == [Reclaim(b"x", child.lease_id)]


# --- what cannot be met -----------------------------------------------------------------------------------------------


def test_too_large_is_refused_at_once() -> None:
    scene = Scene(CPU=2)
    [refused] = scene.ask("driver", name="train", CPU=8, GPU=1)
    assert isinstance(refused, Refuse)
    assert (refused.client, refused.request_id, refused.why, refused.kind) == (b"driver", 1, INFEASIBLE, TASK)
    assert refused.explanation == (
        "task 'train' can never run: it needs 8 CPU, 1 GPU, but no node has more than 2 CPU and there is no 'GPU'; "
        "node 6e6e6e6e has 2 CPU"
    )
    assert refused.requested == amounts(CPU=8, GPU=1)
    assert scene.node.demand() == []


def test_bound_to_another_node() -> None:
    scene = Scene(CPU=2)
    grant(scene.ask("driver", strategy=NodeAffinityStrategy(NODE.hex())))
    [refused] = scene.ask("driver", strategy=NodeAffinityStrategy("00" * 16))
    assert isinstance(refused, Refuse)
    assert refused.why == UNSCHEDULABLE
    assert "does not exist in this session" in refused.explanation
    grant(scene.ask("driver", strategy=NodeAffinityStrategy("00" * 16, soft=True)))
    grant(scene.ask("driver", strategy=SPREAD, CPU=1))


def test_labels() -> None:
    scene = Scene(CPU=2)
    matching = SchedulingClass.of(amounts(CPU=1), label_selector={"region": "north"})
    grant(scene.do(scene.node.request(b"driver", 50, matching, 1, "f", scene.now)))
    other = SchedulingClass.of(amounts(CPU=1), label_selector={"region": "south"})
    [refused] = scene.do(scene.node.request(b"driver", 51, other, 1, "f", scene.now))
    assert isinstance(refused, Refuse)
    assert "region is 'south'" in refused.explanation


def test_where_nodes_may_join_it_is_put_aside_and_the_user_warned() -> None:
    scene = Scene(joinable=True, CPU=2)
    assert scene.ask("driver", 3, name="train", CPU=8) == []
    assert scene.node.demand() == [(amounts(CPU=8), 3)]
    assert scene.wait(9) == []
    [warning] = scene.wait(2)
    assert isinstance(warning, WarnInfeasible)
    assert warning.explanation.startswith("task 'train' cannot run unless a node joins that has enough: it needs 8 CPU")
    assert scene.wait(100) == [], "once"
    told = scene.node.explain(b"driver", 1, scene.now)
    assert told is not None and "unless a node joins" in told.text
    big = NodeView(b"m" * 16, dict(amounts(CPU=16)), dict(amounts(CPU=16)))
    assert scene.do(scene.node.nodes_changed([big], scene.now)) == [PassOn(b"driver", 1, b"m" * 16, 3)]
    assert scene.node.demand() == []


def test_what_was_put_aside_may_be_cancelled() -> None:
    scene = Scene(joinable=True, CPU=2)
    scene.ask("driver", CPU=8)
    scene.ask("other", CPU=8)
    assert scene.node.cancel_request(b"driver", 1, scene.now) == []
    scene.do(scene.node.client_gone(b"other", scene.now))
    assert scene.wait(20) == []


# --- other nodes ------------------------------------------------------------------------------------------------------

FREE = NodeView(b"m" * 16, dict(amounts(CPU=4)), dict(amounts(CPU=4)))
FULL = NodeView(b"m" * 16, dict(amounts(CPU=4)), {"CPU": 0})


def test_what_has_no_room_here_goes_elsewhere() -> None:
    scene = Scene(joinable=True, CPU=1)
    scene.do(scene.node.nodes_changed([FREE, scene.node.view()], scene.now))
    grant(scene.ask("driver", CPU=1))
    assert scene.ask("driver", 4, CPU=1) == [PassOn(b"driver", 2, b"m" * 16, 4)]
    passed_on = scene.node.request(b"other", 9, SchedulingClass(amounts(CPU=1)), 1, "f", scene.now, passed_on=True)
    assert only(scene.do(passed_on), PassOn) == [], "or it would be sent to and fro"


def test_what_waits_goes_where_room_is_found() -> None:
    scene = Scene(joinable=True, CPU=1)
    scene.do(scene.node.nodes_changed([FULL], scene.now))
    scene.ask("driver", 3, CPU=1)
    assert only(scene.do(scene.node.nodes_changed([FREE], scene.now)), PassOn) == [PassOn(b"driver", 1, b"m" * 16, 2)]


# --- workers that do not come -----------------------------------------------------------------------------------------


def test_starts_are_tried_again_and_then_given_up() -> None:
    scene = Scene(CPU=1, starts=False)
    [start] = only(scene.ask("driver", environment="env", CPU=1), StartWorker)
    for _ in range(2):
        [start] = only(scene.do(scene.node.start_failed(start.token, "no memory", scene.now)), StartWorker)
    [refused] = scene.do(scene.node.start_failed(start.token, "no memory", scene.now))
    assert isinstance(refused, Refuse)
    assert refused.why == ENVIRONMENT
    assert "no memory" in refused.explanation
    assert scene.free() == 1
    assert scene.node.start_failed(start.token, "", scene.now) == []


def test_an_environment_that_is_being_made_holds_nothing() -> None:
    scene = Scene(CPU=1, starts=False)
    scene.ask("driver", environment="env", CPU=1)
    scene.do(scene.node.environment_pending("env", scene.now))
    assert scene.free() == 1
    scene.ask("other", CPU=1)
    scene.do(scene.node.worker_ready(b"w", "", scene.now, 2))
    assert scene.node.leases_of(b"other")
    scene.do(scene.node.lease_returned(2, scene.now))
    scene.do(scene.node.environment_ready("env", scene.now))
    told = scene.do(scene.node.worker_ready(b"v", "env", scene.now, 1))
    assert grant(told).client == b"driver"


def test_an_environment_that_cannot_be_made() -> None:
    scene = Scene(CPU=1, starts=False)
    scene.ask("driver", 5, environment="env", CPU=1)
    scene.ask("driver", environment="env")
    told = scene.do(scene.node.environment_failed("env", "pip found no such package", scene.now))
    assert [effect.request_id for effect in only(told, Refuse)] == [1, 2]
    assert scene.free() == 1
    scene.do(scene.node.environment_pending("env", scene.now))
    scene.do(scene.node.environment_failed("env", "no network", scene.now))
    assert only(scene.ask("driver", environment="env", CPU=1), StartWorker) == [], "two starts are on the way"
    assert scene.free() == 0, "it is tried again"


def test_a_slow_start_is_told() -> None:
    scene = Scene(CPU=1, starts=False)
    scene.ask("driver", environment="env", CPU=1)
    [warning] = scene.wait(11)
    assert isinstance(warning, WarnWaiting)
    assert "10 s for a worker process to start in the runtime environment env" in warning.explanation
    scene.ask("other", environment="env", CPU=1)
    assert [warning.client for warning in only(scene.wait(100), WarnWaiting)] == [b"other"], "once"


# --- idle workers -----------------------------------------------------------------------------------------------------


def test_a_few_idle_workers_stay() -> None:
    scene = Scene(CPU=2, warm_workers=1)
    for found in only(scene.ask("driver", 2, CPU=1), Grant):
        scene.give(found)
    [stopped] = scene.wait(5)
    assert isinstance(stopped, StopWorker)
    assert not stopped.force
    assert scene.wait(5) == []
    assert scene.do(scene.node.worker_kept(stopped.worker_id, scene.now)) == []
    assert scene.wait(5) == []


def test_workers_of_other_environments_leave_first() -> None:
    scene = Scene(CPU=1)
    found = grant(scene.ask("driver", environment="one", CPU=1))
    scene.give(found)
    scene.starts = False
    told = scene.ask("driver", environment="two", CPU=1)
    assert StopWorker(found.worker_id, "others are needed more", False) in told


# --- clients that end -------------------------------------------------------------------------------------------------


def test_nobody_works_for_the_dead() -> None:
    scene = Scene(CPU=2)
    found = grant(scene.ask("driver", CPU=1))
    scene.ask("driver", 5, CPU=2)
    told = scene.do(scene.node.client_gone(b"driver", scene.now))
    assert told == [StopWorker(found.worker_id, "the process that it worked for has ended", True)]
    assert scene.free() == 1, "until the worker is dead, it holds its CPU"
    scene.do(scene.node.worker_died(found.worker_id, scene.now))
    assert scene.free() == 2
    assert scene.node.demand() == []


def test_a_killed_worker_whose_lease_comes_back_is_not_lent_again() -> None:
    scene = Scene(CPU=1)
    found = grant(scene.ask("driver", CPU=1))
    scene.do(scene.node.client_gone(b"driver", scene.now))
    told = scene.give(found)
    assert only(told, Grant) == []
    assert grant(scene.ask("other", CPU=1)).worker_id != found.worker_id


# --- warnings and explanations ----------------------------------------------------------------------------------------


def test_long_waits_name_the_holders() -> None:
    scene = Scene(CPU=4)
    scene.actor("Server", CPU=2)
    scene.ask("driver", 2, name="load", CPU=1)
    scene.ask("other", name="train", CPU=3)
    [warning] = only(scene.wait(11), WarnWaiting)
    assert (warning.client, warning.request_id, warning.stuck) == (b"other", 3, False)
    assert warning.explanation == (
        "task 'train' has waited 10 s for 3 CPU. This node has 4 CPU; free: 0 CPU. "
        "Held by actor 'Server' for its life (2 CPU); task 'load' running, 2 of them (2 CPU)."
    )
    assert warning.holders[0] == "actor 'Server' for its life (2 CPU)"
    assert only(scene.wait(100), WarnWaiting) == [], "once"


def test_actors_that_hold_everything_are_called_by_name() -> None:
    scene = Scene(CPU=2)
    scene.actor("Server", CPU=1)
    scene.actor("Cache", CPU=1)
    scene.ask("driver", name="train", CPU=1)
    [warning] = only(scene.wait(11), WarnWaiting)
    assert warning.stuck
    assert "All of it is held by actors" in warning.explanation
    assert {"actor 'Server' for its life (1 CPU)", "actor 'Cache' for its life (1 CPU)"} == set(warning.holders)


def test_tasks_that_wait_and_hold_are_found_out() -> None:
    scene = Scene(CPU=2, special=1)
    parent = grant(scene.ask("driver", name="parent", CPU=1, special=1))
    scene.ask(parent.worker_id.decode(), name="child", CPU=1, special=1)
    scene.do(scene.node.worker_blocked(parent.worker_id, scene.now))
    [warning] = only(scene.wait(11), WarnWaiting)
    assert warning.stuck
    assert "task 'parent' waiting in get or wait (1 special)" in warning.holders
    assert "none of them can go on" in warning.explanation


def test_a_client_that_gets_on_is_not_warned() -> None:
    scene = Scene(CPU=1)
    scene.ask("driver", 1000, CPU=1)
    assert scene.wait(60) == []
    told = scene.node.explain(b"driver", 1, scene.now)
    assert told is not None and "task 'f' running (1 CPU)" in told.text
    assert scene.node.explain(b"driver", 99, scene.now) is None


def test_stories() -> None:
    scene = Scene(CPU=1)
    found = grant(scene.ask("driver", CPU=1))
    assert scene.node.story(1)[-1].startswith("lease 1 for task 'f' holds 1 CPU of this node")
    scene.give(found)
    assert [line.split(": ")[1] for line in scene.node.story(found.worker_id)] == [
        "lease 1 for 'f' granted",
        "lease 1 for 'f' returned",
    ]
    assert scene.node.story(b"nobody") == []


def test_what_is_used_up_is_left_out() -> None:
    scene = Scene(CPU=1, GPU=1)
    scene.ask("driver", CPU=1)
    assert scene.node.available() == {"GPU": UNIT}
    assert scene.node.total() == {"CPU": UNIT, "GPU": UNIT}
    assert scene.node.view() == NodeView(NODE, {"CPU": UNIT, "GPU": UNIT}, {"CPU": 0, "GPU": UNIT}, {"region": "north"})


# --- GPUs -------------------------------------------------------------------------------------------------------------


def test_gpus_are_isolated_and_shared_in_fractions() -> None:
    scene = Scene(CPU=8, GPU=2)
    halves = [grant(scene.ask("driver", GPU=0.5)).gpu_ids for _ in range(2)]
    assert halves == [(0,), (0,)]
    assert grant(scene.ask("driver", GPU=1)).gpu_ids == (1,)
    assert only(scene.ask("driver", GPU=0.1), Grant) == []


# --- placement groups -------------------------------------------------------------------------------------------------


def in_group(index: int = -1) -> PlacementGroupStrategy:
    return PlacementGroupStrategy(GROUP, index)


def reserve(scene: Scene, **bundles: dict[str, float]) -> None:
    parts = {int(index[1:]): ResourceSet.parse(given) for index, given in bundles.items()}
    assert scene.do(scene.node.prepare_bundles(GROUP, parts, scene.now)) == [BundlesPrepared(GROUP, tuple(parts))]
    scene.do(scene.node.commit_bundles(GROUP, tuple(parts), scene.now))


def test_bundles_have_their_own_resources() -> None:
    scene = Scene(CPU=4, GPU=2)
    reserve(scene, b0={"CPU": 1}, b1={"CPU": 2, "GPU": 1})
    assert (scene.free(), scene.free("GPU")) == (1, 1)
    assert grant(scene.ask("driver", strategy=in_group(0), CPU=1)).bundle_index == 0
    assert only(scene.ask("driver", strategy=in_group(0), CPU=1), Grant) == []
    assert grant(scene.ask("driver", strategy=in_group(), CPU=1)).bundle_index == 1
    assert grant(scene.ask("driver", strategy=in_group(1), GPU=0.5)).gpu_ids == (0,)
    assert grant(scene.ask("driver", GPU=1)).gpu_ids == (1,)
    assert scene.node.view().bundles == ((GROUP, 0), (GROUP, 1))


def test_requests_wait_for_their_group() -> None:
    scene = Scene(CPU=4)
    assert scene.ask("driver", strategy=in_group(), CPU=1) == []
    told = scene.node.explain(b"driver", 1, scene.now)
    assert told is not None and "is not reserved yet" in told.text
    scene.do(scene.node.prepare_bundles(GROUP, {0: amounts(CPU=1)}, scene.now))
    assert only(scene.told, Grant) == [], "prepared is not committed"
    assert grant(scene.do(scene.node.commit_bundles(GROUP, (0,), scene.now))).bundle_index == 0


def test_larger_than_its_bundle() -> None:
    scene = Scene(CPU=4)
    scene.ask("early", strategy=in_group(), CPU=2)
    scene.do(scene.node.prepare_bundles(GROUP, {0: amounts(CPU=1)}, scene.now))
    [refused] = only(scene.do(scene.node.commit_bundles(GROUP, (0,), scene.now)), Refuse)
    assert refused.client == b"early"
    assert "bundle 0 has 1 CPU" in refused.explanation
    [late] = only(scene.ask("late", strategy=in_group(), CPU=2), Refuse)
    assert late.why == INFEASIBLE


def test_marks_of_a_node_are_not_looked_for_in_a_bundle() -> None:
    scene = Scene(CPU=4)
    reserve(scene, b0={"CPU": 1})
    marked = SchedulingClass(ResourceSet.parse({"CPU": 1, "accelerator_type:X": 0.001}), strategy=in_group())
    grant(scene.do(scene.node.request(b"driver", 50, marked, 1, "f", scene.now)))


def test_removal_kills_what_is_inside_and_refuses_the_rest() -> None:
    scene = Scene(CPU=2)
    reserve(scene, b0={"CPU": 1})
    inside = grant(scene.ask("driver", strategy=in_group(), CPU=1))
    scene.ask("driver", strategy=in_group(), name="next", CPU=1)
    told = scene.do(scene.node.group_removed(GROUP, scene.now))
    assert told[0] == StopWorker(inside.worker_id, "its placement group was removed", True)
    [refused] = only(told, Refuse)
    assert (refused.request_id, refused.why) == (2, GROUP_REMOVED)
    assert scene.free() == 1
    scene.do(scene.node.worker_died(inside.worker_id, scene.now))
    assert scene.free() == 2
    [refused] = only(scene.ask("driver", strategy=in_group(), CPU=1), Refuse)
    assert refused.why == GROUP_REMOVED


def test_not_all_that_was_removed_is_remembered() -> None:
    scene = Scene(CPU=1)
    for number in range(10_002):
        scene.node.group_removed(number.to_bytes(16, "big"), scene.now)
    waiting = scene.ask("driver", strategy=PlacementGroupStrategy((0).to_bytes(16, "big")))
    assert waiting == []
    [refused] = scene.ask("driver", strategy=PlacementGroupStrategy((10_001).to_bytes(16, "big")))
    assert isinstance(refused, Refuse)


def test_a_bundle_that_moves_takes_no_requests_along() -> None:
    scene = Scene(CPU=2, starts=False)
    reserve(scene, b0={"CPU": 1})
    scene.ask("driver", strategy=in_group(), CPU=1)
    scene.do(scene.node.return_bundles(GROUP, (0,), scene.now))
    assert scene.free() == 2
    assert scene.node.demand() == [(amounts(CPU=1), 1)], "it waits for the group to be reserved again"


def test_no_room_for_bundles() -> None:
    scene = Scene(CPU=2)
    scene.ask("driver", CPU=1)
    told = scene.do(scene.node.prepare_bundles(GROUP, {0: amounts(CPU=2)}, scene.now))
    assert told == [BundlesRefused(GROUP, (0,))]


def test_groups_get_room_although_tasks_wait() -> None:
    scene = Scene(CPU=2)
    held = only(scene.ask("driver", 1000, CPU=1), Grant)
    told = scene.do(scene.node.want_room(GROUP, "reserved", [amounts(CPU=1), amounts(CPU=1)], scene.now))
    assert {effect.lease_id for effect in only(told, Reclaim)} == {found.lease_id for found in held}
    scene.wait(0.1)
    assert scene.give(held[0]) == []
    assert scene.give(held[1]) == [RoomForGroup(GROUP)]
    assert scene.free() == 2, "kept for the group, for a while"
    reserve(scene, b0={"CPU": 1}, b1={"CPU": 1})
    assert scene.node.want_room(GROUP, "reserved", [amounts(CPU=1)], scene.now) == []


def test_room_that_a_group_does_not_take_goes_to_others() -> None:
    scene = Scene(CPU=2)
    held = only(scene.ask("driver", 1000, CPU=1), Grant)
    scene.do(scene.node.want_room(GROUP, "reserved", [amounts(CPU=2)], scene.now))
    scene.wait(0.1)
    for found in held:
        scene.give(found)
    assert only(scene.wait(11), Grant)[0].client == b"driver"


def test_a_group_that_is_not_wanted_any_more() -> None:
    scene = Scene(CPU=2)
    held = only(scene.ask("driver", 1000, CPU=1), Grant)
    scene.do(scene.node.want_room(GROUP, "reserved", [amounts(CPU=2)], scene.now))
    scene.wait(0.1)
    scene.give(held[0])
    assert grant(scene.do(scene.node.unwant_room(GROUP, scene.now))).client == b"driver"


def test_groups_that_wait_long_are_told_why() -> None:
    scene = Scene(CPU=2)
    scene.actor("Server", CPU=1)
    scene.do(scene.node.want_room(GROUP, "reserved", [amounts(CPU=2)], scene.now))
    [warning] = only(scene.wait(11), WarnWaiting)
    assert (warning.group_id, warning.client, warning.stuck) == (GROUP, b"", True)
    assert warning.explanation.startswith("placement group 'reserved' has waited 10 s for 2 CPU")
