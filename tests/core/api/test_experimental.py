"""The key-value store, locations of objects, progress, and helpers for tests."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal import _raylet
from shoal._common import test_utils
from shoal._private import internal_api
from shoal.exceptions import InvalidOptionTypeError, ObjectFreedError, UnsupportedError
from shoal.experimental import get_object_locations, internal_kv, preload, set_resource, tqdm_ray


@pytest.fixture
def session(no_session: None) -> Iterator[None]:
    shoal.init(local_mode=True)
    yield
    shoal.shutdown()


def test_keys_and_values(session: None) -> None:
    assert internal_kv._internal_kv_initialized()
    assert not internal_kv._internal_kv_put("a/1", "x", namespace="n")
    assert internal_kv._internal_kv_put(b"a/1", b"y", overwrite=False, namespace=b"n")
    assert internal_kv._internal_kv_get("a/1", namespace="n") == b"x"
    assert internal_kv._internal_kv_get("a/1") is None
    internal_kv._internal_kv_put("a/2", "z", namespace="n")
    assert sorted(internal_kv._internal_kv_list("a/", namespace="n")) == [b"a/1", b"a/2"]
    assert internal_kv._internal_kv_del("a/", del_by_prefix=True, namespace="n") == 2
    assert internal_kv._internal_kv_del("a/1", namespace="n") == 0
    with pytest.raises(InvalidOptionTypeError):
        internal_kv._internal_kv_put(1, b"x")  # type: ignore[arg-type]


def test_locations(session: None) -> None:
    ref = shoal.put(bytes(10))
    assert get_object_locations([ref])[ref]["node_ids"] == [shoal.get_runtime_context().get_node_id()]
    assert get_object_locations([]) == {}
    with pytest.raises(InvalidOptionTypeError):
        get_object_locations([1])  # type: ignore[list-item]
    with pytest.raises(UnsupportedError):
        set_resource("x", 1)


def test_objects_by_hand(session: None) -> None:
    ref = shoal.put(1)
    assert ref.hex() in internal_api.memory_summary()
    internal_api.free(ref)
    internal_api.global_gc()
    with pytest.raises(ObjectFreedError):
        shoal.get(ref)


def test_names_of_internals_are_the_public_things() -> None:
    assert _raylet.ObjectRefGenerator is shoal.ObjectRefGenerator
    assert _raylet.DynamicObjectRefGenerator is shoal.DynamicObjectRefGenerator
    assert _raylet.ObjectRef is shoal.ObjectRef


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tqdm_ray.tqdm(range(3), desc="rows", flush_interval_s=100)) == [0, 1, 2]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("rows: 1/3 (33 %) it")
    assert last.startswith("rows: 3/3 (100 %) it")
    bar = tqdm_ray.tqdm(total=10, unit="files")
    bar.update(5)
    bar.close()
    bar.close()
    assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(TypeError):
        list(bar)


def test_signals_and_semaphores(session: None) -> None:
    signal: Any = test_utils.SignalActor.remote()
    waiting = signal.wait.remote()
    test_utils.wait_for_condition(lambda: shoal.get(signal.cur_num_waiters.remote()) == 1, retry_interval_ms=1)
    shoal.get(signal.send.remote())
    shoal.get(waiting)
    semaphore: Any = test_utils.Semaphore.remote(1)
    shoal.get(semaphore.acquire.remote())
    assert shoal.get(semaphore.locked.remote())
    shoal.get(semaphore.release.remote())


def test_conditions() -> None:
    answers = iter([False, True])
    test_utils.wait_for_condition(lambda: next(answers), retry_interval_ms=0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        test_utils.wait_for_condition(lambda: 1 / 0, timeout=0)  # type: ignore[arg-type, return-value]
    with pytest.raises(ZeroDivisionError):
        test_utils.wait_for_condition(lambda: 1 / 0, raise_exceptions=True)  # type: ignore[arg-type, return-value]

    async def holds(value: int) -> bool:
        await asyncio.sleep(0)
        return value == 3

    asyncio.run(test_utils.async_wait_for_condition(holds, value=3))
    with pytest.raises(RuntimeError):
        asyncio.run(test_utils.async_wait_for_condition(holds, timeout=0, value=4))


def test_programs_as_text() -> None:
    assert test_utils.run_string_as_driver("print('hello')") == "hello\n"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        test_utils.run_string_as_driver("1 / 0")
    assert "ZeroDivisionError" in caught.value.output


def test_preload_wants_a_list_of_names(session: None) -> None:
    preload(["decimal"])
    for wrong in ("decimal", [1], 3):
        with pytest.raises(InvalidOptionTypeError, match="modules"):
            preload(wrong)  # type: ignore[arg-type]


def test_workers_find_what_a_running_session_preloads(no_session: None) -> None:
    class Worker:
        def has(self) -> bool:
            return "this" in sys.modules

    with shoal.init(num_cpus=1):
        workers = [shoal.remote(num_cpus=0)(Worker).remote() for _ in range(3)]
        assert shoal.get([worker.has.remote() for worker in workers]) == [False] * 3
        preload(["this"])
        # Those that wait idle already are used first; a session keeps few of them.
        later = [shoal.remote(num_cpus=0)(Worker).remote() for _ in range(8)]
        assert any(shoal.get([worker.has.remote() for worker in later]))
