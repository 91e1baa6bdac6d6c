"""The head's book of actors: lives, names, ends."""

from __future__ import annotations

from shoal._core.errors.death_cause import DeathCause
from shoal._core.logic.actors import (
    ALIVE,
    DEAD,
    PENDING_CREATION,
    RESTARTING,
    ActorDirectory,
    ActorRecord,
    Drain,
    Effect,
    EndWorker,
    Place,
    Publish,
    StopPlacing,
)
from shoal._core.schema.messages import ActorSpec
from shoal._core.schema.resources import ResourceSet, SchedulingClass
from shoal.exceptions import ActorDiedError, ActorUnavailableError

ACTOR = b"actor-1".ljust(16, b"0")
OWNER = b"owner".ljust(16, b"0")
WATCHER = b"watcher".ljust(16, b"0")
WORKER = b"worker-1".ljust(16, b"0")
NEXT = b"worker-2".ljust(16, b"0")
KILLED = DeathCause("it was killed", signal="SIGKILL")


def spec(max_restarts: int = 0, name: str = "", detached: bool = False) -> ActorSpec:
    return ActorSpec(
        actor_id=ACTOR,
        creation_task_id=OWNER + bytes(8),
        owner_id=OWNER,
        owner_address="unix:@owner",
        job_id=b"job1",
        class_id=b"class",
        class_data=b"pickled",
        class_name="Counter",
        args=b"args",
        deps=[],
        slots=[],
        scheduling_class=SchedulingClass(ResourceSet({})),
        placement_resources={},
        environment=b"",
        name=name,
        namespace="here",
        detached=detached,
        max_restarts=max_restarts,
        max_concurrency=1,
        concurrency_groups={},
        is_async=False,
        out_of_order=False,
        handle_data=b"",
    )


def directory(actor: ActorSpec) -> tuple[ActorDirectory, ActorRecord]:
    """An actor whose owner watches it, not placed yet."""
    actors = ActorDirectory()
    [place] = actors.create(actor, 1.0)
    assert isinstance(place, Place)
    assert actors.watch(ACTOR, OWNER) == [], "there is nothing to tell yet"
    return actors, actors.actors[ACTOR]


def alive(actor: ActorSpec) -> tuple[ActorDirectory, ActorRecord]:
    actors, record = directory(actor)
    assert actors.placed(ACTOR, WORKER, 7)
    actors.started(ACTOR, WORKER, "unix:@worker-1", "")
    assert record.state == ALIVE
    return actors, record


def kinds(effects: list[Effect]) -> list[type]:
    return [type(effect) for effect in effects]


def test_a_life() -> None:
    actors, record = directory(spec())
    assert record.state == PENDING_CREATION
    assert actors.placed(ACTOR, WORKER, 7)
    [publish] = actors.started(ACTOR, WORKER, "unix:@worker-1", "Counter()")
    assert isinstance(publish, Publish)
    assert publish.watchers == [OWNER]
    assert (record.state, record.address, record.repr_name) == (ALIVE, "unix:@worker-1", "Counter()")


def test_the_death_of_its_process_is_the_end_of_an_actor_without_restarts() -> None:
    actors, record = alive(spec())
    assert kinds(actors.worker_died(WORKER, KILLED, 2.0)) == [Publish]
    assert record.state == DEAD
    assert isinstance(record.error, ActorDiedError)
    assert "SIGKILL" in str(record.error)
    assert record.spec.args == b"", "what only a next life would need is let go"


def test_it_restarts_as_often_as_it_may() -> None:
    actors, record = alive(spec(max_restarts=1))
    assert kinds(actors.worker_died(WORKER, KILLED, 2.0)) == [Publish, Place]
    assert (record.state, record.incarnation) == (RESTARTING, 1)
    assert isinstance(record.error, ActorUnavailableError)
    assert actors.placed(ACTOR, NEXT, 8)
    actors.started(ACTOR, NEXT, "unix:@worker-2", "")
    assert kinds(actors.worker_died(NEXT, KILLED, 3.0)) == [Publish]
    assert record.state == DEAD
    assert "all 1 restarts are used up" in str(record.error)


def test_minus_one_restarts_for_ever() -> None:
    actors, record = alive(spec(max_restarts=-1))
    for life in range(50):
        worker = b"worker" + str(life).encode()
        actors.worker_died(record.worker_id, KILLED, 2.0)
        assert actors.placed(ACTOR, worker, life)
        actors.started(ACTOR, worker, "unix:@x", "")
    assert (record.state, record.incarnation) == (ALIVE, 50)


