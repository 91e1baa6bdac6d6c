"""`summarize_*`: how many of what, in which state."""

from __future__ import annotations

from typing import Any

from shoal.util.state.source import read_rows


def summarize_tasks(
    address: str | None = None, timeout: int = 30, raise_on_missing_output: bool = True
) -> dict[str, Any]:
    """Returns counts of tasks by function and state: {'cluster': {'summary': {name: {'state_counts': …}}, 'total_tasks': n, …}}."""
    rows = read_rows("tasks", address)
    summary: dict[str, dict[str, Any]] = {}
    totals = {"NORMAL_TASK": 0, "ACTOR_TASK": 0, "ACTOR_CREATION_TASK": 0}
    for row in rows:
        name = row["func_or_class_name"]
        entry = summary.setdefault(name, {"func_or_class_name": name, "type": row["type"], "state_counts": {}})
        counts = entry["state_counts"]
        counts[row["state"]] = counts.get(row["state"], 0) + 1
        totals[row["type"]] = totals.get(row["type"], 0) + 1
    return {
        "cluster": {
            "summary": summary,
            "total_tasks": totals["NORMAL_TASK"],
            "total_actor_tasks": totals["ACTOR_TASK"],
            "total_actor_scheduled": totals["ACTOR_CREATION_TASK"],
            "summary_by": "func_name",
        }
    }


def summarize_actors(
    address: str | None = None, timeout: int = 30, raise_on_missing_output: bool = True
) -> dict[str, Any]:
    """Returns counts of actors by class and state: {'cluster': {'summary': {class: {'state_counts': …}}, 'total_actors': n}}."""
    rows = read_rows("actors", address)
    summary: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row["class_name"]
        counts = summary.setdefault(name, {"class_name": name, "state_counts": {}})["state_counts"]
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return {"cluster": {"summary": summary, "total_actors": len(rows), "summary_by": "class"}}


def summarize_objects(
    address: str | None = None, timeout: int = 30, raise_on_missing_output: bool = True
) -> dict[str, Any]:
    """Returns counts and sizes of objects by where their references were made."""
    rows = read_rows("objects", address)
    summary: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = row.get("call_site") or "disabled"
        entry = summary.setdefault(
            key, {"total_objects": 0, "total_size_mb": 0.0, "task_state_counts": {}, "ref_type_counts": {}}
        )
        entry["total_objects"] += 1
        entry["total_size_mb"] += row["object_size"] / 2**20
        for counter, value in (("task_state_counts", row["task_status"]), ("ref_type_counts", row["reference_type"])):
            entry[counter][value] = entry[counter].get(value, 0) + 1
    total = sum(row["object_size"] for row in rows) / 2**20
    return {
        "cluster": {
            "summary": summary,
            "total_objects": len(rows),
            "total_size_mb": total,
            "callsite_enabled": False,
            "summary_by": "callsite",
        }
    }
