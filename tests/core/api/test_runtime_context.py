"""What code may ask about where it runs, and about the session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal._core.schema.session import ExecutionContext

TASK = ExecutionContext(
    task_id=b"t" * 24,
    task_name="work",
    function_name="module.work",
    is_driver=False,
    canceled=True,
    resources={"CPU": 1.0, "accelerator_type:T4": 0.001},
    gpu_ids=[1],
    placement_group_id=b"p" * 16,
)
ACTOR = ExecutionContext(
    task_id=b"t" * 24, actor_id=b"a" * 16, actor_name="me", is_driver=False, was_reconstructed=True
)


def test_in_the_driver(engine: Any) -> None:
    context = shoal.get_runtime_context()
    assert context.get_node_id() == context.node_id.hex() == "6e" * 16
    assert context.get_job_id() == context.job_id.hex() == b"job1".hex()
    assert context.get_worker_id() == "77" * 16
    assert context.namespace == "fake"
    assert context.get_session_name() == "session_of_a_fake"
    assert context.get_temp_dir() == "/tmp/shoal"
    assert context.get_node_labels() == {"zone": "a"}
    assert context.gcs_address == "local"
    assert context.get_runtime_env_string() == "{}"
    for answer in (
        context.get_task_id,
        context.get_task_name,
        context.get_task_function_name,
        context.get_actor_id,
        context.get_actor_name,
        context.get_placement_group_id,
    ):
        assert answer() is None
    assert set(context.get()) == {"job_id", "node_id", "namespace"}


@pytest.mark.parametrize(
    "ask",
    [
        lambda context: context.get_assigned_resources(),
        lambda context: context.is_canceled(),
        lambda context: context.was_current_actor_reconstructed,
        lambda context: context.current_actor,
        lambda context: context.task_id,
        lambda context: context.actor_id,
    ],
)
def test_questions_that_a_driver_cannot_ask(engine: Any, ask: Any) -> None:
    with pytest.raises(RuntimeError):
        ask(shoal.get_runtime_context())


def test_in_a_task(engine: Any) -> None:
    engine.where = TASK
    context = shoal.get_runtime_context()
    assert context.get_task_id() == context.task_id.hex() == "74" * 24
    assert context.get_task_name() == "work"
    assert context.get_task_function_name() == "module.work"
    assert context.get_actor_id() is None
    assert context.actor_id is None
    assert context.get_assigned_resources() == {"CPU": 1.0}
    assert context.get_accelerator_ids() == {"GPU": ["1"]}
    assert shoal.get_gpu_ids() == [1]
    assert context.is_canceled()
    assert context.get_placement_group_id() == context.current_placement_group_id.hex() == "70" * 16


def test_in_an_actor(engine: Any) -> None:
    handle = shoal.remote(dict).remote()
    engine.where = ACTOR
    context = shoal.get_runtime_context()
    assert context.get_actor_id() == "61" * 16
    assert context.get_actor_name() == "me"
    assert context.was_current_actor_reconstructed
    assert context.current_actor == handle
    assert context.current_actor._shoal_actor.weak


def test_async_actors_get_cancellation_otherwise(engine: Any) -> None:
    engine.where = ExecutionContext(is_driver=False, actor_id=b"a" * 16, in_async_actor=True)
    with pytest.raises(RuntimeError, match="CancelledError"):
        shoal.get_runtime_context().is_canceled()


def test_the_cluster(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shoal.cluster_resources() == {"CPU": 2}
    assert shoal.available_resources() == {"CPU": 2}
    assert shoal.nodes()[0]["Alive"]
    assert shoal.timeline() == [{"name": "f"}]
    assert shoal.timeline(tmp_path / "trace.json") is None
    assert json.loads((tmp_path / "trace.json").read_text()) == [{"name": "f"}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert shoal.get_gpu_ids() == [2, 3]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1a")
    assert shoal.get_gpu_ids() == ["GPU-1a"]
