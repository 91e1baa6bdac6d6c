"""Rows for those who look inside an inline session, in the keys of `shoal.util.state`'s records."""

from __future__ import annotations

import os
import sys
from typing import Any

from shoal._core.process.inline.calls import RUNNING, Call
from shoal._core.schema.resources import UNIT
from shoal._core.schema.session import SessionInfo


def task_row(call: Call, session: SessionInfo, pid: int) -> dict[str, Any]:
    """One call."""
    actor = call.actor
    node_id = session.node_id.hex()
    required = {} if actor is not None else {name: amount / UNIT for name, amount in call.options.resources.items()}  # type: ignore[union-attr]
    return {
        "task_id": call.task_id.hex(),
        "attempt_number": call.attempt,
        "name": call.name,
        "state": call.state,
        "job_id": session.job_id.hex(),
        "actor_id": actor.id.hex() if actor is not None else None,
        "type": "ACTOR_TASK" if actor is not None else "NORMAL_TASK",
        "func_or_class_name": call.function_name,
        "parent_task_id": call.parent.task_id.hex() if call.parent is not None else None,
        "node_id": node_id,
        "worker_id": session.worker_id.hex(),
        "worker_pid": pid,
        "error_type": call.error_type or None,
        "error_message": call.error_message or None,
        "required_resources": required,
        "owner_id": session.worker_id.hex(),
        "creation_time_ms": int(call.submitted * 1000),
        "start_time_ms": int(call.started * 1000) or None,
        "end_time_ms": int(call.ended * 1000) or None,
        "is_running": call.state == RUNNING,
    }


def node_row(
    session: SessionInfo, resources: dict[str, float], labels: dict[str, str], started: float
) -> dict[str, Any]:
    """The one node, as the state API shows it."""
    return {
        "node_id": session.node_id.hex(),
        "node_ip": session.node_ip,
        "is_head_node": True,
        "state": "ALIVE",
        "state_message": None,
        "node_name": session.node_ip,
        "resources_total": resources,
        "labels": labels,
        "start_time_ms": int(started * 1000),
        "end_time_ms": None,
    }


def cluster_node(session: SessionInfo, resources: dict[str, float], labels: dict[str, str]) -> dict[str, Any]:
    """The one node, as `shoal.nodes()` shows it."""
    return {
        "NodeID": session.node_id.hex(),
        "Alive": True,
        "alive": True,
        "NodeManagerAddress": session.node_ip,
        "NodeManagerHostname": os.uname().nodename,
        "NodeManagerPort": 0,
        "ObjectManagerPort": 0,
        "ObjectStoreSocketName": "",
        "RayletSocketName": "",
        "MetricsExportPort": 0,
        "NodeName": session.node_ip,
        "RuntimeEnvAgentPort": 0,
        "DeathReason": 0,
        "DeathReasonMessage": "",
        "Resources": resources,
        "Labels": labels,
    }


def worker_row(session: SessionInfo, pid: int, started: float) -> dict[str, Any]:
    """This process."""
    return {
        "worker_id": session.worker_id.hex(),
        "is_alive": True,
        "worker_type": "DRIVER",
        "exit_type": None,
        "exit_detail": None,
        "node_id": session.node_id.hex(),
        "ip": session.node_ip,
        "pid": pid,
        "worker_launch_time_ms": int(started * 1000),
        "worker_launched_time_ms": int(started * 1000),
        "start_time_ms": int(started * 1000),
        "end_time_ms": None,
        "debugger_port": None,
        "num_paused_threads": 0,
    }


def job_row(session: SessionInfo, pid: int, started: float) -> dict[str, Any]:
    """The one job."""
    return {
        "job_id": session.job_id.hex(),
        "submission_id": None,
        "type": "DRIVER",
        "status": "RUNNING",
        "entrypoint": " ".join(sys.orig_argv),
        "message": None,
        "driver_info": {"id": session.job_id.hex(), "node_ip_address": session.node_ip, "pid": pid},
        "start_time": int(started * 1000),
        "end_time": None,
    }
