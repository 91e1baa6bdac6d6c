"""What a deployment does about the difference between what is to run and what runs."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from shoal.serve._internal.logic.deployment_state import (
    FIRST_TRIES,
    DeploymentState,
    Effect,
    Publish,
    ReconfigureReplica,
    Settled,
    StartReplica,
    StopReplica,
)
from shoal.serve._internal.schema.deployments import NOWHERE, DeploymentId, DeploymentSpec
from shoal.serve.deployment import checked_config
from shoal.serve.status import DeploymentStatus

ID = DeploymentId("app", "model")


def spec(version: str = "v1", **options: Any) -> DeploymentSpec:
    return DeploymentSpec(ID, b"", b"", checked_config("model", options), version)


class World:
    """Carries effects out at once, or when told to."""

    def __init__(self) -> None:
        ids = itertools.count()
        self.state = DeploymentState(ID, lambda: f"r{next(ids)}")
        self.now = 0.0
        self.starting: dict[str, StartReplica] = {}
        self.stopping: set[str] = set()
        self.targets: list[str] = []
        self.settled: list[str] = []
        self.reconfigured: list[str] = []
        self.changing: dict[str, DeploymentSpec] = {}
        self.fewest: int | None = None

    def do(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, StartReplica):
                assert effect.replica_id not in self.starting
                self.starting[effect.replica_id] = effect
            elif isinstance(effect, StopReplica):
                assert effect.replica_id not in self.stopping, "it is told to stop once"
                self.starting.pop(effect.replica_id, None)
                self.changing.pop(effect.replica_id, None)
                self.stopping.add(effect.replica_id)
            elif isinstance(effect, Publish):
                self.targets = [info.replica_id for info in effect.targets.replicas]
                if self.fewest is not None:
                    self.fewest = min(self.fewest, len(self.targets))
            elif isinstance(effect, ReconfigureReplica):
                assert effect.replica_id not in self.changing, "one change at a time"
                self.reconfigured.append(effect.replica_id)
                self.changing[effect.replica_id] = effect.spec
            else:
                assert isinstance(effect, Settled)
                self.settled.append(effect.error)

    def start(self, replica_id: str) -> None:
        del self.starting[replica_id]
        self.do(self.state.started(replica_id, None, NOWHERE, self.now))

    def fail(self, replica_id: str, why: str = "boom") -> None:
        del self.starting[replica_id]
        self.do(self.state.failed_to_start(replica_id, why, self.now))

    def change(self, replica_id: str, why: str = "") -> None:
        del self.changing[replica_id]
        self.do(self.state.reconfigured(replica_id, why, self.now))

    def stop(self, replica_id: str) -> None:
        self.stopping.remove(replica_id)
        self.do(self.state.stopped(replica_id, self.now))

    def settle(self) -> None:
        """All that is begun succeeds."""
        while self.starting or self.stopping or self.changing:
            for replica_id in list(self.changing):
                self.change(replica_id)
            for replica_id in list(self.starting):
                if replica_id in self.starting:
                    self.start(replica_id)
            for replica_id in list(self.stopping):
                self.stop(replica_id)


@pytest.fixture
def world() -> World:
    return World()


def test_all_replicas_of_a_first_version_start_at_once(world: World) -> None:
    world.do(world.state.deploy(spec(num_replicas=3), 0.0))
    assert [start.rank for start in world.starting.values()] == [0, 1, 2]
    assert world.state.overview().status is DeploymentStatus.UPDATING
    world.settle()
    assert world.targets == ["r0", "r1", "r2"]
    assert world.settled == [""]
    assert world.state.overview().status is DeploymentStatus.HEALTHY


def test_a_new_version_takes_over_a_fifth_at_a_time(world: World) -> None:
    world.do(world.state.deploy(spec(num_replicas=10), 0.0))
    world.settle()
    world.fewest = 10
    world.do(world.state.deploy(spec("v2", num_replicas=10), 0.0))
    assert len(world.starting) == 2
    world.settle()
    assert world.fewest == 10, "never fewer than before take requests"
    assert len(world.targets) == 10
    assert world.settled == ["", ""]
    assert set(world.targets).isdisjoint({f"r{n}" for n in range(10)})


def test_the_part_that_is_replaced_at_a_time_may_be_another(world: World) -> None:
    world.do(world.state.deploy(spec(num_replicas=10), 0.0))
    world.settle()
    world.do(world.state.deploy(spec("v2", num_replicas=10, rolling_update_percentage=0.5), 0.0))
    assert len(world.starting) == 5


def test_options_that_need_no_new_replica_reach_those_that_run(world: World) -> None:
    world.do(world.state.deploy(spec(num_replicas=2), 0.0))
    world.settle()
    world.do(world.state.deploy(spec(num_replicas=1, user_config={"a": 1}), 0.0))
    assert world.reconfigured == ["r0", "r1"]
    assert world.settled == [""]
    world.settle()
    assert world.targets == ["r0"]
    assert world.settled == ["", ""]


def test_a_replica_takes_one_change_after_the_other(world: World) -> None:
    world.do(world.state.deploy(spec(user_config=1), 0.0))
    world.do(world.state.deploy(spec(user_config=2), 0.0))
    world.start("r0")
    assert world.changing["r0"].config.user_config == 2, "it was started with 1"
    world.do(world.state.deploy(spec(user_config=3), 0.0))
    assert world.changing["r0"].config.user_config == 2
    world.change("r0")
    assert world.changing["r0"].config.user_config == 3
    assert world.settled == []
    world.settle()
    assert world.settled == [""]


def test_options_that_a_replica_does_not_take_are_taken_back_everywhere(world: World) -> None:
    world.do(world.state.deploy(spec(num_replicas=2, user_config=1), 0.0))
    world.settle()
    world.do(world.state.deploy(spec(num_replicas=2, user_config=2), 0.0))
    world.change("r0")
    world.change("r1", "boom")
    assert world.settled == ["", "boom"]
    assert {one: told.config.user_config for one, told in world.changing.items()} == {"r0": 1, "r1": 1}
    world.settle()
    assert world.targets == ["r0", "r1"]


def test_a_replica_that_does_not_go_back_either_is_replaced(world: World) -> None:
    world.do(world.state.deploy(spec(user_config=1), 0.0))
    world.settle()
    world.do(world.state.deploy(spec(user_config=2), 0.0))
    world.change("r0", "boom")
    world.change("r0", "boom again")
    assert list(world.starting) == ["r1"]
    assert world.starting["r1"].spec.config.user_config == 1
    world.settle()
    assert world.targets == ["r1"]


def test_a_version_that_never_started_gives_way_to_the_one_before(world: World) -> None:
    world.do(world.state.deploy(spec(), 0.0))
    world.settle()
    world.do(world.state.deploy(spec("v2"), 0.0))
    for _ in range(FIRST_TRIES):
        (replica_id,) = world.starting
        world.fail(replica_id)
    assert world.settled == ["", "boom"]
    assert world.targets == ["r0"]
    assert not world.starting


def test_a_first_version_that_does_not_start_is_told(world: World) -> None:
    world.do(world.state.deploy(spec(), 0.0))
    for _ in range(FIRST_TRIES):
        world.fail(*world.starting)
    assert world.settled == ["boom"]
    assert not world.starting
    overview = world.state.overview()
    assert (overview.status, overview.message) == (DeploymentStatus.DEPLOY_FAILED, "boom")
    world.do(world.state.deploy(spec("v2"), 0.0))
    world.settle()
    assert world.settled == ["boom", ""]


def test_the_dead_are_replaced_at_once_and_failures_wait_longer_and_longer(world: World) -> None:
    world.do(world.state.deploy(spec(), 0.0))
    world.settle()
    world.do(world.state.died("r0", "killed by signal 9", 0.0))
    assert world.targets == []
    assert world.state.overview().message == "killed by signal 9"
    pauses = []
    for _ in range(4):
        world.fail(*world.starting)
        assert not world.starting
        assert world.state.deadline is not None
        pauses.append(world.state.deadline - world.now)
        world.now = world.state.deadline
        world.do(world.state.tick(world.now))
    assert pauses == [1, 2, 4, 8]
    world.settle()
    assert world.state.overview().status is DeploymentStatus.HEALTHY


def test_three_failed_checks_in_a_row_replace_a_replica(world: World) -> None:
    world.do(world.state.deploy(spec(), 0.0))
    world.settle()
    for why in ("slow", "slow", "", "slow", "slow"):
        world.do(world.state.checked("r0", why, True, 0.0))
    assert world.targets == ["r0"]
    world.do(world.state.checked("r0", "slow", True, 0.0))
    assert world.stopping == {"r0"}
    assert list(world.starting) == ["r1"]


def test_an_old_one_makes_room_where_there_is_none(world: World) -> None:
    world.do(world.state.deploy(spec(), 0.0))
    world.settle()
    world.do(world.state.deploy(spec("v2"), 0.0))
    world.do(world.state.has_no_room("r1", 0.0))
    assert world.stopping == {"r0"}
    assert (
        world.state.overview().message == "a replica waits for resources that others have; each needs {'num_cpus': 1}"
    )
    world.settle()
    assert world.targets == ["r1"]
    assert not world.state.overview().message


def test_after_delete_nothing_is_left(world: World) -> None:
    world.do(world.state.deploy(spec(num_replicas=2), 0.0))
    world.start("r0")
    world.do(world.state.delete(0.0))
    assert world.stopping == {"r0", "r1"}
    assert not world.state.is_gone
    world.settle()
    assert world.state.is_gone


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_it_comes_to_what_is_wanted(seed: int) -> None:
    """Versions, scales, deaths and failures in any order; then all goes well, and what was asked for last runs."""
    chance = random.Random(seed)
    world = World()
    wanted, version = 1, "v0"
    world.do(world.state.deploy(spec(version), 0.0))
    for step in range(60):
        world.now += chance.random()
        choice = chance.random()
        if choice < 0.1:
            version, wanted = f"v{step}", chance.randint(1, 6)
            world.do(world.state.deploy(spec(version, num_replicas=wanted), world.now))
        elif choice < 0.2:
            wanted = chance.randint(1, 6)
            world.do(world.state.deploy(spec(version, num_replicas=wanted, user_config=step), world.now))
        elif choice < 0.3 and world.targets:
            world.do(world.state.died(chance.choice(world.targets), "died", world.now))
        elif choice < 0.4 and world.starting:
            world.fail(chance.choice(list(world.starting)))
        elif choice < 0.5 and world.changing:
            world.change(chance.choice(list(world.changing)), chance.choice(("", "boom")))
        elif choice < 0.7 and world.starting:
            world.start(chance.choice(list(world.starting)))
        elif choice < 0.9 and world.stopping:
            world.stop(chance.choice(list(world.stopping)))
        elif world.state.deadline is not None:
            world.now = max(world.now, world.state.deadline)
            world.do(world.state.tick(world.now))
    world.do(world.state.deploy(spec("last", num_replicas=wanted), world.now))
    world.settle()
    assert len(world.targets) == wanted
    assert {one.spec.code_version for one in world.state.replicas.values()} == {"last"}
    assert world.settled[-1] == ""
    assert all(one.told == world.state.spec for one in world.state.replicas.values())
    assert sorted(one.rank for one in world.state.replicas.values()) == list(range(wanted))
