"""The command `shoal`, as a process, on real sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import shoal
shoal.init("auto", namespace="tests")

@shoal.remote
class Counter:
    def count(self):
        print("counted")
        return 1

counter = Counter.options(name="kept", lifetime="detached").remote()
assert shoal.get(counter.count.remote()) == 1
"""


class Shoal:
    """Runs commands on sessions of one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.environ = {**os.environ, "SHOAL_TMPDIR": str(folder)}
        self.folder = folder

    def run(self, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "shoal._core.ops.cli", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done

    def program(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", text], env=self.environ, capture_output=True, text=True, timeout=50, check=True
        )


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Shoal]:
    shoal = Shoal(tmp_path)
    yield shoal
    shoal.run("stop")


def test_a_session_outlives_its_drivers_until_it_is_stopped(command: Shoal) -> None:
    told = command.run("start", "--head", "--num-cpus", "2", "--resources", '{"special": 3}').stdout
    assert "shoal.init('auto')" in told
    command.program(PROGRAM)
    command.program(
        "import shoal; shoal.init('auto', namespace='tests'); "
        "assert shoal.get(shoal.get_actor('kept').count.remote()) == 1; "
        "assert shoal.cluster_resources()['special'] == 3"
    )
    rows = json.loads(command.run("list", "actors", "--format", "json").stdout)
    assert [(row["class_name"], row["state"], row["name"]) for row in rows] == [("Counter", "ALIVE", "kept")]
    command.run("stop")
    assert not list(command.folder.glob("session_*"))


def test_what_a_command_shows_of_a_session(command: Shoal) -> None:
    command.run("start", "--head", "--num-cpus", "2")
    command.program(PROGRAM)
    assert "0.0/2.0 CPU" in command.run("status").stdout
    [row] = json.loads(command.run("list", "actors", "-f", "state=ALIVE", "--format", "json").stdout)
    assert "Counter" in command.run("get", "actor", row["actor_id"]).stdout
    assert json.loads(command.run("list", "actors", "-f", "state=DEAD", "--format", "json").stdout) == []
    assert "ALIVE: 1" in command.run("summary", "actors").stdout
    assert command.run("logs", "--pid", str(row["pid"])).stdout == "counted\n"
    assert "object store:" in command.run("memory").stdout
    trace = command.folder / "trace.json"
    command.run("timeline", "--output", str(trace))
    assert isinstance(json.loads(trace.read_text()), list)


def test_wrong_use_is_explained(command: Shoal) -> None:
    assert "shoal start --head" in command.run("status", ok=False).stderr
    assert "nodes cannot join" in command.run("start", ok=False).stderr
    assert "--resources" in command.run("start", "--head", "--resources", "{", ok=False).stderr
    command.run("start", "--head", "--num-cpus", "1")
    assert "actors, tasks" in command.run("list", "actresses", ok=False).stderr
    assert "key=value" in command.run("list", "actors", "-f", "state", ok=False).stderr
    assert "'colour'" in command.run("list", "actors", "-f", "colour=red", ok=False).stderr


def test_stopping_nothing_says_so(command: Shoal) -> None:
    assert "No session runs" in command.run("stop").stderr
