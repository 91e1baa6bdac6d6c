"""What inline mode is for: breakpoints, tracing and output of tasks, in this very process."""

from __future__ import annotations

import os
import sys
import threading

import pytest

import shoal

pytestmark = pytest.mark.usefixtures("session")


def test_breakpoint_in_a_task(monkeypatch) -> None:
    stops = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stops.append(sys._getframe(1)))

    @shoal.remote
    def buggy(x):
        local = x + 1
        breakpoint()
        return local

    assert shoal.get(buggy.remote(1)) == 2
    [frame] = stops
    assert frame.f_locals["local"] == 2
    assert frame.f_code.co_filename == __file__


def test_tracing_sees_the_code_of_tasks_and_actors() -> None:
    seen = set()

    def trace(frame, event, argument):
        if frame.f_code.co_filename == __file__:
            seen.add(frame.f_code.co_name)

    @shoal.remote
    def traced_task():
        return 1

    @shoal.remote
    class Actor:
        def traced_method(self):
            return 1

    before = threading.gettrace()
    threading.settrace(trace)
    try:
        shoal.get([traced_task.remote(), Actor.remote().traced_method.remote()])
    finally:
        threading.settrace(before)  # type: ignore[arg-type]
    assert {"traced_task", "traced_method"} <= seen


def test_output_is_the_programs_own(capsys) -> None:
    @shoal.remote
    def speak():
        print("from the task")

    shoal.get(speak.remote())
    assert capsys.readouterr().out == "from the task\n"


def test_everything_runs_in_this_process() -> None:
    @shoal.remote
    class Actor:
        def pid(self):
            return os.getpid()

    pid = shoal.remote(os.getpid)
    assert shoal.get([pid.remote(), Actor.remote().pid.remote()]) == [os.getpid()] * 2
