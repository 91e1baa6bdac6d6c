"""What the daemon tells a worker at its birth."""

from __future__ import annotations

from typing import Any

import msgspec


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one worker process."""

    worker_id: bytes
    daemon_address: str
    job_id: bytes
    namespace: str
    setup_hook: str = ""
    environment_json: str = "{}"
    logging: dict[str, Any] = {}
    """Of a LoggingConfig; empty for none."""
