"""What the inline engine can and cannot do, and how it says so."""

from __future__ import annotations

import gc

import pytest

import shoal
from shoal.exceptions import InfeasibleResourcesError, NotSupportedByEngineError


def test_engine_is_complete(session) -> None:
    engine = shoal.engines.current()
    asked = {name for name in vars(shoal.engines.Engine) if not name.startswith("_")}
    assert asked | {"name", "capabilities"} <= set(dir(engine))


def test_capabilities(session) -> None:
    engine = shoal.engines.current()
    assert engine.name == "inline"
    assert {"actors", "async_actors", "streaming", "placement_groups", "state"} <= engine.capabilities
    assert not engine.capabilities & {"process_isolation", "runtime_env", "shared_memory", "spilling"}


def test_environments_are_refused(start) -> None:
    with pytest.raises(NotSupportedByEngineError, match="local_mode"):
        start(runtime_env={"env_vars": {"A": "1"}})


def test_infeasible_task_fails_at_once(session) -> None:
    @shoal.remote(num_cpus=100)
    def big():
        return 1

    with pytest.raises(InfeasibleResourcesError, match="100 CPU") as caught:
        shoal.get(big.remote())
    assert caught.value.requested == {"CPU": 100}


def test_infeasible_actor_fails_at_its_first_call(session) -> None:
    @shoal.remote(resources={"missing": 1})
    class Big:
        def work(self):
            return 1

    with pytest.raises(shoal.exceptions.ActorDiedError, match="missing"):
        shoal.get(Big.remote().work.remote())


def test_infeasible_group_fails_at_once(session) -> None:
    from shoal.util.placement_group import placement_group

    with pytest.raises(InfeasibleResourcesError, match="more than the session has"):
        shoal.get(placement_group([{"CPU": 3}, {"CPU": 3}]).ready())
    with pytest.raises(InfeasibleResourcesError, match="STRICT_SPREAD"):
        shoal.get(placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD").ready())


def objects() -> int:
    """How many there are, when all that can end has ended."""
    shoal.wait([shoal.remote(lambda: 1).remote()])
    gc.collect()
    return len(shoal.engines.current().state("objects"))


def test_objects_are_freed_with_their_last_reference(session) -> None:
    before = objects()
    ref = shoal.put(list(range(100)))
    nested = shoal.put([ref])
    assert objects() == before + 2
    del ref
    assert objects() == before + 2
    del nested
    assert objects() == before


def test_tasks_leave_nothing_behind(session) -> None:
    @shoal.remote
    def work(x, refs):
        return [shoal.put(x), *refs]

    @shoal.remote(num_returns=2)
    def fail():
        raise ValueError

    @shoal.remote
    def stream():
        yield from range(5)

    before = objects()
    value = shoal.get(work.remote(shoal.put(1), [shoal.put(2)]))
    with pytest.raises(ValueError):
        shoal.get(fail.remote())
    next(stream.remote())
    list(stream.remote())
    del value
    assert objects() == before


def test_actors_leave_nothing_behind(session) -> None:
    @shoal.remote
    class Keeper:
        def keep(self, refs):
            self.refs = refs

    before = objects()
    keeper = Keeper.remote()
    shoal.get(keeper.keep.remote([shoal.put(1)]))
    shoal.kill(keeper)
    del keeper
    gc.collect()
    assert objects() == before


def test_exit_of_a_task_is_a_crash(session) -> None:
    @shoal.remote(max_retries=0)
    def leave():
        raise SystemExit(3)

    with pytest.raises(shoal.exceptions.WorkerCrashedError, match="3"):
        shoal.get(leave.remote())


def test_exit_of_an_actor(session) -> None:
    @shoal.remote(max_restarts=1, max_task_retries=1)
    class Leaver:
        def leave(self, status):
            raise SystemExit(status)

        def restarted(self):
            return shoal.get_runtime_context().was_current_actor_reconstructed

    crashing = Leaver.remote()
    with pytest.raises(shoal.exceptions.ActorDiedError):
        shoal.get(crashing.leave.remote(3))
    leaving = Leaver.remote()
    with pytest.raises(shoal.exceptions.ActorDiedError):
        shoal.get(leaving.leave.remote(0))
    with pytest.raises(shoal.exceptions.ActorDiedError):
        shoal.get(leaving.restarted.remote())


def test_actors_end_with_the_actor_that_made_them(session) -> None:
    @shoal.remote
    class Child:
        def work(self):
            return "worked"

    @shoal.remote
    class Parent:
        def make(self):
            self.child = Child.remote()
            return self.child

    parent = Parent.remote()
    child = shoal.get(parent.make.remote())
    assert shoal.get(child.work.remote()) == "worked"
    shoal.kill(parent)
    with pytest.raises(shoal.exceptions.ActorDiedError, match="created it has ended"):
        shoal.get(child.work.remote())
