"""`shoal serve run`: a session of its own, code that changes, and an end that leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import IO

import httpx
import pytest
from tests.serve.cli.commands import Commands

CODE = """
from shoal import serve

@serve.deployment(ray_actor_options={"num_cpus": 0})
def hello(request):
    return "one"

app = hello.bind()
"""

CONFIG = "{http_options: {port: 0}, applications: [{import_path: 'hello:app', route_prefix: /hello}]}"


@pytest.fixture
def hello(commands: Commands) -> Commands:
    commands.write("hello.py", CODE)
    commands.write("serve.yaml", CONFIG)
    return commands


class Running:
    """A command that serves, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.output: IO[str] = process.stdout

    def says(self, pattern: str) -> str:
        """Returns the first group of a line that matches; waits for it."""
        lines = []
        for line in self.output:
            lines.append(line)
            found = re.search(pattern, line)
            if found is not None:
                return found.group(found.lastindex or 0)
        raise AssertionError("".join(lines))


def served(commands: Commands, *arguments: str) -> Iterator[Running]:
    process = commands.start("serve", "run", *arguments)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


def test_saved_code_is_served_and_broken_code_is_not(hello: Commands) -> None:
    for running in served(hello, "serve.yaml", "--reload"):
        url = running.says(r"default runs at (\S+)\.$")
        assert httpx.get(url).text == "one"
        hello.write("hello.py", CODE.replace("one", "two"))
        running.says("default runs")
        assert httpx.get(url).text == "two"
        hello.write("hello.py", "1 / 0\n")
        assert running.says("ZeroDivisionError: division by zero")
        running.says("What ran before goes on")
        assert httpx.get(url).text == "two"
        hello.write("hello.py", CODE.replace("one", "three"))
        running.says("default runs")
        assert httpx.get(url).text == "three"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_is_clean(hello: Commands, number: signal.Signals) -> None:
    for running in served(hello, "serve.yaml"):
        url = running.says(r"default runs at (\S+)\.$")
        running.process.send_signal(number)
        running.says("Serving ends")
        assert running.process.wait(20) == 0
        assert os.listdir(hello.sessions) == []
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def test_code_that_raises_ends_the_command_with_its_traceback(hello: Commands) -> None:
    hello.write("hello.py", "1 / 0\n")
    error = hello.run("serve", "run", "serve.yaml", ok=False)
    assert "hello.py" in error
    assert "ZeroDivisionError" in error
    assert os.listdir(hello.sessions) == []


def test_it_does_not_leave_a_session_of_its_own_behind(hello: Commands) -> None:
    assert "shoal start --head" in hello.run("serve", "run", "serve.yaml", "--non-blocking", ok=False)
