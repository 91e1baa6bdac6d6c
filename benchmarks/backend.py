"""A backend's processes, as the parent sees them: started with its interpreter, listened to, and ended when they hang."""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from process_tree import kill_tree


class BackendFailed(Exception):
    """The process ended, or said nothing for too long."""


@dataclass(frozen=True)
class Backend:
    """Something that the cases can run on.

    Args:
        name: `shoal`, `ray`, `pool` or `floors`.
        python: path of the interpreter that has it.
    """

    name: str
    python: str

    def environment(self) -> dict[str, str]:
        """Environment variables of its processes: this process's, less what would lead Ray's interpreter to our packages."""
        environment = dict(os.environ)
        if self.name == "ray":
            environment.pop("PYTHONPATH", None)
            environment |= {
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
                "RAY_AUTH_MODE": "disabled",
            }
        return environment

    def start(self, *arguments: str) -> Conversation:
        """Runs a Python program that is told, as its last argument, the file descriptor to write its lines to."""
        return Conversation(self, arguments)

    def versions(self) -> str:
        """Its own version and that of its Python, in words."""
        package = {"shoal": "shoal-core", "ray": "ray"}.get(self.name)
        program = (
            "import platform, sys, importlib.metadata as m\n"
            "name = sys.argv[1] if len(sys.argv) > 1 else None\n"
            "try:\n    own = f'{name} {m.version(name)}, ' if name else ''\n"
            "except m.PackageNotFoundError:\n    own = f'{name} (not installed, from its source folder), '\n"
            "print(own + 'Python ' + platform.python_version())"
        )
        command = [self.python, "-c", program, *([package] if package else [])]
        environment = self.environment()
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


class Conversation:
    """A running process of a backend that writes lines of JSON."""

    def __init__(self, backend: Backend, arguments: Sequence[str]) -> None:
        reading, writing = os.pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._reading = reading
        self._unread = b""
        self._process = subprocess.Popen(
            [backend.python, *arguments, str(writing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            pass_fds=[writing],
            env=backend.environment(),
        )
        os.close(writing)

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            kill_tree(self.pid)
        try:
            self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            kill_tree(self.pid)
            self._process.communicate()
        os.close(self._reading)
        self._errors.close()

    def next_message(self, patience: float) -> Any:
        """The next line's content, or None at the end of all lines.

        Args:
            patience: seconds to wait for it.

        Raises:
            BackendFailed: it did not come in time, or the process failed.
        """
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._reading], [], [], patience)
            if not ready:
                raise BackendFailed(f"no answer within {patience:.0f} s")
            received = os.read(self._reading, 65536)
            if not received:
                if self._process.wait(patience) == 0:
                    return None
                raise BackendFailed(f"exit status {self._process.returncode}: {self._last_error()}")
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def say_go_on(self) -> None:
        """Sends an empty line to the process's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing on standard error"
