"""What a session's one node has and is: what the user asked for, completed by what the machine has."""

from __future__ import annotations

import os

from shoal._core.schema.daemon_config import DaemonConfig
from shoal._core.schema.ids import new_job_id
from shoal._core.schema.resources import (
    CPU,
    GPU,
    HEAD_NODE,
    MEMORY,
    OBJECT_STORE_MEMORY,
    ResourceSet,
    accelerator_resource,
    node_resource,
)
from shoal._core.schema.session_request import SessionRequest
from shoal._core.system.machine import detect
from shoal._core.system.session_folder import SessionFolder

MEMORY_SHARE = 0.7
"""Of the available memory, for `memory=` requests."""
STORE_SHARE = 0.3
STORE_LIMIT = 200 << 30
STORE_PATIENCE_SECONDS = 10.0
MOST_PRESTARTED = 8


def daemon_config(
    request: SessionRequest,
    folder: SessionFolder,
    *,
    listen_fd: int,
    listen_name: str,
    driver_pid: int,
    joinable: bool,
    sys_path: list[str],
) -> DaemonConfig:
    """Returns the settings of a daemon for what `init` or `shoal start` was asked for."""
    machine = detect()
    cpus = machine.cpus if request.num_cpus is None else request.num_cpus
    gpus = len(machine.gpu_ids) if request.num_gpus is None else int(request.num_gpus)
    memory = request.memory or int(machine.available_memory * MEMORY_SHARE)
    store = request.object_store_memory or min(STORE_LIMIT, int(machine.available_memory * STORE_SHARE))
    node_ip = request.node_ip or machine.node_ip
    amounts: dict[str, float] = {
        CPU: cpus,
        GPU: gpus,
        MEMORY: memory,
        OBJECT_STORE_MEMORY: store,
        HEAD_NODE: 1,
        node_resource(node_ip): 1,
        **request.resources,
    }
    if gpus and machine.accelerator_type:
        amounts[accelerator_resource(machine.accelerator_type)] = 1
    # GPUs that the user says there are, beyond those that were found, are numbered on.
    gpu_ids = [*machine.gpu_ids, *range(len(machine.gpu_ids), gpus)][:gpus]
    return DaemonConfig(
        session_dir=folder.path,
        session_name=folder.name,
        listen_fd=listen_fd,
        listen_name=listen_name,
        lock_fd=folder.lock_fd,
        driver_pid=driver_pid,
        joinable=joinable,
        namespace=request.namespace or f"anonymous-{os.urandom(8).hex()}",
        job_id=new_job_id(),
        sys_path=sys_path,
        cwd=os.getcwd(),
        resources=dict(ResourceSet.parse(amounts).items()),
        gpu_ids=gpu_ids,
        labels=request.labels,
        node_ip=node_ip,
        node_name=request.node_name or node_ip,
        object_store_bytes=store,
        store_patience=float(request.system_config.get("store_patience_s", STORE_PATIENCE_SECONDS)),
        spill_dirs=[request.object_spilling_directory] if request.object_spilling_directory else [],
        machine_memory=machine.memory,
        memory_refresh_seconds=request.memory_refresh_seconds,
        memory_threshold=request.memory_threshold,
        preload=list(request.preload),
        prestart=min(MOST_PRESTARTED, max(1, int(cpus))),
        logging=request.logging,
        environment_json=request.environment.json.decode() if request.environment is not None else "{}",
    )
