"""Tasks: what Dask is given to run, and what runs in the worker."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import dask
from distributed import get_worker

from shoal import cloudpickle
from shoal.engines import STREAMING, TaskTemplate, deserialize
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.errors import captured
from shoal.integrations.dask.head import RETRIES
from shoal.integrations.dask.keys import TASK_ID_SIZE, TaskIds, id_of, keys_of
from shoal.integrations.dask.options import task_keywords
from shoal.integrations.dask.references import DaskObjectRef, pack, unpack
from shoal.integrations.dask.results import Retried, Returns, outcome
from shoal.integrations.dask.running_call import Job, RunningCall, running_call
from shoal.integrations.dask.sessions import session_of_task
from shoal.integrations.dask.streams import DaskStream

_KEPT_DEFINITIONS = 1024
_KEPT_TEMPLATES = 256
_LARGE = 256 * 1024
"""Arguments and functions of more bytes go to a worker first, so that the scheduler need not carry them."""
_USUAL_RETRIES = 3


class TaskSpec(NamedTuple):
    """What a worker needs to know of a task, but its arguments."""

    data: bytes
    """The pickled function."""
    name: str
    task_name: str
    retried: Retried
    returns: Returns
    resources: dict[str, float]
    job: Job


class Prepared(NamedTuple):
    """What is alike in all calls of one template."""

    template: TaskTemplate
    spec: Any
    """The pickled TaskSpec, or the future of it."""
    keywords: dict[str, Any]
    retries: int


class Tasks:
    """Submits tasks.

    Args:
        connection: of this process.
        ids: of its tasks.
    """

    def __init__(self, connection: Connection, ids: TaskIds) -> None:
        self._connection = connection
        self._ids = ids
        self._prepared: dict[tuple[int, Job], Prepared] = {}

    def submit(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any], job: Job
    ) -> list[DaskObjectRef[Any]] | DaskStream:
        """Submits one task. Raises SerializationError, NotSupportedByEngineError."""
        prepared = self._prepared.get((id(template), job)) or self._prepare(template, job)
        connection = self._connection
        payload, awaited, inside = pack(args, kwargs, connection)
        data: Any = payload
        if len(payload) > _LARGE:
            [data] = connection.client.scatter([payload], hash=False)
        count = template.options.num_returns
        key, results = keys_of(template.name, self._ids.new(), count)
        is_limited = template.options.generator_backpressure > 0
        stream = DaskStream(key, connection, is_limited) if count == STREAMING else None
        annotate: Any = dask.annotate  # type: ignore[attr-defined]
        retries = annotate(**{RETRIES: prepared.retries}) if prepared.retries != _USUAL_RETRIES else nullcontext()
        with retries:
            future = connection.client.submit(
                run_task,
                prepared.spec,
                data,
                *[ref.dask_future for ref in awaited],
                key=key,
                pure=False,
                **prepared.keywords,
            )
        connection.hold(future, awaited, inside)
        if stream is not None:
            return stream.begin(future)
        if results == [key]:
            return [DaskObjectRef(future, connection)] if count else []
        submit = connection.client.submit
        parts = [submit(_result, future, index, key=one, pure=False) for index, one in enumerate(results)]
        return [DaskObjectRef(part, connection) for part in parts]

    def _prepare(self, template: TaskTemplate, job: Job) -> Prepared:
        definition, options = template.definition, template.options
        keywords = task_keywords(options, self._connection)
        spec: Any = cloudpickle.dumps(
            TaskSpec(
                definition.data,
                definition.name,
                template.name,
                options.retry_exceptions,
                Returns(options.num_returns, options.generator_backpressure, self._connection.client.id),
                options.resources.to_floats(),
                job,
            )
        )
        if len(spec) > _LARGE:
            [spec] = self._connection.client.scatter([spec], hash=False, broadcast=True)
        if options.retry_exceptions and options.max_retries:
            keywords["retries"] = options.max_retries if options.max_retries > 0 else 2**31
        prepared = Prepared(template, spec, keywords, options.max_retries)
        if len(self._prepared) >= _KEPT_TEMPLATES:
            self._prepared.clear()  # options in which there is a dict make a new template each time
        self._prepared[id(template), job] = prepared  # with the template, so that its id stays its own
        return prepared


def _result(results: tuple[bytes, ...], index: int) -> bytes:
    """Returns one of a task's results. (Dask runs it.)"""
    return results[index]


@lru_cache(maxsize=_KEPT_DEFINITIONS)
def loaded(data: bytes) -> Any:
    """Returns what was pickled: a function, a class, a spec."""
    return pickle.loads(data)


def run_task(spec: bytes, payload: bytes, *values: bytes) -> Any:
    """Runs a task in a worker of Dask's. Returns its result as bytes, or a tuple of such. Raises Failed for what the user's code raises."""
    session = session_of_task()
    task: TaskSpec = loaded(bytes(spec))
    key = str(get_worker().get_current_task())
    call = RunningCall(task.name, task.task_name, id_of(key)[:TASK_ID_SIZE], task.job, task.resources)
    token = running_call.set(call)
    try:
        parts, inside = outcome(session, key, task.name, task.returns, _value(task, payload, values))
        session.settle(call, [key], inside)
        return parts[0] if task.returns.is_one else tuple(parts)
    except Exception as error:
        if isinstance(task.retried, tuple) and not isinstance(error, task.retried):
            session.connection.ask("no_retries", key=key)
        raise captured(error, task.name) from None
    finally:
        running_call.reset(token)


def _value(task: TaskSpec, payload: bytes, values: tuple[bytes, ...]) -> Any:
    function = loaded(task.data)
    args, kwargs = unpack(payload, [deserialize(one) for one in values])
    return function(*args, **kwargs)
