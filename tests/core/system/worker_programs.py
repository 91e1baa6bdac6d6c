"""What the workers of the tests run: `run` is their entry, and the config says which function, with which arguments."""

from __future__ import annotations

import ast
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time

from shoal._core.system.worker_streams import installed_worker_streams


def run(config: bytes) -> None:
    name, *arguments = ast.literal_eval(config.decode())
    globals()[name](*arguments)


def say(text: str) -> None:
    print(text)


def say_under_names() -> None:
    streams = installed_worker_streams()
    assert streams is not None
    print("before")
    streams.set_name("f")
    streams.set_name("g")
    print("one", "two")
    print("oops", file=sys.stderr)
    streams.set_name("h")
    streams.set_name("g")
    print("three")
    print("four ", end="", flush=True)
    streams.set_name("Actor(x=\n1)")
    print("five")
    print("six")


def sleep() -> None:
    print("sleeping", flush=True)
    signal.pause()


def exit_at_once(code: int) -> None:
    os._exit(code)


def leave(code: object) -> None:
    sys.exit(code)


def fail() -> None:
    raise LookupError("nothing here")


def crash() -> None:
    print("about to crash")
    ctypes.string_at(0)


def kill_itself(number: int) -> None:
    os.kill(os.getpid(), number)


def use_memory(size: int) -> None:
    block = bytearray(size)
    block[::4096] = b"x" * len(block[::4096])


def draw() -> None:
    numpy = sys.modules.get("numpy")
    print(random.random(), numpy.random.random() if numpy else 0)


def describe() -> None:
    """Prints what a worker may depend on."""
    # The listing itself has a descriptor while it lasts.
    fds = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            fds[int(fd)] = os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
        except FileNotFoundError:
            continue
    with open("/proc/self/oom_score_adj") as file:
        oom_score_adj = file.read().strip()
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    print(
        {
            "fds": fds,
            "is_group_leader": os.getpgid(0) == os.getpid() == os.getsid(0),
            "name": status["Name"],
            "blocked": int(status["SigBlk"], 16),
            "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
            "terminate": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
            "stdin": sys.stdin.read(),
            "oom_score_adj": oom_score_adj,
            "modules": sorted({"json", "decimal", "numpy"} & set(sys.modules)),
            "executable": sys.executable,
            "flavour": os.environ.get("FLAVOUR"),
            "openblas": os.environ.get("OPENBLAS_NUM_THREADS"),
            "cwd": os.getcwd(),
            "path": sys.path,
        }
    )


def interrupted() -> None:
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    except KeyboardInterrupt:
        print("interrupted in", threading.current_thread().name)


def say_at_the_end() -> None:
    import atexit

    ctypes.CDLL(None).puts(b"from C")
    atexit.register(print, "at exit")
    thread = threading.Thread(target=lambda: print("from a thread"))
    thread.start()
    sys.stdout.write("no end of line")


def time_of_first_step() -> None:
    print(time.perf_counter_ns())


def start_strays(levels: int) -> None:
    """Starts descendants that try to get away: each in a session of its own, every second one an orphan."""
    pids = []
    for orphan in (False, True):
        reading, writing = os.pipe()
        if os.fork() == 0:
            _descend(levels, orphan, writing)
            os._exit(0)
        os.close(writing)
        with open(reading) as file:
            pids.extend(int(line) for line in file)
        if orphan:
            os.wait()
    print(*pids, flush=True)
    signal.pause()


def _descend(levels: int, orphan: bool, report: int) -> None:
    os.setsid()
    if levels and os.fork() == 0:
        _descend(levels - 1, orphan, report)
    elif not orphan or not levels:
        os.write(report, b"%d\n" % os.getpid())
        os.close(report)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        signal.pause()
    os._exit(0)


def start_program() -> None:
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print(child.pid, flush=True)
    signal.pause()
