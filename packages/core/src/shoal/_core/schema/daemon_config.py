"""What a launcher tells the daemon that it starts."""

from __future__ import annotations

from typing import Any

import msgspec


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one daemon; travels as JSON on its command line."""

    session_dir: str
    session_name: str
    listen_fd: int
    """The listening socket, made by the launcher so that it can connect before the daemon is up."""
    listen_name: str
    lock_fd: int
    driver_pid: int
    """The session ends with this process; 0 for a session that outlives its drivers."""
    joinable: bool
    namespace: str
    job_id: bytes
    sys_path: list[str]
    cwd: str
    resources: dict[str, int]
    """What the node has, in units of 1/10000."""
    gpu_ids: list[int]
    labels: dict[str, str]
    node_ip: str
    node_name: str
    object_store_bytes: int
    store_patience: float = 10.0
    """Seconds for which clients may hold all memory before a request for more is refused."""
    spill_dirs: list[str] = []
    """Where objects go that do not fit, the best first; empty for the session's folder."""
    machine_memory: int = 0
    """Bytes that all processes here may use together; 0 = unknown."""
    memory_refresh_seconds: float = 0.25
    """Between two looks at the machine's memory while work runs; 0 for none."""
    memory_threshold: float = 0.95
    """Share of it above which the largest worker is ended."""
    preload: list[str] = []
    prestart: int = 0
    """Workers to start at once."""
    logging: dict[str, Any] = {}
    """Of a LoggingConfig, for all workers; empty for none."""
    environment_json: str = "{}"
