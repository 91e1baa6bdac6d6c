"""Pools of actors beside other stages, on one processor and on two: every mix runs to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shoal
from shoal.data import ActorPoolStrategy, DataContext, Dataset
from shoal.data.exceptions import ExecutionTimeoutError, InvalidArgumentError


class Same:
    def __call__(self, batch: Any) -> Any:
        return batch


class NoWeights:
    def __init__(self) -> None:
        raise RuntimeError("no weights")

    def __call__(self, batch: Any) -> Any:
        return batch


def same(row: Any) -> Any:
    return row


def rows() -> Dataset:
    return shoal.data.range(40, override_num_blocks=4)


@pytest.fixture(scope="module", params=[1, 2], ids=["one CPU", "two CPUs"])
def cpus(request: pytest.FixtureRequest, no_session_of_other_modules: None) -> Iterator[int]:
    context = DataContext.get_current()
    before = context.target_min_block_size
    context.target_min_block_size = 1
    shoal.init(num_cpus=request.param, log_to_driver=False)
    yield request.param
    shoal.shutdown()
    context.target_min_block_size = before


MIXES: dict[str, Callable[[int], Dataset]] = {
    "pools that want all processors": lambda cpus: (
        rows().map_batches(Same, concurrency=2, num_cpus=1).map_batches(Same, concurrency=2, num_cpus=1)
    ),
    "pools between tasks": lambda cpus: (
        rows()
        .map(same, num_cpus=1)
        .map_batches(Same, concurrency=1, num_cpus=1)
        .map(same, num_cpus=1)
        .map_batches(Same, concurrency=1, num_cpus=1)
        .random_shuffle(seed=1)
    ),
    "a pool larger than the machine": lambda cpus: rows().map_batches(Same, concurrency=5, num_cpus=1),
    "a task that wants all processors": lambda cpus: (
        rows().map_batches(Same, concurrency=1, num_cpus=1).map(same, num_cpus=cpus)
    ),
    "pools on both sides of a join": lambda cpus: (
        rows()
        .map_batches(Same, concurrency=1, num_cpus=1)
        .join(rows().map_batches(Same, concurrency=1, num_cpus=1), "inner", 2)
    ),
    "a pool that grows": lambda cpus: rows().map_batches(Same, compute=ActorPoolStrategy(min_size=1, max_size=3)),
}


@pytest.mark.parametrize("mix", MIXES)
def test_any_mix_ends(mix: str, cpus: int) -> None:
    assert sorted(row["id"] for row in MIXES[mix](cpus).take_all()) == list(range(40))


def test_other_work_that_holds_all_processors_is_no_hindrance(cpus: int) -> None:
    @shoal.remote(num_cpus=1)
    class Holder:
        def ready(self) -> None:
            return

    holders = [Holder.remote() for _ in range(cpus)]
    shoal.get([holder.ready.remote() for holder in holders])
    assert rows().map(same).sum("id") == 780
    for holder in holders:
        shoal.kill(holder)


def test_the_error_of_a_constructor_is_the_users_own(cpus: int) -> None:
    with pytest.raises(RuntimeError, match="no weights") as caught:
        rows().map_batches(NoWeights, concurrency=1).materialize()
    assert "in the constructor of a function of MapBatches(NoWeights)" in getattr(caught.value, "__notes__", [])


@pytest.mark.parametrize("options", [{"resources": {"teapot": 1}}, {"num_gpus": 1}, {"memory": 1 << 45}])
def test_a_stage_that_can_never_run_is_named(options: dict[str, Any], cpus: int) -> None:
    for stage in (rows().map_batches(Same, concurrency=1, **options), rows().map_batches(same, **options)):
        with pytest.raises(InvalidArgumentError, match=r"MapBatches\((Same|same)\) can never run"):
            stage.materialize()


def test_labels_that_no_node_has_name_the_stage(cpus: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Map\(same\) can never run: .*labels"):
        rows().map(same, label_selector={"zone": "moon"}).materialize()


def test_actors_that_do_not_begin_in_time_are_named(cpus: int) -> None:
    class Slow:
        def __init__(self) -> None:
            import threading

            threading.Event().wait(60)

        def __call__(self, batch: Any) -> Any:
            return batch

    context = DataContext.get_current()
    context.wait_for_min_actors_s = 0.3
    try:
        with pytest.raises(ExecutionTimeoutError, match=r"MapBatches\(Slow\).*wait_for_min_actors_s=0.3"):
            rows().map_batches(Slow, concurrency=1).materialize()
    finally:
        context.wait_for_min_actors_s = -1


@pytest.mark.parametrize("function", [same, Same])
def test_options_may_differ_from_worker_to_worker(function: Any, cpus: int, tmp_path: Any) -> None:
    asked = []

    def options() -> dict[str, Any]:
        asked.append(len(asked))
        return {"runtime_env": {"env_vars": {"NUMBER": "7"}}}

    def number(batch: Any) -> Any:
        import os

        return {"number": [os.environ["NUMBER"]]}

    class Number:
        def __call__(self, batch: Any) -> Any:
            return number(batch)

    told = Number if isinstance(function, type) else number
    made = rows().map_batches(told, ray_remote_args_fn=options).take_all()
    assert {row["number"] for row in made} == {"7"}
    assert asked
