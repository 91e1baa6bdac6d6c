"""The executor, held against what `concurrent.futures` promises."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal.util.futures import Executor, process_map


@pytest.fixture
def executor() -> Iterator[Executor]:
    with Executor(2) as made:
        yield made


def fail(value: int) -> int:
    raise KeyError("none", value)


def test_submit_returns_a_future_of_the_value(executor: Executor) -> None:
    assert executor.submit(pow, 2, 5).result() == 32
    assert executor.submit(lambda **kwargs: kwargs, a=1).result() == {"a": 1}


def test_an_exception_comes_back_as_itself_with_the_remote_traceback(executor: Executor) -> None:
    error = executor.submit(fail, 3).exception()
    assert type(error) is KeyError
    assert error.args == ("none", 3)
    assert "in fail" in str(error.__cause__)


def test_an_exception_that_cannot_be_pickled_is_told_as_text(executor: Executor) -> None:
    def raise_it() -> None:
        class Unpicklable(Exception):
            def __init__(self, one: int, two: int) -> None:
                super().__init__("only one")

        raise Unpicklable(1, 2)

    with pytest.raises(RuntimeError, match=r"Unpicklable: only one \(the exception itself cannot be pickled\)"):
        executor.submit(raise_it).result()


def test_a_result_that_cannot_be_pickled_is_an_error_of_its_call_alone(executor: Executor) -> None:
    results = [executor.submit(threading.Lock if number == 1 else int) for number in range(3)]
    assert [results[0].result(), results[2].result()] == [0, 0]
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        results[1].result()


def test_an_argument_that_cannot_be_pickled_is_an_error_of_its_call_alone(executor: Executor) -> None:
    assert executor.submit(abs, -1).result() == 1
    assert isinstance(executor.submit(print, threading.Lock()).exception(), TypeError)


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_map_gives_results_in_order(executor: Executor, chunksize: int) -> None:
    assert list(executor.map(pow, range(50), [2] * 50, chunksize=chunksize)) == [number**2 for number in range(50)]


def test_map_ends_with_the_shortest_iterable_and_reads_no_further_than_it_must(executor: Executor) -> None:
    assert list(executor.map(pow, [2, 3], [5, 2, 1])) == [32, 9]
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    results = executor.map(abs, numbers(), buffersize=3)
    assert next(results) == 0
    assert len(read) == 4


def test_map_raises_at_the_item(executor: Executor) -> None:
    results = executor.map(lambda number: 1 // number, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_map_times_out() -> None:
    with Executor(1) as executor:
        release = shoal.util.queue.Queue()
        results = executor.map(lambda queue: queue.get(), [release], timeout=0.2)
        with pytest.raises(TimeoutError):
            next(results)
        release.put(1)


def test_no_more_calls_than_workers_run_at_once(tmp_path: Path) -> None:
    def overlap(number: int) -> bool:
        mark = tmp_path / "running"
        mark.touch(exist_ok=False)
        mark.unlink()
        return True

    with Executor(1) as executor:
        assert all(executor.map(overlap, range(30)))


def test_calls_behind_one_that_takes_long_are_made_all_the_same(executor: Executor) -> None:
    def wait(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    assert list(executor.map(wait, [0] * 100)) == [0] * 100
    naps = [0.05, *[0] * 20] * 2
    assert list(executor.map(wait, naps)) == naps


def test_a_call_that_has_not_started_can_be_cancelled_and_one_that_has_cannot() -> None:
    with Executor(1) as executor:
        release = shoal.util.queue.Queue()
        first = executor.submit(release.get)
        second = executor.submit(abs, -1)
        assert second.cancel()
        assert second.cancelled()
        assert not first.cancel()
        assert first.running()
        assert not second.running()
        release.put("done")
        assert first.result() == "done"
        assert not first.running()
        with pytest.raises(concurrent.futures.CancelledError):
            second.result()
        assert concurrent.futures.wait([first, second]).not_done == set()


def test_shutdown_may_cancel_what_waits() -> None:
    executor = Executor(1)
    release = shoal.util.queue.Queue()
    first = executor.submit(release.get)
    waiting = [executor.submit(abs, -1) for _ in range(3)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    release.put(5)
    assert first.result() == 5
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)


def test_a_worker_that_dies_fails_its_call_and_no_other(executor: Executor) -> None:
    died = executor.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(shoal.exceptions.WorkerCrashedError, match="SIGKILL"):
        died.result()
    assert executor.submit(abs, -1).result() == 1


def test_an_initializer_runs_in_each_process_before_calls() -> None:
    def initialize(name: str) -> None:
        os.environ["INITIALIZED"] = name

    with Executor(2, initializer=initialize, initargs=("yes",)) as executor:
        assert set(executor.map(lambda name: os.environ[name], ["INITIALIZED"] * 10)) == {"yes"}


def test_an_initializer_that_fails_breaks_the_executor() -> None:
    def initialize() -> None:
        raise ValueError("not today")

    with (
        Executor(1, initializer=initialize) as executor,
        pytest.raises(concurrent.futures.BrokenExecutor, match="not today"),
    ):
        executor.submit(abs, 1).result()


def test_functions_may_change_their_arguments_and_callers_their_results(executor: Executor) -> None:
    def double(array: np.ndarray) -> np.ndarray:
        array *= 2
        return array

    result = executor.submit(double, np.ones(200_000)).result()
    result += 1
    assert result.sum() == 600_000


def test_as_completed_and_asyncio_take_it(executor: Executor) -> None:
    futures = {executor.submit(abs, -number) for number in range(5)}
    assert {future.result() for future in concurrent.futures.as_completed(futures)} == set(range(5))

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, pow, 2, number) for number in range(4)))

    assert asyncio.run(main()) == [1, 2, 4, 8]


def test_a_map_with_tqdms_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert process_map(pow, [2, 3], [5, 2], max_workers=2, chunksize=2, ascii=True) == [32, 9]
    assert "2/2" in capsys.readouterr().err
    assert process_map(abs, (number for number in (-1, -2)), max_workers=2, disable=True, lock_name="mp_lock") == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"max_workers": 0}, ValueError), ({"max_workers": -1}, ValueError), ({"initializer": 3}, TypeError)],
)
def test_bad_arguments_are_named(arguments: dict[str, int], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Executor(**arguments)  # type: ignore[arg-type]


def test_nothing_is_left_of_its_thread() -> None:
    executor = Executor(1)
    assert executor.submit(abs, -1).result() == 1
    executor.shutdown()
    assert "shoal-executor" not in {thread.name for thread in threading.enumerate()}


def test_an_executor_that_is_forgotten_makes_its_calls_and_ends() -> None:
    before = set(threading.enumerate())
    executor = Executor(1)
    (thread,) = set(threading.enumerate()) - before
    future = executor.submit(abs, -1)
    del executor
    assert future.result() == 1
    thread.join(30)
    assert not thread.is_alive()


AT_EXIT = """
import sys
import shoal
from shoal.util.futures import Executor

def touch(path):
    open(path, "w").close()
    return path

shoal.init(num_cpus=1)
last = Executor(1).map(touch, sys.argv[1:-1])
future = Executor(1).submit(touch, sys.argv[-1])
future.add_done_callback(lambda ended: print(ended.result()))
"""


def test_what_was_submitted_is_done_before_the_program_ends(tmp_path: Path) -> None:
    paths = [str(tmp_path / str(number)) for number in range(3)]
    done = subprocess.run([sys.executable, "-c", AT_EXIT, *paths], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (paths[-1], "")
    assert sorted(map(str, tmp_path.iterdir())) == paths
