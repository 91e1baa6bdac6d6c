"""What a program may know of its session and of where its code runs."""

from __future__ import annotations

import msgspec


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One session, as seen by one driver or worker."""

    engine: str
    address: str
    """What `init(address)` takes to join it: the session folder, or 'local'."""
    session_dir: str
    node_id: bytes
    node_ip: str
    job_id: bytes
    worker_id: bytes
    namespace: str
    joinable: bool
    """True for a session that others may join (`shoal start`)."""


class ExecutionContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where the calling code runs. All ids are empty where they do not apply."""

    task_id: bytes = b""
    task_name: str = ""
    function_name: str = ""
    actor_id: bytes = b""
    actor_name: str = ""
    attempt: int = 0
    is_driver: bool = True
    in_async_actor: bool = False
    canceled: bool = False
    was_reconstructed: bool = False
    resources: dict[str, float] = {}
    gpu_ids: list[int] = []
    placement_group_id: bytes = b""
    capture_child_tasks: bool = False
    """Children inherit the placement group."""
    environment_json: str = "{}"
