"""What the command line prints of a session."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from shoal._core.ops.sessions import now_text, session_folder
from shoal._core.process.launcher import attach_tool
from shoal._core.schema.resources import UNIT
from shoal._core.system.session_folder import is_alive
from shoal.exceptions import ShoalError
from shoal.util.state.listing import list_records
from shoal.util.state.records import RECORDS
from shoal.util.state.summaries import summarize_actors, summarize_objects, summarize_tasks

_SHORT_FIELDS = {
    "actors": ("actor_id", "class_name", "state", "name", "pid"),
    "tasks": ("task_id", "name", "state", "type", "worker_pid", "error_type"),
    "objects": ("object_id", "object_size", "task_status", "reference_type", "pid"),
    "workers": ("worker_id", "worker_type", "is_alive", "pid", "exit_detail"),
    "nodes": ("node_id", "node_ip", "state", "is_head_node"),
    "jobs": ("job_id", "status", "entrypoint"),
}
_BYTES = ("memory", "object_store_memory")


@contextmanager
def _tool(address: str | None) -> Iterator[Any]:
    folder = session_folder(address)
    if not is_alive(folder):
        raise click.ClickException(f"no session runs in {folder}")
    try:
        tool = attach_tool(folder)
    except ShoalError as error:
        raise click.ClickException(str(error)) from None
    try:
        yield tool
    finally:
        tool.shutdown()


def print_status(address: str | None) -> None:
    """Prints nodes, usage of resources and demand."""
    with _tool(address) as tool:
        total, available = tool.total_resources(), tool.available_resources()
        nodes = tool.nodes()
        demand = tool.node.query("demand")
    click.echo(f"======== Status: {now_text()} ========\nNode status")
    click.echo("-" * 63 + "\nActive:")
    for node in nodes:
        click.echo(f" 1 node_{node['NodeID'][:8]} ({node['NodeManagerAddress']})")
    click.echo(
        "Pending:\n (no pending nodes)\nRecent failures:\n (no failures)\n\nResources\n" + "-" * 63 + "\nTotal Usage:"
    )
    for name in sorted(total):
        if not name.startswith("node:"):
            used = total[name] - available.get(name, 0.0)
            click.echo(f" {_amount(name, used)}/{_amount(name, total[name])} {name}")
    click.echo("Pending Demands:")
    if not demand:
        click.echo(" (no resource demands)")
    for amounts, count in demand:
        shape = {name: amount / UNIT for name, amount in amounts.items()}
        click.echo(f" {shape}: {count}+ pending tasks/actors")


def _amount(name: str, value: float) -> str:
    if name in _BYTES:
        return f"{value / 2**30:.2f}GiB"
    return f"{value:.1f}"


def _kind(resource: str) -> str:
    kind = resource.replace("-", "_")
    for candidate in (kind, kind + "s"):
        if candidate in RECORDS:
            return candidate
    raise click.UsageError(f"{resource!r} is none of {', '.join(name.replace('_', '-') for name in RECORDS)}")


def _filters(texts: Sequence[str]) -> list[tuple[str, str, str]]:
    filters = []
    for text in texts:
        sign = "!=" if "!=" in text else "="
        key, found, value = text.partition(sign)
        if not found:
            raise click.UsageError(f"--filter {text!r} is not of the form key=value or key!=value")
        filters.append((key.strip(), sign, value.strip().strip("'\"")))
    return filters


def print_list(
    resource: str, address: str | None, style: str, filters: Sequence[str], limit: int, detail: bool
) -> None:
    """Prints the records of one kind."""
    kind = _kind(resource)
    try:
        records = list_records(kind, session_folder(address), _filters(filters), limit)
    except (ShoalError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    rows = [record.asdict() for record in records]
    if style == "json":
        click.echo(json.dumps(rows, default=str, indent=1))
    elif style == "yaml":
        click.echo("\n".join(_yaml(row) for row in rows))
    else:
        fields = _SHORT_FIELDS.get(kind, RECORDS[kind].fields) if not detail else tuple(RECORDS[kind].fields)
        _print_table(f"{len(rows)} {kind.replace('_', ' ')}", fields, rows)


def _yaml(row: Mapping[str, Any]) -> str:
    lines = [f"{name}: {json.dumps(value, default=str)}" for name, value in row.items()]
    return "- " + "\n  ".join(lines)


def _print_table(title: str, fields: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for field in fields:
        table.add_column(field, overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(field) is None else str(row.get(field)) for field in fields))
    Console(width=None if shutil.get_terminal_size().columns > 100 else 160).print(table)


def print_one(resource: str, id: str, address: str | None) -> None:
    """Prints one record in full."""
    kind = _kind(resource)
    id_field = RECORDS[kind].id_field
    found = list_records(kind, session_folder(address), [(id_field, "=", id)], 100)
    if not found:
        raise click.ClickException(f"there is no {resource} {id}")
    click.echo("\n".join(_yaml(record.asdict()) for record in found))


def print_summary(resource: str, address: str | None) -> None:
    """Prints counts by name and state."""
    folder = session_folder(address)
    functions = {"tasks": summarize_tasks, "actors": summarize_actors, "objects": summarize_objects}
    cluster = functions[resource](folder)["cluster"]
    rows = []
    for name, entry in cluster["summary"].items():
        counts = entry.get("state_counts") or entry.get("ref_type_counts") or {}
        rows.append({"name": name, "counts": ", ".join(f"{state}: {count}" for state, count in sorted(counts.items()))})
    _print_table(f"{resource} by name", ("name", "counts"), rows)


def write_timeline(address: str | None, output: str | None) -> None:
    """Writes a Chrome trace."""
    with _tool(address) as tool:
        events = tool.timeline()
    path = output or f"shoal-timeline-{time.strftime('%Y-%m-%d_%H-%M-%S')}.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(events, file)
    click.echo(f"wrote {len(events)} events to {path}")


def print_logs(
    pattern: str, address: str | None, tail: int, actor_id: str | None, pid: int | None, suffix: str
) -> None:
    """Lists log files, or prints some."""
    from shoal.util.state.log_files import get_log

    folder = session_folder(address)
    logs_dir = os.path.join(folder, "logs")
    if actor_id is not None or pid is not None:
        for line in get_log(folder, actor_id=actor_id, pid=pid, tail=tail, suffix=suffix, errors="replace"):
            click.echo(line, nl=False)
        return
    names = sorted(name for name in os.listdir(logs_dir) if fnmatch.fnmatch(name, pattern))
    if pattern == "*":
        click.echo("\n".join(names))
        return
    for name in names:
        if len(names) > 1:
            click.echo(f"==> {name} <==")
        for line in get_log(folder, filename=name, tail=tail, errors="replace"):
            click.echo(line, nl=False)


def print_memory(address: str | None, stats_only: bool) -> None:
    """Prints the object store's use and all references."""
    with _tool(address) as tool:
        stats = tool.node.query("store")
        rows = [] if stats_only else tool.state("objects")
    used, capacity = stats["used"] / 2**20, stats["capacity"] / 2**20
    click.echo(
        f"object store: {used:.1f} of {capacity:.1f} MiB used, {stats['objects']} objects, "
        f"{stats['pinned'] / 2**20:.1f} MiB pinned, {stats['spilled'] / 2**20:.1f} MiB spilled"
    )
    if not stats_only:
        _print_table(f"{len(rows)} references", _SHORT_FIELDS["objects"], rows)


def print_stacks(address: str | None) -> None:
    """Prints the Python stacks of the session's workers, by py-spy."""
    if shutil.which("py-spy") is None:
        raise click.ClickException("py-spy is not installed: pip install py-spy")
    with _tool(address) as tool:
        workers = tool.state("workers")
    for worker in workers:
        if worker["is_alive"] and worker["pid"]:
            click.echo(f"==> {worker['worker_type']} {worker['pid']} <==")
            done = subprocess.run(
                ["py-spy", "dump", "--pid", str(worker["pid"])], capture_output=True, text=True, check=False
            )
            click.echo(done.stdout or done.stderr)
