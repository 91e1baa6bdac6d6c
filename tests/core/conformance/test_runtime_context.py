"""What code may know of where it runs."""

from __future__ import annotations

import pytest

import shoal


def test_driver() -> None:
    context = shoal.get_runtime_context()
    assert context.get_job_id()
    assert context.get_node_id()
    assert context.get_worker_id()
    assert context.get_actor_id() is None
    assert context.get_actor_name() is None
    assert context.namespace


@pytest.mark.short
def test_task() -> None:
    @shoal.remote(name="my task")
    def look():
        context = shoal.get_runtime_context()
        return {
            "job": context.get_job_id(),
            "node": context.get_node_id(),
            "task": context.get_task_id(),
            "name": context.get_task_name(),
            "function": context.get_task_function_name(),
            "actor": context.get_actor_id(),
            "namespace": context.namespace,
        }

    ref = look.remote()
    seen = shoal.get(ref)
    here = shoal.get_runtime_context()
    assert seen["job"] == here.get_job_id()
    assert seen["node"] == here.get_node_id()
    assert seen["namespace"] == here.namespace
    assert seen["task"] == ref.task_id().hex()
    assert seen["name"] == "my task"
    assert seen["function"].endswith("look")
    assert seen["actor"] is None


def test_actor() -> None:
    @shoal.remote
    class Actor:
        def look(self):
            context = shoal.get_runtime_context()
            return context.get_actor_id(), context.get_actor_name(), context.get_task_id()

        async def unused(self):
            pass

    actor = Actor.options(name="me").remote()
    actor_id, name, task_id = shoal.get(actor.look.remote())
    assert actor_id == actor._actor_id.hex()
    assert name == "me"
    assert task_id


def test_every_call_has_its_own_task_id() -> None:
    @shoal.remote
    def task_id():
        return shoal.get_runtime_context().get_task_id()

    assert len(set(shoal.get([task_id.remote() for _ in range(5)]))) == 5


@pytest.mark.needs("async_actors")
def test_task_id_in_async_calls_side_by_side(gate) -> None:
    @shoal.remote
    class Actor:
        async def look(self, gate):
            before = shoal.get_runtime_context().get_task_id()
            await gate.wait.remote()
            return before, shoal.get_runtime_context().get_task_id()

    actor = Actor.remote()
    refs = [actor.look.remote(gate) for _ in range(3)]
    shoal.get(gate.arrivals.remote(3))
    gate.open.remote()
    assert shoal.get(refs) == [(ref.task_id().hex(),) * 2 for ref in refs]


def test_is_canceled_is_a_question_of_tasks() -> None:
    with pytest.raises(RuntimeError):
        shoal.get_runtime_context().is_canceled()

    @shoal.remote
    def look():
        return shoal.get_runtime_context().is_canceled()

    assert shoal.get(look.remote()) is False


@pytest.mark.session(num_cpus=4, resources={"special": 2})
def test_assigned_resources() -> None:
    @shoal.remote
    def look():
        return shoal.get_runtime_context().get_assigned_resources()

    @shoal.remote
    class Actor:
        def look(self):
            return shoal.get_runtime_context().get_assigned_resources()

    assert shoal.get(look.remote()) == {"CPU": 1}
    assert shoal.get(look.options(num_cpus=0.5, resources={"special": 1}).remote()) == {"CPU": 0.5, "special": 1}
    assert shoal.get(Actor.options(num_cpus=2).remote().look.remote()) == {"CPU": 2}
    assert shoal.get(Actor.remote().look.remote()) == {}


def test_attempt_is_the_same_task(counter) -> None:
    @shoal.remote(retry_exceptions=True)
    def look(counter):
        task_id = shoal.get_runtime_context().get_task_id()
        if shoal.get(counter.add.remote()) < 2:
            raise ValueError
        return task_id

    ref = look.remote(counter)
    assert shoal.get(ref) == ref.task_id().hex()


@pytest.mark.session(namespace="mine")
def test_namespace_reaches_tasks_and_actors(new_counter) -> None:
    @shoal.remote
    def look():
        return shoal.get_runtime_context().namespace

    assert shoal.get(look.remote()) == "mine"


def test_current_actor_outside_an_actor() -> None:
    with pytest.raises(RuntimeError):
        shoal.get_runtime_context().current_actor  # noqa: B018


def test_environment_of_the_driver_is_empty() -> None:
    assert shoal.get_runtime_context().get_runtime_env_string() in ("{}", "")
