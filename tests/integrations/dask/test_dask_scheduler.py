"""Dask's collections on shoal, held against Dask's own threads."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.diagnostics import Profiler, ProgressBar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoal
from shoal.util.dask import (
    ProgressBarCallback,
    RayDaskCallback,
    ShoalDaskCallback,
    disable_dask_on_shoal,
    enable_dask_on_shoal,
    shoal_dask_get,
    shoal_dask_get_sync,
    shoal_dask_persist,
)
from shoal.util.futures import Executor


@pytest.fixture(autouse=True)
def _scheduler() -> Iterator[None]:
    with dask.config.set(scheduler=shoal_dask_get):
        yield


def arrays() -> Any:
    numbers = da.random.default_rng(3).random((400, 300), chunks=(100, 100))
    return (numbers @ numbers.T).sum(axis=0), numbers.mean(), numbers[::2, 5:].std(axis=1)


def tables() -> Any:
    table = dd.from_pandas(pd.DataFrame({"key": np.arange(1000) % 7, "value": np.arange(1000.0)}), npartitions=5)
    merged = table.merge(table.groupby("key").value.mean().rename("mean").reset_index(), on="key")
    return (
        table.groupby("key").value.sum(),
        table.value.quantile(0.5),
        merged["mean"].sum(),
        table.shuffle("key").key.nunique(),
    )


def bags() -> Any:
    bag = db.from_sequence(range(100), npartitions=4)
    return bag.map(lambda number: number**2).filter(lambda number: number % 2).sum(), bag.frequencies()


def functions() -> Any:
    parts = [dask.delayed(pow)(number, 2) for number in range(10)]
    return dask.delayed(sum)(parts), dask.delayed({"a": parts[:2], "b": [1, (2, parts[3])]})


@pytest.mark.parametrize("collections", [arrays, tables, bags, functions], ids=lambda collections: collections.__name__)
def test_results_equal_those_of_dasks_threads(collections: Any) -> None:
    found = dask.compute(*collections())
    expected = dask.compute(*collections(), scheduler="threads")
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, (pd.Series, pd.DataFrame)):
            pd.testing.assert_series_equal(one.sort_index(), other.sort_index())
        elif isinstance(one, np.ndarray):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        elif isinstance(one, list):
            assert sorted(one) == sorted(other)
        else:
            assert one == pytest.approx(other) if isinstance(one, float) else one == other


def test_a_plain_graph() -> None:
    graph = {"x": 1, "y": (operator.add, "x", 10), "z": (sum, ["x", "y", 100]), "same": "y"}
    assert shoal_dask_get(graph, "z") == 112
    assert shoal_dask_get(graph, ["x", ["y", "same"]]) == (1, (11, 11))
    assert shoal_dask_get_sync(graph, "z") == 112


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Graphs whose tasks are literals, other tasks by name, sums, and sums of lists within lists."""
    graph: dict[str, Any] = {"key 0": draw(st.integers(-9, 9))}
    for number in range(1, draw(st.integers(1, 12))):
        key = st.sampled_from(sorted(graph))
        graph[f"key {number}"] = draw(
            st.integers(-9, 9)
            | key
            | st.tuples(st.just(operator.add), key, key | st.integers(-9, 9))
            | st.tuples(st.just(sum), st.lists(key, max_size=4))
            | st.tuples(st.just(operator.add), st.tuples(st.just(operator.mul), key, key), key)
        )
    return graph


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(), st.data())
def test_any_graph_gives_what_it_gives_in_this_process(graph: dict[str, Any], data: st.DataObject) -> None:
    keys = data.draw(st.sampled_from(sorted(graph)) | st.lists(st.sampled_from(sorted(graph)), min_size=1, max_size=3))
    assert shoal_dask_get(graph, keys) == dask.get(graph, keys)


def test_tasks_run_in_workers() -> None:
    assert dask.delayed(lambda: shoal.get_runtime_context().get_task_id())().compute() is not None


def test_large_results_may_be_changed() -> None:
    result = da.ones(300_000, chunks=100_000).compute()
    result += 1
    assert result.sum() == 600_000


