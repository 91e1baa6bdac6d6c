"""What processes ask the kernel about themselves."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal
from shoal._core.system.process_control import become_subreaper, die_with_parent, set_process_name
{text}
"""


def output_of(text: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(text=text)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_name_is_shown() -> None:
    assert (
        output_of("set_process_name('shoal:a-long-name'); print(open('/proc/self/comm').read())") == "shoal:a-long-na"
    )


def test_dying_with_the_parent() -> None:
    text = """
reading, writing = os.pipe()
parent = os.getpid()
if os.fork() == 0:
    child = os.getpid()
    if os.fork() == 0:
        assert die_with_parent(signal.SIGKILL, child)
        os.write(writing, b"ready")
        signal.pause()
    os.read(reading, 5)
    os._exit(0)
os.close(writing)
os.wait()
print(os.read(reading, 1))  # The end comes when nobody has the pipe any more.
"""
    assert output_of(text) == "b''"


def test_a_parent_that_is_gone_already() -> None:
    assert output_of("print(die_with_parent(signal.SIGKILL, 1))") == "False"


def test_orphans_come_to_the_subreaper() -> None:
    text = """
become_subreaper()
reading, writing = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.read(reading, 1)
        os._exit(os.getppid() % 100)
    os._exit(0)
os.wait()
os.write(writing, b"x")
print(os.waitstatus_to_exitcode(os.wait()[1]) == os.getpid() % 100)
"""
    assert output_of(text) == "True"
