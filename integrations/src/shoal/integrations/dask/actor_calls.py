"""What goes to the worker of an actor: how to make it, and its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shoal.integrations.dask.references import DaskObjectRef
from shoal.integrations.dask.results import Retried, Returns
from shoal.integrations.dask.running_call import Job, RunningCall


class ActorSpec(NamedTuple):
    """What a worker needs to know of an actor, but its arguments."""

    actor: str
    data: bytes
    """The pickled class."""
    template: bytes
    job: Job
    resources: dict[str, float]


class MethodSpec(NamedTuple):
    """What a worker needs to know of a call, but its arguments."""

    method: str
    group: str
    name: str
    retries: int | None
    retried: Retried
    returns: Returns
    job: Job


@dataclass(slots=True, eq=False)
class Call:
    """One call that an actor has got.

    Args:
        task: key of the call.
        spec: what it calls.
        payload: its arguments.
        awaited: keys of those of which the values are needed.
        keys: of its results.
        retries: how often it may be run again.
    """

    task: str
    spec: MethodSpec
    payload: bytes
    awaited: list[str]
    keys: list[str]
    retries: int
    running: RunningCall | None = None
    refs: list[DaskObjectRef[Any]] = field(default_factory=list)
    """Of what it waits for before its turn comes, where calls need not keep their order."""
