"""Task records as a Chrome trace (chrome://tracing, Perfetto): one row a worker, one bar a task."""

from __future__ import annotations

from typing import Any


def chrome_trace(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns trace events (times in microseconds) for the tasks that have run."""
    events: list[dict[str, Any]] = []
    workers: dict[str, str] = {}
    for row in rows:
        started, ended, worker = row.get("start_time_ms"), row.get("end_time_ms"), row.get("worker_id")
        if not started or not ended or not worker:
            continue
        node = f"node {str(row['node_id'])[:8]}"
        thread = f"worker {row.get('worker_pid') or str(worker)[:8]}"
        workers[worker] = node
        events.append(
            {
                "cat": f"task:{row['type'].lower()}",
                "name": row["name"],
                "ph": "X",
                "ts": started * 1000,
                "dur": max(0, ended - started) * 1000,
                "pid": node,
                "tid": thread,
                "cname": "bad" if row["state"] == "FAILED" else "good",
                "args": {"task_id": row["task_id"], "attempt": row["attempt_number"], "state": row["state"]},
            }
        )
    events.extend(
        {"name": "process_name", "ph": "M", "pid": node, "args": {"name": node}}
        for node in sorted(set(workers.values()))
    )
    return events
