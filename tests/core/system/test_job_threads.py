"""Threads for work that blocks."""

from __future__ import annotations

import threading

import pytest

from shoal._core.system.job_threads import JobThreads


def test_no_thread_until_there_is_a_job() -> None:
    before = threading.active_count()
    threads = JobThreads("test-jobs")
    assert threading.active_count() == before
    threads.close()


def test_one_thread_keeps_the_order() -> None:
    order: list[int] = []
    threads = JobThreads("test-jobs", 1)
    for number in range(100):
        threads.submit(lambda number=number: order.append(number))  # type: ignore[misc]
    threads.close()
    assert order == list(range(100))


def test_jobs_run_beside_each_other() -> None:
    threads = JobThreads("test-jobs", 2)
    meeting = threading.Barrier(3)

    def meet() -> None:
        meeting.wait(10)

    for _ in range(2):
        threads.submit(meet)
    meet()
    threads.close()


def test_a_failing_job_is_reported_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: reported.append(arguments.exc_value))
    error = RuntimeError("broken")
    done = threading.Event()

    def fail() -> None:
        raise error

    threads = JobThreads("test-jobs", 1)
    threads.submit(fail)
    threads.submit(done.set)
    threads.close()
    assert reported == [error]
    assert done.is_set()
