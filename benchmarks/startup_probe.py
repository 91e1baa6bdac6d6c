"""A fresh process that starts a session, runs a task, idles until a line arrives on its standard input, and shuts down.

Writes one line of JSON after each of the three. Started by startup.py: `python startup_probe.py MODULE CPUS OUTPUT_FD`.
"""

# mypy: disable-error-code="untyped-decorator"

import time

start = time.perf_counter()

import sys  # noqa: E402

module = __import__(sys.argv[1])
module.init(num_cpus=int(sys.argv[2]), include_dashboard=False, log_to_driver=False)
started = time.perf_counter()


@module.remote
def task() -> bytes:
    return b"ok"


assert module.get(task.remote()) == b"ok"
first_task = time.perf_counter()

import os  # noqa: E402

report = os.fdopen(int(sys.argv[3]), "w", buffering=1)
print(f'{{"import_init": {started - start}, "first_task": {first_task - started}}}', file=report)

sys.stdin.readline()
end = time.perf_counter()
module.shutdown()
print(f'{{"shutdown": {time.perf_counter() - end}}}', file=report)
