"""Checks the import contracts of pyproject.toml on shoal as it is installed in this interpreter, and that each of them can fail.

A contract over modules that are misspelt, or not installed, holds without having looked. So every contract also gets violations planted
into a copy of the installed tree, and the check fails where a contract does not notice one of its own.

    python check_contracts.py PYPROJECT_TOML
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Violation(NamedTuple):
    """An import that contract `contract` forbids: `line`, written at the end of the file `path` below the shoal package."""

    contract: str
    path: str
    line: str


VIOLATIONS = (
    Violation("rooms", "_core/logic/planted.py", "import shoal._core.system"),
    Violation("rooms", "_core/system/planted.py", "import shoal._core.logic"),
    Violation("rooms", "_core/schema/planted.py", "import shoal._core.process"),
    Violation("rooms", "_core/process/planted.py", "import shoal._core.api"),
    Violation("rooms", "_core/api/planted.py", "import shoal._core.ops"),
    Violation("rooms", "exceptions.py", "import shoal._core.schema"),
    Violation("no-other-rooms", "_core/planted/__init__.py", ""),
    Violation("pure-logic", "_core/logic/planted.py", "import asyncio"),
    Violation("pure-logic", "_core/logic/planted.py", "from time import monotonic"),
    Violation("pure-logic", "_core/logic/planted.py", "def decide() -> None:\n    import random"),
    Violation("libraries-use-public-names", "data/planted.py", "import shoal._core.api.engine"),
    Violation("libraries-use-public-names", "data/planted.py", "from shoal._common import test_utils"),
    Violation("core-knows-no-library", "_core/api/planted.py", "def late() -> None:\n    import shoal.data"),
    Violation("data-rooms", "data/_internal/blocks/planted.py", "import shoal.data._internal.execution"),
    Violation("data-rooms", "data/_internal/planted/__init__.py", ""),
    Violation("libraries-use-public-names", "train/planted.py", "import shoal._core.api.engine"),
    Violation("core-knows-no-library", "_core/api/planted.py", "def late() -> None:\n    import shoal.train"),
    Violation("train-rooms", "train/_internal/logic/planted.py", "import shoal.train._internal.process.train_worker"),
    Violation("train-rooms", "train/_internal/logic/planted.py", "import threading"),
    Violation("train-without-torch", "train/_internal/process/planted.py", "def late() -> None:\n    import torch"),
    Violation("train-without-torch", "train/_internal/process/planted.py", "import shoal.data"),
    Violation("libraries-use-public-names", "tune/planted.py", "import shoal._core.api.engine"),
    Violation("tune-logic", "tune/_internal/logic/planted.py", "import asyncio"),
    Violation("tune-logic", "tune/_internal/logic/planted.py", "import shoal.tune._internal.process"),
    Violation("libraries-use-public-names", "serve/planted.py", "import shoal._core.api.engine"),
    Violation("libraries-use-public-names", "rllib/planted.py", "import shoal._core.api.engine"),
    Violation("libraries-use-public-names", "util/remote_calls/planted.py", "import shoal._core.api.engine"),
    Violation("serve-logic", "serve/_internal/logic/planted.py", "import asyncio"),
    Violation("serve-logic", "serve/_internal/logic/planted.py", "import shoal.serve._internal.process"),
    Violation("train-below-tune", "train/planted.py", "import shoal.tune"),
    Violation("train-below-tune", "air/planted.py", "def late() -> None:\n    import shoal.tune"),
    Violation("programs-apart", "_core/process/head.py", "import shoal._core.process.worker"),
    Violation("programs-apart", "_core/process/worker.py", "import shoal._core.process.node"),
)


def main() -> int:
    config = Path(sys.argv[1]).resolve()
    installed = installed_package()
    print(f"checking {installed}")

    whole = lint(config, installed.parent)
    if whole.returncode != 0:
        print(whole.stdout, whole.stderr, sep="\n")
        return 1
    print(whole.stdout.strip().splitlines()[-1])

    failures = [f"contract {contract} has no violation to show that it can fail" for contract in untried(config)]
    for violation in VIOLATIONS:
        with tempfile.TemporaryDirectory() as folder:
            plant(violation, shutil.copytree(installed, Path(folder) / installed.name))
            result = lint(config, Path(folder), "--contract", violation.contract)
        if result.returncode == 0 or "BROKEN" not in result.stdout:
            failures.append(f"contract {violation.contract} did not notice {violation.line!r} in {violation.path}")
            print(result.stdout, result.stderr, sep="\n")
    print(*failures or [f"all {len(VIOLATIONS)} planted violations were found"], sep="\n")
    return 1 if failures else 0


def installed_package() -> Path:
    specification = importlib.util.find_spec("shoal")
    if specification is None or specification.origin is None:
        sys.exit("shoal is not installed in this interpreter")
    package = Path(specification.origin).parent
    if "site-packages" not in package.parts:
        sys.exit(f"shoal is at {package}: install its wheel, an editable installation shows one distribution only")
    return package


def lint(config: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the linter on the shoal package in `folder`."""
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command: Sequence[str] = [
        sys.executable,
        "-c",
        program,
        "--config",
        str(config),
        "--no-cache",
        "--no-logo",
        *arguments,
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def plant(violation: Violation, package: Path) -> None:
    path = package / violation.path
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write(f"\n{violation.line}\n")


def untried(config: Path) -> list[str]:
    contracts = tomllib.loads(config.read_text())["tool"]["importlinter"]["contracts"]
    return sorted({contract["id"] for contract in contracts} - {violation.contract for violation in VIOLATIONS})


if __name__ == "__main__":
    sys.exit(main())
