"""The command `shoal`: start and stop sessions on this machine, and look inside them."""

from __future__ import annotations

import sys
from typing import Any

import click

from shoal._core.version import VERSION


class _Commands(click.Group):
    """Commands of this package, and of others that register them in the entry-point group `shoal.commands`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *(entry.name for entry in _installed_commands())})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        own = super().get_command(context, name)
        if own is not None:
            return own
        for entry in _installed_commands():
            if entry.name == name:
                command: click.Command = entry.load()
                return command
        return None


def _installed_commands() -> Any:
    from importlib.metadata import entry_points

    return entry_points(group="shoal.commands")


_address = click.option(
    "--address",
    envvar="SHOAL_ADDRESS",
    default=None,
    help="Folder of the session; by default the newest one of yours that runs.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="shoal")
def main() -> None:
    """Start and stop shoal sessions on this machine, and look inside them."""


@main.command()
@click.option("--head", is_flag=True, help="Start a session (needed: joining one of another machine is not there yet).")
@click.option("--address", default=None, hidden=True)
@click.option("--num-cpus", type=float, default=None, help="CPUs to use; by default those that are there.")
@click.option("--num-gpus", type=float, default=None, help="GPUs to use; by default those that are there.")
@click.option("--resources", default="{}", help="Further resources, as JSON: '{\"special\": 2}'.")
@click.option("--labels", default="", help="Labels of this machine: 'key=value,key=value'.")
@click.option("--memory", type=int, default=None, help="Bytes for memory= requests.")
@click.option("--object-store-memory", type=int, default=None, help="Bytes of the object store.")
@click.option("--temp-dir", default=None, help="Where the session's folder is made.")
@click.option("--block", is_flag=True, help="Stay until the session ends; Ctrl-C ends it.")
@click.option("--include-dashboard", default=None, hidden=True)
@click.option("--disable-usage-stats", is_flag=True, hidden=True)
def start(
    head: bool,
    address: str | None,
    num_cpus: float | None,
    num_gpus: float | None,
    resources: str,
    labels: str,
    memory: int | None,
    object_store_memory: int | None,
    temp_dir: str | None,
    block: bool,
    include_dashboard: str | None,
    disable_usage_stats: bool,
) -> None:
    """Start a session that outlives the programs which use it, until `shoal stop`."""
    from shoal._core.ops.sessions import start_session

    if address is not None or not head:
        raise click.UsageError(
            "only `shoal start --head` is there: nodes cannot join a session of another machine yet. "
            "Programs on this machine join with shoal.init('auto')."
        )
    start_session(
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        resources_json=resources,
        labels_text=labels,
        memory=memory,
        object_store_memory=object_store_memory,
        temp_dir=temp_dir,
        block=block,
    )


@main.command()
@click.option("--force", "-f", is_flag=True, help="Kill at once.")
@click.option("--grace-period", "-g", default=16, show_default=True, help="Seconds to wait before killing.")
def stop(force: bool, grace_period: int) -> None:
    """End all sessions of yours that were started with `shoal start`, with all their processes."""
    from shoal._core.ops.sessions import stop_sessions

    stop_sessions(0.0 if force else float(grace_period))


@main.command()
@_address
def status(address: str | None) -> None:
    """Show nodes, resources and what waits for them."""
    from shoal._core.ops.reports import print_status

    print_status(address)


@main.command("list")
@click.argument("resource")
@_address
@click.option("--format", "style", type=click.Choice(["default", "json", "table", "yaml"]), default="default")
@click.option(
    "--filter", "-f", "filters", multiple=True, help="'key=value' or 'key!=value'; can be given several times."
)
@click.option("--limit", default=100, show_default=True)
@click.option("--detail", is_flag=True, help="Show all fields.")
@click.option("--timeout", default=30, hidden=True)
def list_command(
    resource: str, address: str | None, style: str, filters: tuple[str, ...], limit: int, detail: bool, timeout: int
) -> None:
    """List actors, tasks, objects, nodes, workers, jobs, placement-groups, runtime-envs or cluster-events."""
    from shoal._core.ops.reports import print_list

    print_list(resource, address, style, filters, limit, detail)


@main.command("get")
@click.argument("resource")
@click.argument("id")
@_address
@click.option("--timeout", default=30, hidden=True)
def get_command(resource: str, id: str, address: str | None, timeout: int) -> None:
    """Show one actor, task, object, node, worker, job or placement group by its id."""
    from shoal._core.ops.reports import print_one

    print_one(resource, id, address)


@main.command()
@click.argument("resource", type=click.Choice(["tasks", "actors", "objects"]))
@_address
@click.option("--timeout", default=30, hidden=True)
def summary(resource: str, address: str | None, timeout: int) -> None:
    """Count tasks, actors or objects by name and state."""
    from shoal._core.ops.reports import print_summary

    print_summary(resource, address)


@main.command()
@_address
@click.option("--output", "-o", default=None, help="File to write; by default shoal-timeline-<time>.json.")
def timeline(address: str | None, output: str | None) -> None:
    """Write what ran where and when as a Chrome trace (open it in chrome://tracing or ui.perfetto.dev)."""
    from shoal._core.ops.reports import write_timeline

    write_timeline(address, output)


@main.command()
@click.argument("pattern", default="*")
@_address
@click.option("--tail", default=1000, show_default=True, help="Lines to show; -1 for all.")
@click.option("--actor-id", "--id", default=None)
@click.option("--pid", type=int, default=None)
@click.option("--err", is_flag=True, help="Standard error instead of standard output.")
def logs(pattern: str, address: str | None, tail: int, actor_id: str | None, pid: int | None, err: bool) -> None:
    """List log files, or print those that PATTERN names, or those of an actor or process."""
    from shoal._core.ops.reports import print_logs

    print_logs(pattern, address, tail, actor_id, pid, "err" if err else "out")


@main.command()
@_address
@click.option("--stats-only", is_flag=True)
def memory(address: str | None, stats_only: bool) -> None:
    """Show the object store and the references to objects."""
    from shoal._core.ops.reports import print_memory

    print_memory(address, stats_only)


@main.command()
@_address
def stack(address: str | None) -> None:
    """Print the Python stacks of all workers (needs py-spy)."""
    from shoal._core.ops.reports import print_stacks

    print_stacks(address)


if __name__ == "__main__":
    sys.exit(main())
