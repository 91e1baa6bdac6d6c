"""Commands as processes, on sessions below one temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "shoal._core.ops.cli")


class Commands:
    """Runs `shoal …` in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sessions = folder / "sessions"
        self.environ = {**os.environ, "SHOAL_TMPDIR": str(self.sessions), "COLUMNS": "200"}
        self.environ.pop("SHOAL_ADDRESS", None)

    def run(self, *arguments: str, ok: bool = True) -> str:
        """Returns what a command wrote."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environ,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command, whose output is read line by line."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env={**self.environ, "PYTHONUNBUFFERED": "1"},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