def test_an_exception_comes_back_as_itself() -> None:
    def divide(dividend: int, divisor: int) -> float:
        return dividend / divisor

    with pytest.raises(ZeroDivisionError) as caught:
        dask.delayed(sum)([dask.delayed(divide)(1, 0), 1]).compute()
    assert type(caught.value) is ZeroDivisionError
    assert "in divide" in str(caught.value.__cause__)


def test_persisted_collections_are_computed_further() -> None:
    times: Any = dask.delayed(time.monotonic)()
    (kept,) = shoal_dask_persist(times)
    assert kept.compute() == kept.compute()
    (numbers,) = dask.persist(da.arange(100, chunks=10), shoal_persist=True)
    assert any(isinstance(value, shoal.ObjectRef) for value in dict(numbers.dask).values())
    assert int((numbers + 1).sum().compute()) == 5050


def test_options_of_single_tasks() -> None:
    with dask.annotate(shoal_remote_args={"num_cpus": 0.5}):
        resources = dask.delayed(lambda: shoal.get_runtime_context().get_assigned_resources())()
    assert resources.compute(optimize_graph=False)["CPU"] == 0.5
    assert dask.compute(resources, shoal_remote_args={"num_cpus": 2}, optimize_graph=False)[0]["CPU"] in {0.5, 2}


def test_hooks_around_tasks() -> None:
    heard: list[Any] = []

    class Hooks(ShoalDaskCallback):
        def _shoal_presubmit(self, task: Any, key: Any, deps: Any) -> None:
            heard.append("presubmit")

        def _shoal_postsubmit(self, task: Any, key: Any, deps: Any, object_ref: Any) -> None:
            heard.append(type(object_ref))

        def _shoal_postsubmit_all(self, object_refs: list[Any], dsk: Any) -> None:
            heard.append(len(object_refs))

        def _shoal_finish(self, result: Any) -> None:
            heard.append(result)

    with Hooks():
        assert dask.delayed(abs)(-3).compute() == 3
    assert heard == ["presubmit", shoal.ObjectRef, 1, (3,)]
    dask.delayed(abs)(-3).compute()
    assert len(heard) == 4


def test_a_hook_may_give_the_result() -> None:
    with ShoalDaskCallback(shoal_presubmit=lambda task, key, deps: 17):
        assert dask.delayed(abs)(-3).compute() == 17


def test_hooks_in_workers_under_rays_names() -> None:
    seen = shoal.util.queue.Queue()

    class Hooks(RayDaskCallback):
        def _ray_pretask(self, key: Any, object_refs: Any) -> str:
            return "state"

        def _ray_posttask(self, key: Any, result: Any, pre_state: Any) -> None:
            seen.put((result, pre_state))

    with Hooks():
        dask.delayed(abs)(-3).compute()
    assert seen.get(timeout=30) == (3, "state")


def test_a_hook_that_does_not_exist_is_named() -> None:
    with pytest.raises(TypeError, match="shoal_presumbit"):
        ShoalDaskCallback(shoal_presumbit=print)


def test_dasks_own_callbacks_hear_of_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    with Profiler() as profiler, ProgressBar(), ProgressBarCallback():
        dask.delayed(sum)([dask.delayed(abs)(-number) for number in range(3)]).compute(optimize_graph=False)
    assert len(profiler.results) == 4
    assert "100%" in capsys.readouterr().out


def test_it_can_be_switched_on_and_off() -> None:
    with dask.config.set(scheduler=None):
        with enable_dask_on_shoal():
            assert dask.config.get("scheduler") is shoal_dask_get
        assert dask.config.get("scheduler") is None
        enable_dask_on_shoal()
        assert dask.config.get("scheduler") is shoal_dask_get
        disable_dask_on_shoal()
        assert dask.config.get("scheduler", None) is None


def test_dask_takes_the_executor() -> None:
    with Executor(2) as executor:
        assert dask.compute(da.arange(100, chunks=10).sum(), scheduler=executor) == (4950,)
