"""Commands start sessions, or join one that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serve.cli.commands import Commands


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """Commands start theirs, or join one."""


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """With a session that runs."""
    commands = Commands(tmp_path_factory.mktemp("running"))
    commands.run("start", "--head", "--num-cpus", "2")
    yield commands
    commands.run("stop")
