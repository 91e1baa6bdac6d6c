"""What a daemon and its fork servers say to each other.

One message is one packet of the channel between them (`fork_channel.py`); both are always of the same version, since
one starts the other.
"""

from __future__ import annotations

import msgspec


class ForkMessage(msgspec.Struct, array_like=True, gc=False):
    """Base of all messages; each has its own tag."""


# --- daemon -> fork server --------------------------------------------------------------------------------------------


class Serve(ForkMessage, tag=1):
    """The first message: what to become."""

    entry: str
    """'module:function', called in each worker with the worker's config."""
    preload: list[str]
    daemon_pid: int
    cwd: str
    """The folder to change to; '' to stay."""


class Fork(ForkMessage, tag=2):
    """Fork a worker. Comes with the descriptors of its stdout and stderr."""

    token: int
    config: bytes


class SpawnFresh(ForkMessage, tag=3):
    """Start a worker in a fresh interpreter. Comes with the descriptors of its stdout and stderr."""

    token: int
    config: bytes
    python_executable: str
    environ: dict[str, str] | None
    """None: this process's."""
    cwd: str
    """'': this process's."""
    sys_path: list[str]


class Preload(ForkMessage, tag=4):
    """Import these too, so that later forks have them."""

    modules: list[str]


class Stop(ForkMessage, tag=5):
    """Kill all workers, report their ends, and end."""


# --- fork server -> daemon --------------------------------------------------------------------------------------------


class Forked(ForkMessage, tag=11):
    """The worker asked for as `token` runs."""

    token: int
    pid: int


class ForkFailed(ForkMessage, tag=12):
    """The worker asked for as `token` could not be started."""

    token: int
    error: str


class Exited(ForkMessage, tag=13):
    """A worker ended."""

    token: int
    pid: int
    status: int
    """As from `os.wait4`; `os.waitstatus_to_exitcode` reads it."""
    peak_memory: int
    """Highest resident memory in bytes, of it or of a child that it waited for; pages shared with the fork server and
    the object store count."""
    user_time: float
    """Seconds."""
    system_time: float
    """Seconds."""


class Preloaded(ForkMessage, tag=14):
    """A module was imported in the fork server or, for the `reason`, was not: forks will not have it."""

    module: str
    ok: bool
    reason: str


# --- made by the daemon's side ----------------------------------------------------------------------------------------


class ServerDied(ForkMessage, tag=21):
    """The fork server ended; its workers are being killed and will each be reported as Exited."""

    status: int
    """As from `os.wait4`."""
    requested: bool
    """Whether the daemon had asked for it (`stop`)."""


Request = Serve | Fork | SpawnFresh | Preload | Stop
Report = Forked | ForkFailed | Exited | Preloaded
Event = Report | ServerDied
