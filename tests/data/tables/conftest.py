"""A PostgreSQL server of the tests' own, on a socket in a temporary folder."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Connect = Callable[[], Any]


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs: Debian keeps them out of the PATH."""
    found = [*sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True), shutil.which("initdb")]
    return next((Path(program).parent for program in found if program), None)


def _absent(reason: str) -> None:
    """Where all has to be tested it is a failure that a part cannot be."""
    if os.environ.get("SHOAL_TESTS_NEED_ALL"):
        pytest.fail(f"SHOAL_TESTS_NEED_ALL is set: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Connect]:
    """Returns what makes new connections to the server's database; the factory can be pickled."""
    try:
        import psycopg
    except ImportError:
        _absent("psycopg is not installed: pip install 'psycopg[binary]'")
    programs = _programs()
    if programs is None:
        _absent("there is no PostgreSQL: apt-get install postgresql")
    assert programs is not None
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    # initdb refuses to work for root.
    as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
    # pytest's own folders are closed to other users, and a socket's path has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="shoal-pg-"))
    log = folder / "log"
    server = None
    try:
        if as_user:
            shutil.chown(folder, user)
        subprocess.run(
            [*as_user, programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "shoal", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            cwd=folder,
            timeout=60,
        )
        arguments = ["-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        # pg_ctl waits until the server answers.
        options = subprocess.list2cmdline(map(str, arguments[2:]))
        subprocess.run(
            [*as_user, programs / "pg_ctl", "-D", folder / "data", "-l", log, "-o", options, "-w", "start"],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=folder,
            timeout=60,
        )
        server = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        target = f"host={folder} user=shoal dbname=postgres"
        yield lambda: psycopg.connect(target)
    finally:
        if server is not None:
            subprocess.run(
                [*as_user, programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop"],
                check=True,
                stdout=subprocess.DEVNULL,
                cwd=folder,
                timeout=60,
            )
        shutil.rmtree(folder)
