"""Tasks: what Dask is given to run, and what runs in the worker."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import dask
from distributed import get_worker

from shoal import DynamicObjectRefGenerator, cloudpickle
from shoal.engines import DYNAMIC, STREAMING, TaskTemplate, deserialize
from shoal.integrations.dask.connection import Connection
from shoal.integrations.dask.errors import captured
from shoal.integrations.dask.head import RETRIES
from shoal.integrations.dask.keys import NO_RESULT, TASK_ID_SIZE, TaskIds, id_of, key_of
from shoal.integrations.dask.options import task_keywords
from shoal.integrations.dask.references import DaskObjectRef, pack, unpack
from shoal.integrations.dask.results import packed, results_of
from shoal.integrations.dask.running_call import Job, RunningCall, running_call
from shoal.integrations.dask.sessions import ensure_session
from shoal.integrations.dask.streams import DaskStream

if TYPE_CHECKING:
    from shoal.integrations.dask.engine import DaskEngine

Retried = bool | tuple[type[BaseException], ...]
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
    num_returns: int
    backpressure: int
    resources: dict[str, float]
    job: Job
    client: str
    """Who consumes the items, if it is a stream."""


class Prepared(NamedTuple):
    """What is alike in all calls of one template."""

    template: TaskTemplate
    spec: Any
    """The pickled TaskSpec, or the future of it."""
    run: Callable[..., Any]
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
        task_id = self._ids.new()
        count = template.options.num_returns
        key = key_of(template.name, task_id, 0 if count in (1, DYNAMIC) else NO_RESULT)
        annotate: Any = dask.annotate  # type: ignore[attr-defined]
        retries = annotate(**{RETRIES: prepared.retries}) if prepared.retries != _USUAL_RETRIES else nullcontext()
        with retries:
            future = connection.client.submit(
                prepared.run,
                prepared.spec,
                data,
                *[ref.dask_future for ref in awaited],
                key=key,
                pure=False,
                **prepared.keywords,
            )
        if count == STREAMING:
            stream = DaskStream(future, connection, template.options.generator_backpressure > 0)
            connection.hold(future, awaited, inside)
            return stream
        connection.hold(future, awaited, inside)
        if count in (1, DYNAMIC):
            return [DaskObjectRef(future, connection)]
        return [
            DaskObjectRef(
                connection.client.submit(_result, future, index, key=key_of(template.name, task_id, index), pure=False),
                connection,
            )
            for index in range(count)
        ]

    def _prepare(self, template: TaskTemplate, job: Job) -> Prepared:
        definition, options = template.definition, template.options
        keywords = task_keywords(options, self._connection)
        spec: Any = cloudpickle.dumps(
            TaskSpec(
                definition.data,
                definition.name,
                template.name,
                options.retry_exceptions,
                options.num_returns,
                options.generator_backpressure,
                options.resources.to_floats(),
                job,
                self._connection.client.id,
            )
        )
        if len(spec) > _LARGE:
            [spec] = self._connection.client.scatter([spec], hash=False, broadcast=True)
        if options.retry_exceptions and options.max_retries:
            keywords["retries"] = options.max_retries if options.max_retries > 0 else 2**31
        run = run_generator if options.num_returns in (STREAMING, DYNAMIC) else run_task
        prepared = Prepared(template, spec, run, keywords, options.max_retries)
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
    """Runs a task in a worker of Dask's. Raises Failed for what the user's code raises."""
    session = ensure_session()
    task: TaskSpec = loaded(bytes(spec))
    key = str(get_worker().get_current_task())
    call = _begin(task, key)
    token = running_call.set(call)
    try:
        data, inside = _outcome(task, payload, values)
        session.settle(call, [key], inside)
        return data
    except Exception as error:
        raise _failure(session, task, key, error) from None
    finally:
        running_call.reset(token)


def _outcome(task: TaskSpec, payload: bytes, values: tuple[bytes, ...]) -> tuple[Any, list[str]]:
    """Returns a task's result as bytes (a tuple of such, where there are several), and what is referred to inside."""
    result = _value(task, payload, values)
    if task.num_returns == 1:
        return packed(result)
    parts = [packed(one) for one in results_of(result, task.num_returns, task.name)]
    return tuple([part for part, _ in parts]), [key for _, keys in parts for key in keys]


def run_generator(spec: bytes, payload: bytes, *values: bytes) -> Any:
    """The same for tasks whose items are sent as they come, or are objects of their own (num_returns='dynamic')."""
    session = ensure_session()
    task: TaskSpec = loaded(bytes(spec))
    key = str(get_worker().get_current_task())
    call = _begin(task, key)
    token = running_call.set(call)
    try:
        if task.num_returns == DYNAMIC:
            refs = [session.put(item) for item in _value(task, payload, values)]
            data, inside = packed(DynamicObjectRefGenerator(refs))
            session.settle(call, [key], inside)
            return data
        producer = session.producers.begin(key, task.client, task.backpressure)
        try:
            for item in _value(task, payload, values):
                producer.send(item)
        finally:
            session.producers.end(producer)
        session.settle(call, [key], [])
        return packed(None)[0]
    except Exception as error:
        raise _failure(session, task, key, error) from None
    finally:
        running_call.reset(token)


def _failure(session: DaskEngine, task: TaskSpec, key: str, error: Exception) -> Exception:
    if isinstance(task.retried, tuple) and not isinstance(error, task.retried):
        session.connection.ask("no_retries", key=key)
    return captured(error, task.name)


def _value(task: TaskSpec, payload: bytes, values: tuple[bytes, ...]) -> Any:
    function = loaded(task.data)
    args, kwargs = unpack(payload, [deserialize(one) for one in values])
    return function(*args, **kwargs)


def _begin(task: TaskSpec, key: str) -> RunningCall:
    return RunningCall(
        task.name, id_of(key)[:TASK_ID_SIZE], task.job, task_name=task.task_name, resources=task.resources
    )
