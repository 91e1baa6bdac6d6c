"""Where code runs, in shoal's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import ray

from shoal.engines import ExecutionContext, SessionInfo
from shoal.integrations.ray.running_function import running_function

if TYPE_CHECKING:
    from shoal.integrations.ray.host import Host


def session_info(address: str) -> SessionInfo:
    """Returns what is known of the Ray that this process belongs to.

    Args:
        address: where the driver joined by Ray Client, which knows no folder and no worker; '' for other processes.
    """
    context = ray.get_runtime_context()
    node_id = context.get_node_id()
    return SessionInfo(
        engine="ray",
        address=address or str(context.gcs_address),
        session_dir="" if address else os.path.join(context.get_temp_dir(), context.get_session_name()),
        node_id=bytes.fromhex(node_id),
        node_ip=ray.util.get_node_ip_address(),
        job_id=bytes.fromhex(context.get_job_id()),
        worker_id=b"" if address else bytes.fromhex(context.get_worker_id()),
        namespace=context.namespace,
        joinable=True,
    )


def execution_context(is_driver: bool, host: Host | None) -> ExecutionContext:
    """Returns what the calling thread runs.

    Args:
        is_driver: whether this process is a driver.
        host: the actor that this process is, if shoal has made it.
    """
    context = ray.get_runtime_context()
    if is_driver:
        return ExecutionContext(environment_json=context.get_runtime_env_string())
    is_async = bool(context.worker.core_worker.current_actor_is_asyncio())
    group_id = _bytes(context.get_placement_group_id())
    actor_id = _bytes(context.get_actor_id())
    return ExecutionContext(
        task_id=_bytes(context.get_task_id()),
        task_name=context.get_task_name() or "",
        function_name=running_function.get() or context.get_task_function_name() or "",
        actor_id=actor_id,
        actor_name=(context.get_actor_name() or "") if actor_id else "",
        is_driver=False,
        in_async_actor=is_async,
        canceled=False if is_async else context.is_canceled(),
        was_reconstructed=host is not None and host.was_reconstructed,
        resources=context.get_assigned_resources(),
        gpu_ids=[int(gpu) if str(gpu).isdigit() else gpu for gpu in ray.get_gpu_ids()],
        placement_group_id=group_id,
        capture_child_tasks=context.should_capture_child_tasks_in_placement_group,
        environment_json=context.get_runtime_env_string(),
    )


def _bytes(hex_id: Any) -> bytes:
    return bytes.fromhex(hex_id) if hex_id else b""
