"""What a forked worker has and has not from its fork server, and how it ends."""

from __future__ import annotations

import ast
import os
import signal
from typing import Any

from shoal._core.system.fork_messages import Preloaded


def test_a_worker_is_set_apart(nursery: Any) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    exited, stdout, stderr = nursery.run("describe")
    os.close(reading)
    os.close(writing)
    assert (exited.status, stderr) == (0, "")
    seen = ast.literal_eval(stdout)
    assert seen["fds"] == {0: "/dev/null", 1: "pipe", 2: "pipe"}
    assert seen["is_group_leader"]
    assert seen["name"] == "shoal:worker"
    assert (seen["blocked"], seen["interrupt"], seen["child"], seen["terminate"]) == (0, True, True, True)
    assert seen["stdin"] == ""
    assert seen["oom_score_adj"] == "1000"


def test_descriptors_of_preloaded_modules_stay_open(nursery: Any, tmp_path: Any) -> None:
    (tmp_path / "keeps_open.py").write_text("file = open('/etc/hostname')")
    nursery.server.preload(["keeps_open"])
    while nursery.wait_for(Preloaded).module != "keeps_open":
        continue
    fds = ast.literal_eval(nursery.run("describe")[1])["fds"]
    assert sorted(fds.values()) == ["/dev/null", "/etc/hostname", "pipe", "pipe"]


def test_ctrl_c_interrupts_the_main_thread(nursery: Any) -> None:
    assert nursery.run("interrupted")[1] == "interrupted in MainThread\n"


def test_an_interrupt_that_nobody_catches(nursery: Any) -> None:
    worker = nursery.start("sleep")
    worker.first_line()
    nursery.server.signal(worker.pid, signal.SIGINT)
    assert os.waitstatus_to_exitcode(nursery.exit_of(worker).status) == 130
    assert worker.errors().rstrip().endswith("KeyboardInterrupt")


def test_forks_draw_different_numbers(nursery: Any) -> None:
    nursery.server.preload(["numpy"])
    while nursery.wait_for(Preloaded).module != "numpy":
        continue
    draws = [tuple(map(float, nursery.run("draw")[1].split())) for _ in range(4)]
    assert len({python for python, _ in draws}) == 4
    assert len({numpy for _, numpy in draws}) == 4
    assert all(numpy for _, numpy in draws)


def test_libraries_that_start_threads_are_preloaded_with_one(nursery: Any) -> None:
    nursery.server.preload(["numpy"])
    assert {nursery.wait_for(Preloaded).reason for _ in range(2)} == {""}
    seen = ast.literal_eval(nursery.run("describe")[1])
    assert "numpy" in seen["modules"]
    assert seen["openblas"] == os.environ.get("OPENBLAS_NUM_THREADS")


def test_the_end_is_that_of_an_ordinary_program(nursery: Any) -> None:
    exited, stdout, stderr = nursery.run("say_at_the_end")
    assert (exited.status, stderr) == (0, "")
    assert set(stdout.splitlines()) == {"from a thread", "from C", "no end of lineat exit"}


def test_an_error_is_printed_without_the_frames_of_the_runtime(nursery: Any) -> None:
    stderr = nursery.run("fail")[2]
    assert stderr.startswith("Traceback (most recent call last):\n")
    assert "worker_programs.py" in stderr.splitlines()[1]
    assert stderr.endswith("LookupError: nothing here\n")


def test_a_crash_prints_the_python_stack(nursery: Any) -> None:
    _, stdout, stderr = nursery.run("crash")
    assert stdout == "about to crash\n"
    assert stderr.startswith("Fatal Python error: Segmentation fault")
    assert "worker_programs.py" in stderr and "in crash" in stderr


def test_a_message_of_sys_exit_is_printed(nursery: Any) -> None:
    assert nursery.run("leave", "no more")[2] == "no more\n"
