"""The rows about a session's beginning, its idle hours and its end, each time with a fresh process."""

from __future__ import annotations

import time
from pathlib import Path

from backend import Backend
from process_tree import processor_time, proportional_memory
from rows import Goal, Row, Size

PROBE = Path(__file__).with_name("startup_probe.py")
PATIENCE = 120  # seconds until a session that does not answer is given up

ROWS = (
    Row(
        "import_init",
        "import and init",
        "s",
        "in a fresh process, from before the import until init has returned; the interpreter's own start is not in it",
        Goal(0.15),
        "floor_interpreter",
        lower_is_better=True,
    ),
    Row(
        "first_task",
        "first task",
        "s",
        "from then until the first task's result is there",
        Goal(0.05),
        lower_is_better=True,
    ),
    Row("shutdown", "shutdown", "s", "how long shutdown takes", Goal(0.1), lower_is_better=True),
    Row(
        "idle_memory",
        "idle session, memory",
        "MiB",
        "PSS of the driver and all its descendants, some seconds after the first task",
        Goal(60),
        lower_is_better=True,
    ),
    Row(
        "idle_processor",
        "idle session, processor time",
        "ms/s",
        "run time of all threads of those processes over 5 s (2 s with --quick), from /proc/*/task/*/schedstat",
        Goal(0),
        lower_is_better=True,
    ),
)


def measure(backend: Backend, size: Size) -> dict[str, float]:
    """One session's figures by row name.

    Raises:
        BackendFailed: the session ended early, or did not answer.
    """
    with backend.start(str(PROBE), backend.name, str(size.cpus)) as session:
        figures: dict[str, float] = dict(session.next_message(PATIENCE))
        time.sleep(size.count(5, 2))  # until what a start leaves behind has settled
        figures |= idle_figures(session.pid, size.count(5, 2))
        session.say_go_on()
        figures |= session.next_message(PATIENCE)
    return figures


def idle_figures(pid: int, seconds: float) -> dict[str, float]:
    memory = proportional_memory(pid)
    before, start = processor_time(pid), time.perf_counter()
    time.sleep(seconds)
    used, elapsed = processor_time(pid) - before, time.perf_counter() - start
    return {"idle_memory": memory / 2**20, "idle_processor": used / elapsed * 1_000}
