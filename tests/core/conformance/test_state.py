"""Looking at a session from inside: state rows and the timeline."""

from __future__ import annotations

import json

import pytest

import shoal

state = pytest.importorskip("shoal.util.state")

pytestmark = [
    pytest.mark.needs("state"),
    pytest.mark.shoal_only,
]  # Ray's rows need its dashboard, which is not started here


def test_tasks() -> None:
    @shoal.remote
    def fine():
        return 1

    @shoal.remote(max_retries=0)
    def broken():
        raise ValueError("in the task")

    ref = fine.remote()
    shoal.get(ref)
    with pytest.raises(ValueError):
        shoal.get(broken.remote())
    rows = {row.name.rpartition(".")[2]: row for row in state.list_tasks(detail=True)}
    assert rows["fine"].state == "FINISHED"
    assert rows["fine"].task_id == ref.task_id().hex()
    assert rows["broken"].state == "FAILED"


def test_actors(counter) -> None:
    shoal.get(counter.add.remote())
    [row] = state.list_actors()
    assert row.state == "ALIVE"
    assert row.actor_id == counter._actor_id.hex()
    shoal.kill(counter)
    with pytest.raises(shoal.exceptions.RayActorError):
        shoal.get(counter.add.remote())
    assert [row.state for row in state.list_actors()] == ["DEAD"]


def test_nodes_and_jobs() -> None:
    [node] = state.list_nodes()
    assert node.node_id == shoal.get_runtime_context().get_node_id()
    assert node.state == "ALIVE"
    [job] = state.list_jobs()
    assert job.job_id == shoal.get_runtime_context().get_job_id()


def test_objects() -> None:
    ref = shoal.put(b"x" * 1_000_000)
    assert ref.hex() in {row.object_id for row in state.list_objects()}


def test_placement_groups() -> None:
    group = shoal.util.placement_group([{"CPU": 1}], name="listed")
    shoal.get(group.ready())
    [row] = state.list_placement_groups()
    assert row.placement_group_id == group.id.hex()
    assert row.state == "CREATED"


def test_timeline(tmp_path) -> None:
    @shoal.remote
    def traced():
        return 1

    shoal.get(traced.remote())
    events = shoal.timeline()
    assert any("traced" in event["name"] for event in events)
    shoal.timeline(filename=str(tmp_path / "trace.json"))
    assert isinstance(json.loads((tmp_path / "trace.json").read_text()), list)
