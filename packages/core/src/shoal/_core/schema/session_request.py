"""What `init` was asked for, checked and frozen: all that a launcher needs to begin or join a session."""

from __future__ import annotations

from typing import Any

import msgspec

from shoal._core.schema.runtime_environment import Environment

START = "start"
JOIN = "join"
INLINE = "inline"
ADAPTER = "adapter"


class SessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `init`. None means: not said, the launcher finds out or decides."""

    kind: str = START
    """START a session of our own, JOIN one that runs, INLINE in this process, or ADAPTER: `scheme` names the engine."""
    address: str | None = None
    """JOIN: 'auto' (the newest that may be joined) or a session folder. ADAPTER: what the user wrote."""
    scheme: str = ""
    """ADAPTER: name in the entry-point group `shoal.engines` ('ray', 'dask')."""
    client: Any = None
    """ADAPTER: the engine's client that the user has given; None for an address."""

    num_cpus: float | None = None
    num_gpus: float | None = None
    resources: dict[str, float] = {}
    """Custom resources of the node."""
    memory: int | None = None
    """Bytes for `memory=` requests."""
    object_store_memory: int | None = None
    """Bytes of the object store."""
    labels: dict[str, str] = {}

    namespace: str | None = None
    """None: one of its own, which no other program can guess."""
    environment: Environment | None = None
    """Of all tasks and actors of the job, unless they say otherwise."""
    metadata: dict[str, str] = {}
    """Of the job."""
    preload: tuple[str, ...] = ()
    """Modules that workers find imported."""
    seed: int | None = None
    """INLINE: order of tasks."""

    log_to_driver: bool = True
    logging: dict[str, Any] = {}
    """Of workers: encoding, log_level, additional_log_standard_attrs (see `shoal.LoggingConfig`)."""
    include_dashboard: bool | None = None
    dashboard_host: str = "127.0.0.1"
    dashboard_port: int | None = None
    metrics_export_port: int | None = None

    temp_dir: str | None = None
    """Where session folders are made."""
    object_spilling_directory: str | None = None
    node_ip: str | None = None
    node_name: str | None = None
    tracing_startup_hook: str | None = None
    memory_refresh_seconds: float = 0.25
    """Between two looks at the machine's memory while work runs; 0 for none."""
    memory_threshold: float = 0.95
    """Share of the machine's memory, 0 to 1, above which the largest worker is ended."""
    system_config: dict[str, Any] = {}
    """Internal settings by name (`_system_config`)."""