def test_a_constructor_that_raises_ends_it_for_good() -> None:
    actors, record = directory(spec(max_restarts=3))
    actors.placed(ACTOR, WORKER, 7)
    error = ActorDiedError(error_msg="its constructor raised", actor_id=ACTOR.hex())
    assert kinds(actors.start_failed(ACTOR, error, 2.0, WORKER)) == [Publish]
    assert record.error is error
    assert actors.worker_died(WORKER, KILLED, 2.0) == [], "its process ends by itself"


def test_the_late_word_of_an_earlier_life_that_its_constructor_raised_withdraws_the_next() -> None:
    actors, record = directory(spec(max_restarts=3))
    actors.placed(ACTOR, WORKER, 7)
    actors.worker_died(WORKER, KILLED, 2.0)
    error = ActorDiedError(error_msg="its constructor raised", actor_id=ACTOR.hex())
    assert kinds(actors.start_failed(ACTOR, error, 2.0, WORKER)) == [StopPlacing, Publish]
    assert record.state == DEAD


def test_the_late_word_of_an_earlier_life_that_it_started_is_ignored() -> None:
    actors, record = directory(spec(max_restarts=3))
    actors.placed(ACTOR, WORKER, 7)
    actors.worker_died(WORKER, KILLED, 2.0)
    assert actors.started(ACTOR, WORKER, "unix:@worker-1", "") == []
    assert record.state == RESTARTING


def test_kill_ends_its_process_and_it() -> None:
    actors, record = alive(spec(max_restarts=3))
    assert kinds(actors.kill(ACTOR, True, 2.0)) == [EndWorker, Publish]
    assert record.state == DEAD
    assert actors.kill(ACTOR, True, 3.0) == []


def test_kill_with_restart_ends_just_this_life() -> None:
    actors, record = alive(spec(max_restarts=3))
    assert kinds(actors.kill(ACTOR, False, 2.0)) == [EndWorker]
    assert kinds(actors.worker_died(WORKER, KILLED, 2.1)) == [Publish, Place]
    assert record.state == RESTARTING


def test_kill_before_it_is_placed() -> None:
    actors, record = directory(spec())
    assert kinds(actors.kill(ACTOR, True, 2.0)) == [StopPlacing, Publish]
    assert not actors.placed(ACTOR, WORKER, 7), "the worker is not wanted any more"
    assert record.state == DEAD


def test_kill_that_overtakes_the_creation() -> None:
    actors = ActorDirectory()
    assert actors.kill(ACTOR, True, 1.0) == []
    assert kinds(actors.create(spec(), 2.0)) == [Publish]
    assert actors.actors[ACTOR].state == DEAD


def test_without_handles_it_is_drained() -> None:
    actors, record = alive(spec(max_restarts=3))
    assert kinds(actors.released(ACTOR, 2.0)) == [Drain]
    actors.exiting(ACTOR, "no handle to the actor is left")
    assert kinds(actors.worker_died(WORKER, DeathCause("it exited", exit_code=0), 3.0)) == [Publish]
    assert record.state == DEAD, "an end on purpose is followed by no restart"


def test_handles_that_go_while_its_constructor_runs() -> None:
    actors, _ = directory(spec())
    actors.placed(ACTOR, WORKER, 7)
    assert actors.released(ACTOR, 2.0) == []
    assert kinds(actors.started(ACTOR, WORKER, "unix:@worker-1", "")) == [Publish, Drain]


def test_a_detached_actor_outlives_handles_and_owner() -> None:
    actors, record = alive(spec(detached=True, name="keeper"))
    assert actors.released(ACTOR, 2.0) == []
    assert actors.client_gone(OWNER, 3.0) == []
    assert record.state == ALIVE


def test_the_end_of_its_owner_is_its_end() -> None:
    actors, record = alive(spec())
    actors.watch(ACTOR, WATCHER)
    end, publish = actors.client_gone(OWNER, 2.0)
    assert isinstance(end, EndWorker)
    assert isinstance(publish, Publish)
    assert publish.watchers == [WATCHER], "the owner itself need not be told"
    assert "lifetime='detached'" in str(record.error)


def test_a_name_is_free_again_when_its_bearer_is_dead() -> None:
    actors, record = alive(spec(name="keeper"))
    assert actors.named("here", "keeper") is record
    assert actors.named("elsewhere", "keeper") is None
    actors.kill(ACTOR, True, 2.0)
    assert actors.named("here", "keeper") is None
    assert actors.names() == []


def test_who_watches_later_hears_at_once() -> None:
    actors, _ = alive(spec())
    [publish] = actors.watch(ACTOR, WATCHER)
    assert isinstance(publish, Publish)
    assert publish.watchers == [WATCHER]
