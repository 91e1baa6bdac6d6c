"""Tasks and methods that are tried again after an error."""

from __future__ import annotations

import os

import pytest

import shoal


def make_flaky(**options):
    """Returns a task that fails with ValueError until its `attempts` counter has counted to `good`."""

    @shoal.remote(**options)
    def flaky(attempts, good, error=ValueError):
        number = shoal.get(attempts.add.remote())
        if number < good:
            raise error(f"attempt {number}")
        return number

    return flaky


def test_errors_are_not_retried_by_default(counter) -> None:
    with pytest.raises(ValueError, match="attempt 1"):
        shoal.get(make_flaky(num_cpus=1).remote(counter, 2))
    assert shoal.get(counter.read.remote()) == 1


def test_all_errors_are_retried_on_request(counter) -> None:
    assert shoal.get(make_flaky(retry_exceptions=True).remote(counter, 3)) == 3


def test_max_retries_limits_the_attempts(counter) -> None:
    flaky = make_flaky(retry_exceptions=True, max_retries=2)
    with pytest.raises(ValueError, match="attempt 3"):
        shoal.get(flaky.remote(counter, 100))
    assert shoal.get(counter.read.remote()) == 3


def test_no_retries(counter) -> None:
    flaky = make_flaky(retry_exceptions=True, max_retries=0)
    with pytest.raises(ValueError, match="attempt 1"):
        shoal.get(flaky.remote(counter, 2))


def test_retries_without_end(counter) -> None:
    assert shoal.get(make_flaky(retry_exceptions=True, max_retries=-1).remote(counter, 12)) == 12


def test_only_the_named_errors_are_retried(new_counter) -> None:
    flaky = make_flaky(retry_exceptions=[ValueError, KeyError])
    assert shoal.get(flaky.remote(new_counter(), 2, ValueError)) == 2
    assert shoal.get(flaky.remote(new_counter(), 2, KeyError)) == 2
    with pytest.raises(TypeError, match="attempt 1"):
        shoal.get(flaky.remote(new_counter(), 2, TypeError))


def test_subclasses_of_the_named_errors_are_retried(counter) -> None:
    flaky = make_flaky(retry_exceptions=[LookupError])
    assert shoal.get(flaky.remote(counter, 2, KeyError)) == 2


def test_options_override_the_decorator(counter) -> None:
    flaky = make_flaky(retry_exceptions=False).options(retry_exceptions=True, max_retries=1)
    assert shoal.get(flaky.remote(counter, 2)) == 2


def test_every_attempt_gets_fresh_arguments(counter) -> None:
    @shoal.remote(retry_exceptions=True)
    def append(values, counter):
        values.append(1)
        if shoal.get(counter.add.remote()) < 3:
            raise ValueError
        return values

    assert shoal.get(append.remote([], counter)) == [1]
    assert shoal.get(append.remote(shoal.put([]), counter)) == [1]


def test_several_results_after_a_retry(counter) -> None:
    @shoal.remote(retry_exceptions=True, num_returns=2)
    def pair(counter):
        if shoal.get(counter.add.remote()) < 2:
            raise ValueError
        return 1, 2

    assert shoal.get(pair.remote(counter)) == [1, 2]


@pytest.mark.parametrize(
    "options", [{"retry_exceptions": 1}, {"retry_exceptions": [3]}, {"retry_exceptions": "ValueError"}]
)
def test_bad_retry_exceptions(options) -> None:
    with pytest.raises((TypeError, ValueError)):
        make_flaky(**options).remote(None, 1)


def make_flaky_actor(**options):
    @shoal.remote(**options)
    class Flaky:
        def __init__(self):
            self.count = 0

        def work(self, good, error=ValueError):
            self.count += 1
            if self.count < good:
                raise error(f"attempt {self.count}")
            return self.count

    return Flaky.remote()


def test_methods_are_not_retried_by_default() -> None:
    actor = make_flaky_actor(max_task_retries=3)
    with pytest.raises(ValueError, match="attempt 1"):
        shoal.get(actor.work.remote(2))


def test_methods_are_retried_on_request() -> None:
    actor = make_flaky_actor(max_task_retries=3)
    assert shoal.get(actor.work.options(retry_exceptions=True).remote(3)) == 3


def test_method_retries_of_the_call_come_first() -> None:
    actor = make_flaky_actor(max_task_retries=0)
    call = actor.work.options(retry_exceptions=[ValueError], max_task_retries=1)
    assert shoal.get(call.remote(2)) == 2
    with pytest.raises(ValueError, match="attempt 4"):
        shoal.get(call.remote(9))


def test_method_decorator_sets_retries() -> None:
    @shoal.remote
    class Flaky:
        def __init__(self):
            self.count = 0

        @shoal.method(max_task_retries=2, retry_exceptions=True)
        def work(self, good):
            self.count += 1
            if self.count < good:
                raise ValueError(f"attempt {self.count}")
            return self.count

    assert shoal.get(Flaky.remote().work.remote(3)) == 3


def test_async_methods_are_retried() -> None:
    @shoal.remote(max_task_retries=2)
    class Flaky:
        def __init__(self):
            self.count = 0

        @shoal.method(retry_exceptions=True)
        async def work(self, good):
            self.count += 1
            if self.count < good:
                raise ValueError(f"attempt {self.count}")
            return self.count

    assert shoal.get(Flaky.remote().work.remote(3)) == 3


@pytest.mark.skipif(shoal.__name__ != "shoal", reason="about shoal's own environment variable")
@pytest.mark.needs("process_isolation")
def test_retries_wait_as_the_environment_asks(tmp_path) -> None:
    """In a program of its own: the delay is read when a session begins."""
    import subprocess
    import sys

    program = """
import time
import shoal

shoal.init(num_cpus=1, log_to_driver=False)
times = []

@shoal.remote(max_retries=1, retry_exceptions=True)
def fail():
    with open(PATH, "a") as file:
        print(time.time(), file=file)
    raise KeyError("again")

try:
    shoal.get(fail.remote())
except KeyError:
    print("failed at last")
shoal.shutdown()
"""
    path = tmp_path / "times"
    done = subprocess.run(
        [sys.executable, "-c", program.replace("PATH", repr(str(path)))],
        env={**os.environ, "SHOAL_task_retry_delay_ms": "400"},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert "failed at last" in done.stdout
    first, second = map(float, path.read_text().split())
    assert second - first >= 0.4
