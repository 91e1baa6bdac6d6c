"""`list_*` and `get_*`: records of what a session has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from shoal._core.api.checks import did_you_mean, integer
from shoal.exceptions import InvalidOptionError
from shoal.util.state.records import (
    RECORDS,
    ActorState,
    ClusterEventState,
    JobState,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateRecord,
    TaskState,
    WorkerState,
)
from shoal.util.state.source import read_rows

MOST = 10_000
"""No call returns more records."""
Filter = tuple[str, str, Any]
R = TypeVar("R", bound=StateRecord)


def list_records(what: str, address: str | None, filters: Iterable[Filter] | None, limit: int) -> list[Any]:
    """Returns the records of one kind that pass all filters.

    Args:
        what: 'actors', 'tasks', ….
        address: folder of the session; None for this process's.
        filters: (key, '=' or '!=', value).
        limit: how many at most.

    Raises:
        InvalidOptionError: (a ValueError) for unknown kinds, keys or predicates.
        ServerUnavailable: the session does not answer.
    """
    record_class = RECORDS.get(what)
    if record_class is None:
        raise InvalidOptionError("resource", what, f"give one of {', '.join(RECORDS)}{did_you_mean(what, RECORDS)}")
    count = integer("limit", limit, low=1)
    if count > MOST:
        raise InvalidOptionError("limit", limit, f"at most {MOST} records are returned at a time")
    checked = [_checked(item, record_class) for item in filters or ()]
    rows = read_rows(what, address)
    return [record_class(row) for row in rows if all(_passes(row, item) for item in checked)][:count]


def _checked(item: Any, record_class: type[StateRecord]) -> Filter:
    if not isinstance(item, (tuple, list)) or len(item) != 3:
        raise InvalidOptionError("filters", item, "give tuples (key, '=' or '!=', value)")
    key, predicate, value = item
    if predicate not in ("=", "!="):
        raise InvalidOptionError("filters", item, "the predicates are '=' and '!='")
    if key not in record_class.fields:
        raise InvalidOptionError("filters", item, f"there is no {key!r}; the keys are {', '.join(record_class.fields)}")
    return key, predicate, value


def _passes(row: Mapping[str, Any], item: Filter) -> bool:
    key, predicate, wanted = item
    return (_text(row.get(key)) == _text(wanted)) == (predicate == "=")


def _text(value: Any) -> str:
    return str(value).lower()


def get_record(what: str, id: str, address: str | None) -> Any:
    """Returns the record of one thing, or None; for tasks all attempts in a list where there are several."""
    found = [record for record in list_records(what, address, None, MOST) if record[RECORDS[what].id_field] == id]
    if not found:
        return None
    return found if what == "objects" or (what == "tasks" and len(found) > 1) else found[0]


def list_actors(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[ActorState]:
    """Returns the session's actors, dead ones included. Arguments and errors as for `list_records`.

    Example:
        >>> import shoal
        >>> from shoal.util.state import list_actors
        >>> _ = shoal.init(num_cpus=1)
        >>> list_actors(filters=[("state", "=", "ALIVE")])
        []
        >>> shoal.shutdown()
    """
    return list_records("actors", address, filters, limit)


def list_tasks(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[TaskState]:
    """Returns the session's tasks and actor calls, the last ended ones included."""
    return list_records("tasks", address, filters, limit)


def list_nodes(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[NodeState]:
    """Returns the session's nodes."""
    return list_records("nodes", address, filters, limit)


def list_workers(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[WorkerState]:
    """Returns the session's processes, with those that died lately and why."""
    return list_records("workers", address, filters, limit)


def list_objects(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[ObjectState]:
    """Returns the objects that processes of the session refer to: one record an object and process."""
    return list_records("objects", address, filters, limit)


def list_jobs(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[JobState]:
    """Returns the programs that are connected to the session."""
    return list_records("jobs", address, filters, limit)


def list_placement_groups(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[PlacementGroupState]:
    """Returns the session's placement groups."""
    return list_records("placement_groups", address, filters, limit)


def list_runtime_envs(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[RuntimeEnvState]:
    """Returns the runtime environments that the session has made."""
    return list_records("runtime_envs", address, filters, limit)


def list_cluster_events(
    address: str | None = None,
    filters: Iterable[Filter] | None = None,
    limit: int = 100,
    timeout: int = 30,
    detail: bool = False,
    raise_on_missing_output: bool = True,
) -> list[ClusterEventState]:
    """Returns the session's events."""
    return list_records("cluster_events", address, filters, limit)


def get_actor(id: str, address: str | None = None, timeout: int = 30) -> ActorState | None:
    """Returns one actor by its id (hex); None where there is none."""
    found: ActorState | None = get_record("actors", id, address)
    return found


def get_task(id: Any, address: str | None = None, timeout: int = 30) -> TaskState | list[TaskState] | None:
    """Returns one task by its id (hex), or the task of a reference; None where there is none."""
    task_id = id if isinstance(id, str) else id.task_id().hex()
    found: TaskState | list[TaskState] | None = get_record("tasks", task_id, address)
    return found


def get_node(id: str, address: str | None = None, timeout: int = 30) -> NodeState | None:
    """Returns one node by its id (hex); None where there is none."""
    found: NodeState | None = get_record("nodes", id, address)
    return found


def get_job(id: str, address: str | None = None, timeout: int = 30) -> JobState | None:
    """Returns one job by its id (hex); None where there is none."""
    found: JobState | None = get_record("jobs", id, address)
    return found


def get_worker(id: str, address: str | None = None, timeout: int = 30) -> WorkerState | None:
    """Returns one process by its id (hex); None where there is none."""
    found: WorkerState | None = get_record("workers", id, address)
    return found


def get_objects(id: str, address: str | None = None, timeout: int = 30) -> list[ObjectState]:
    """Returns what processes know of one object (id in hex)."""
    return get_record("objects", id, address) or []


def get_placement_group(id: str, address: str | None = None, timeout: int = 30) -> PlacementGroupState | None:
    """Returns one placement group by its id (hex); None where there is none."""
    found: PlacementGroupState | None = get_record("placement_groups", id, address)
    return found
