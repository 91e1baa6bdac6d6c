"""Rows for those who look inside a session: some the daemon knows, some it asks its clients for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._core.schema import messages
from shoal._core.schema.resources import HEAD_NODE, OBJECT_STORE_MEMORY, UNIT
from shoal._core.system.event_loop import Timer
from shoal._core.system.task_errors import dump_error

if TYPE_CHECKING:
    from shoal._core.process.node import Node

CLIENT_SECONDS = 5.0
"""A client that does not answer within this (its interpreter is busy in C) is left out."""


class _Gathering:
    """One question that is being put to all clients."""

    __slots__ = ("asker", "missing", "request_id", "rows", "timer")

    def __init__(self, asker: bytes, request_id: int) -> None:
        self.asker = asker
        self.request_id = request_id
        self.rows: list[dict[str, Any]] = []
        self.missing: set[bytes] = set()
        self.timer: Timer | None = None


class StateRows:
    """Answers questions about the session. Belongs to the daemon's loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._gatherings: dict[int, _Gathering] = {}
        self._next_id = 1
        self._asker = b""
        self._answers: dict[str, Callable[..., Any]] = {
            "total_resources": self.total_resources,
            "available_resources": self.available_resources,
            "nodes": self.nodes,
            "store": self._store,
            "drain_output": self._drain_output,
            "explain_request": self._explain_request,
            "demand": self._demand,
        }
        self._own_rows: dict[str, Callable[[], list[dict[str, Any]]]] = {
            "nodes": self._node_states,
            "workers": self._workers,
            "jobs": self._jobs,
            "runtime_envs": self._node.environments.rows,
            "events": list,
            "stored_objects": self._stored_objects,
        }

    def answers(self, what: str) -> bool:
        return what in self._answers or what == "state"

    def answer(self, asker: bytes, query: messages.Query) -> None:
        """Answers a client's question, now or when the others have answered."""
        if query.what == "state":
            self._answer_state(asker, query)
            return
        self._asker = asker
        try:
            value = self._answers[query.what](*query.arguments)
        except Exception as error:
            self._node.send_to_client(asker, messages.Answer(query.request_id, None, dump_error(error)))
        else:
            self._node.send_to_client(asker, messages.Answer(query.request_id, value))

    def _answer_state(self, asker: bytes, query: messages.Query) -> None:
        what = query.arguments[0]
        if what in self._own_rows:
            self._node.send_to_client(asker, messages.Answer(query.request_id, self._own_rows[what]()))
        elif what in ("tasks", "objects"):
            self._gather(asker, query.request_id, what)
        else:
            rows = self._node.head_rows(what)
            self._node.send_to_client(asker, messages.Answer(query.request_id, rows))

    # --- asking clients -------------------------------------------------------------------------------------------------------

    def _gather(self, asker: bytes, request_id: int, what: str) -> None:
        gathering = _Gathering(asker, request_id)
        gathering_id = self._next_id
        self._next_id += 1
        for client, peer in self._node.clients.items():
            if peer.hello is not None and peer.hello.role != "tool":
                gathering.missing.add(client)
                self._node.send_to_client(client, messages.Query(gathering_id, what, []))
        self._gatherings[gathering_id] = gathering
        gathering.timer = self._node.call_later(CLIENT_SECONDS, lambda: self._finish(gathering_id))
        if not gathering.missing:
            self._finish(gathering_id)

    def answered(self, client: bytes, answer: messages.Answer) -> None:
        """A client's part of the answer."""
        gathering = self._gatherings.get(answer.request_id)
        if gathering is None:
            return
        pids = {worker.worker_id.hex(): worker.pid for worker in self._node.workers.by_id.values()}
        for row in answer.value or ():
            if row.get("worker_id") and not row.get("worker_pid"):
                row["worker_pid"] = pids.get(row["worker_id"])
            gathering.rows.append(row)
        gathering.missing.discard(client)
        if not gathering.missing:
            self._finish(answer.request_id)

    def client_gone(self, client: bytes) -> None:
        for gathering_id, gathering in list(self._gatherings.items()):
            gathering.missing.discard(client)
            if not gathering.missing:
                self._finish(gathering_id)

    def _finish(self, gathering_id: int) -> None:
        gathering = self._gatherings.pop(gathering_id, None)
        if gathering is not None:
            if gathering.timer is not None:
                gathering.timer.cancel()
            self._node.send_to_client(gathering.asker, messages.Answer(gathering.request_id, gathering.rows))

    # --- what the daemon knows --------------------------------------------------------------------------------------------------

    def total_resources(self) -> dict[str, float]:
        return {name: amount / UNIT for name, amount in self._node.leases.total().items()}

    def available_resources(self) -> dict[str, float]:
        available = {name: amount / UNIT for name, amount in self._node.leases.available().items()}
        stats = self._node.store.stats()
        # The store rounds its capacity up to whole blocks.
        available[OBJECT_STORE_MEMORY] = float(max(0, self._node.config.object_store_bytes - stats.used))
        return available

    def nodes(self) -> list[dict[str, Any]]:
        """The node in the shape of `shoal.nodes()`."""
        config = self._node.config
        return [
            {
                "NodeID": self._node.node_id.hex(),
                "Alive": True,
                "alive": True,
                "NodeManagerAddress": config.node_ip,
                "NodeManagerHostname": os.uname().nodename,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": "",
                "RayletSocketName": config.listen_name,
                "MetricsExportPort": 0,
                "NodeName": config.node_name,
                "RuntimeEnvAgentPort": 0,
                "DeathReason": 0,
                "DeathReasonMessage": "",
                "Resources": self.total_resources(),
                "Labels": self._node.labels,
            }
        ]

    def _explain_request(self, request_id: int) -> str:
        told = self._node.leases.explain(self._asker, request_id, time.monotonic())
        return told.text if told is not None else "it is about to get one"

    def _demand(self) -> list[tuple[dict[str, int], int]]:
        """What is waited for: amounts (in ten-thousandths), and how many leases of them."""
        return [(dict(resources.items()), count) for resources, count in self._node.leases.demand() if count]

    def _drain_output(self) -> bool:
        """Shows all that workers have printed up to now."""
        self._node.workers.read_all_output()
        return True

    def _node_states(self) -> list[dict[str, Any]]:
        config = self._node.config
        return [
            {
                "node_id": self._node.node_id.hex(),
                "node_ip": config.node_ip,
                "is_head_node": HEAD_NODE in self._node.leases.total(),
                "state": "ALIVE",
                "state_message": None,
                "node_name": config.node_name,
                "resources_total": self.total_resources(),
                "labels": self._node.labels,
                "start_time_ms": int(self._node.started * 1000),
                "end_time_ms": None,
            }
        ]

    def _workers(self) -> list[dict[str, Any]]:
        config, node_id = self._node.config, self._node.node_id.hex()
        rows = [
            _worker_row(worker.worker_id, "WORKER", node_id, config.node_ip, worker.pid, worker.started)
            for worker in self._node.workers.by_id.values()
        ]
        for peer in self._node.drivers():
            assert peer.hello is not None
            rows.append(
                _worker_row(peer.worker_id, "DRIVER", node_id, config.node_ip, peer.hello.pid, self._node.started)
            )
        for worker_id, death in self._node.workers.deaths.items():
            row = _worker_row(worker_id, "WORKER", node_id, config.node_ip, death.pid, 0.0)
            row["is_alive"] = False
            row["exit_type"] = "NODE_OUT_OF_MEMORY" if death.oom else "SYSTEM_ERROR" if death.signal else "USER_ERROR"
            row["exit_detail"] = death.explain()
            rows.append(row)
        return rows

    def _jobs(self) -> list[dict[str, Any]]:
        rows = []
        for peer in self._node.drivers():
            assert peer.hello is not None
            rows.append(
                {
                    "job_id": peer.hello.job_id.hex(),
                    "submission_id": None,
                    "type": "DRIVER",
                    "status": "RUNNING",
                    "entrypoint": _command_line(peer.hello.pid),
                    "message": None,
                    "driver_info": {
                        "id": peer.hello.job_id.hex(),
                        "node_ip_address": "127.0.0.1",
                        "pid": peer.hello.pid,
                    },
                    "start_time": int(self._node.started * 1000),
                    "end_time": None,
                }
            )
        return rows

    def _store(self) -> dict[str, Any]:
        stats = self._node.store.stats()
        return {name: getattr(stats, name) for name in stats.__struct_fields__} | {"time": time.time()}

    def _stored_objects(self) -> list[dict[str, Any]]:
        return [
            {"object_id": item.object_id.hex(), "object_size": item.size, "state": item.state, "pins": len(item.pins)}
            for item in self._node.store.objects()
        ]


def _worker_row(worker_id: bytes, kind: str, node_id: str, ip: str, pid: int, started: float) -> dict[str, Any]:
    return {
        "worker_id": worker_id.hex(),
        "is_alive": True,
        "worker_type": kind,
        "exit_type": None,
        "exit_detail": None,
        "node_id": node_id,
        "ip": ip,
        "pid": pid,
        "worker_launch_time_ms": int(started * 1000),
        "worker_launched_time_ms": int(started * 1000),
        "start_time_ms": int(started * 1000),
        "end_time_ms": None,
        "debugger_port": None,
        "num_paused_threads": 0,
    }


def _command_line(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
