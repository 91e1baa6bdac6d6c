"""Options of tasks and actors as the keywords that Dask takes for them."""

from __future__ import annotations

from typing import Any

from shoal.engines import (
    ActorOptions,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    TaskOptions,
)
from shoal.exceptions import ActorUnschedulableError, NotSupportedByEngineError, ShoalError, TaskUnschedulableError
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.keys import host_of, node_id_of
from shoal.integrations.dask.limits import DASK

_LABELS = "Give some workers a resource (`dask worker --resources 'ssd=1'`) and ask for it: resources={'ssd': 0.001}."


def task_keywords(options: TaskOptions, connection: Connection) -> dict[str, Any]:
    """Returns what `client.submit` takes for a task. Raises NotSupportedByEngineError, TaskUnschedulableError.

    A task takes one thread of a worker. Where workers have a resource `CPU`, more than one is taken of that.
    """
    held = options.resources.to_floats()
    if held.get("CPU", 0) <= 1:
        held.pop("CPU", None)
    return _keywords(options, held, connection, "a task")


def actor_keywords(options: ActorOptions, connection: Connection) -> dict[str, Any]:
    """The same for an actor, which takes no thread; its CPUs are taken of the resource `CPU`, where workers have that."""
    held = options.resources.to_floats()
    if held.get("CPU", 0) <= 1 and not _has_cpus(connection):
        held.pop("CPU", None)
    return _keywords(options, held, connection, "an actor")


def _keywords(
    options: TaskOptions | ActorOptions, held: dict[str, float], connection: Connection, what: str
) -> dict[str, Any]:
    if options.environment is not None:
        raise DASK.refusal("runtime_env", f"runtime_env= of {what}")
    strategy = options.strategy
    if isinstance(strategy, PlacementGroupStrategy):
        raise DASK.refusal("placement_groups", f"{what} in a placement group")
    if isinstance(strategy, NodeLabelStrategy) or options.label_selector or options.fallback_strategy:
        raise NotSupportedByEngineError(f"placing {what} by labels", _LABELS, DASK.engine)
    if held.get("CPU", 0) > 1 and not _has_cpus(connection):
        raise NotSupportedByEngineError(
            f"num_cpus={held['CPU']:g} of {what} (one takes a single thread of a worker)",
            "Start the workers with a resource of that name (`dask worker --resources 'CPU=4'`), or ask for one.",
            DASK.engine,
        )
    for name in ("memory", "object_store_memory"):
        held.pop(name, None)
    keywords: dict[str, Any] = {}
    if held:
        keywords["resources"] = held
    if isinstance(strategy, NodeAffinityStrategy):
        is_task = isinstance(options, TaskOptions)
        keywords |= _affinity(strategy, connection, TaskUnschedulableError if is_task else ActorUnschedulableError)
    return keywords


def _has_cpus(connection: Connection) -> bool:
    return any("CPU" in worker["resources"] for worker in connection.ask("workers"))


def _affinity(
    strategy: NodeAffinityStrategy, connection: Connection, unschedulable: type[ShoalError]
) -> dict[str, Any]:
    addresses = [worker["address"] for worker in connection.ask("workers")]
    wanted = [address for address in addresses if node_id_of(host_of(address)).hex() == _hex(strategy.node_id)]
    if not wanted and strategy.soft:
        return {}
    if not wanted:
        raise unschedulable(
            f"there is no machine {_hex(strategy.node_id)} with workers; shoal.nodes() lists those that are there"
        )
    return {"workers": wanted, "allow_other_workers": bool(strategy.soft)}


def _hex(node_id: Any) -> str:
    return node_id.hex() if isinstance(node_id, bytes) else str(node_id)
