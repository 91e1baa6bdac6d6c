"""A scheduler for Dask: each task of a graph is a task of shoal, and references flow between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import dask
import shoal
from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    Task,
    _execute_subgraph,
    convert_legacy_graph,
    fuse_linear_task_spec,
)
from dask.base import persist
from dask.callbacks import local_callbacks, unpack_callbacks
from dask.core import flatten
from dask.local import get_sync
from dask.order import order
from shoal.util.dask.callbacks import Hooks, ShoalDaskCallback
from shoal.util.dask.local_callbacks import LocalCallbacks

_ANNOTATIONS = ("shoal_remote_args", "ray_remote_args")


def shoal_dask_get(
    dsk: Any,
    keys: Any,
    *,
    shoal_callbacks: Any = None,
    shoal_persist: bool = False,
    shoal_remote_args: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Computes keys of a Dask graph. Give it to Dask as `scheduler=`.

    Intermediate results stay in the session's store for as long as a task needs them. `dask.annotate(shoal_remote_args={...})` sets options
    of single tasks, such as resources. Dask's own callbacks (progress bars, profilers) are called, too.

    Args:
        dsk: the graph.
        keys: a key, or a list of keys and lists.
        shoal_callbacks: `ShoalDaskCallback`s for this call, besides those that are active.
        shoal_persist: return references in place of values; collections that hold them can be computed further.
        shoal_remote_args: options of each task, as `.options()` takes them.
        options: `ray_callbacks`, `ray_persist` and `ray_remote_args` mean the same as those above; others of Dask's schedulers, such as
            `num_workers`, mean nothing here: the session's resources decide.

    Returns:
        Values, nested as the keys are.

    Raises:
        Exception: what a task raised; its cause has the traceback. Tasks that need the result do not run; others may still do so.

    Example:
        >>> import dask.array
        >>> from shoal.util.dask import shoal_dask_get
        >>> numbers = dask.array.arange(1000, chunks=100)
        >>> int(numbers.sum().compute(scheduler=shoal_dask_get))
        499500
    """
    callbacks = shoal_callbacks or options.get("ray_callbacks") or ()
    hooks = Hooks([*ShoalDaskCallback.active, *(callbacks if isinstance(callbacks, (list, tuple)) else [callbacks])])
    keep = shoal_persist or bool(options.get("ray_persist"))
    remote_args = dict(shoal_remote_args or options.get("ray_remote_args") or {})
    if not shoal.is_initialized():
        shoal.init()
    with local_callbacks(options.get("callbacks")) as local:
        return _Computation(dsk, keys, hooks, LocalCallbacks(unpack_callbacks(local)), remote_args).run(keep)


def shoal_dask_get_sync(dsk: Any, keys: Any, **options: Any) -> Any:
    """Computes keys of a Dask graph in this process, one task after the other: for debugging."""
    return get_sync(dsk, keys)


def shoal_dask_persist(*collections: Any, **options: Any) -> Any:
    """Does what `dask.persist` does, with the results kept in the session's store; returns a tuple of collections."""
    return persist(*collections, scheduler=shoal_dask_get, shoal_persist=True, **options)


class enable_dask_on_shoal(dask.config.set):
    """Makes shoal Dask's scheduler: from now on, or in a `with` block.

    Args:
        shuffle: Dask's method of shuffling tables; "tasks" needs nothing but tasks.
        use_shuffle_optimization: accepted for Ray's sake.

    Example:
        >>> import dask
        >>> from shoal.util.dask import enable_dask_on_shoal
        >>> with enable_dask_on_shoal():
        ...     dask.delayed(sum)([1, 2]).compute()
        3
    """

    def __init__(self, shuffle: str | None = "tasks", use_shuffle_optimization: bool = True) -> None:
        settings: dict[str, Any] = {"scheduler": shoal_dask_get}
        if shuffle is not None:
            settings["dataframe.shuffle.method"] = shuffle
        super().__init__(settings)


def disable_dask_on_shoal() -> Any:
    """Makes Dask use its own schedulers again."""
    return dask.config.set({"scheduler": None, "dataframe.shuffle.method": None})


def run_node(node: Any, keys: tuple[Any, ...], pretasks: Any, posttasks: Any, *values: Any) -> Any:
    """Runs one task of a graph. Runs in a worker.

    Args:
        node: the task.
        keys: of what it depends on.
        pretasks, posttasks: hooks.
        values: what the keys stand for.
    """
    states = [hook(node.key, values) for hook in pretasks]
    result = _with_values(node)(dict(zip(keys, values, strict=True)))
    for hook, state in itertools.zip_longest(posttasks, states[: len(posttasks)]):
        hook(node.key, result, state)
    return result


def _with_values(node: Any) -> Any:
    """Returns a task with values in place of references: what was persisted may have been fused into a graph within the task."""
    if isinstance(node, DataNode) and isinstance(node.value, shoal.ObjectRef):
        return DataNode(node.key, shoal.get(node.value))
    if isinstance(node, Task) and node.func is _execute_subgraph:
        graph, *others = node.args
        return Task(node.key, node.func, {key: _with_values(inner) for key, inner in graph.items()}, *others)
    return node


class _Computation:
    """One call of the scheduler."""

    def __init__(self, graph: Any, keys: Any, hooks: Hooks, local: LocalCallbacks, remote_args: dict[str, Any]) -> None:
        self._keys = keys
        self._wanted = set(flatten([keys] if not isinstance(keys, list) else keys))
        self._options = _annotated(graph)
        nodes = convert_legacy_graph(dict(graph if isinstance(graph, Mapping) else graph.__dask_graph__()))
        if not self._options and not hooks.of("presubmit"):
            nodes = fuse_linear_task_spec(nodes, self._wanted)
        self._nodes: dict[Any, GraphNode] = _needed(nodes, self._wanted)
        self._hooks = hooks
        self._local = local
        self._presubmit, self._postsubmit = hooks.of("presubmit"), hooks.of("postsubmit")
        self._pretask, self._posttask = hooks.of("pretask"), hooks.of("posttask")
        self._task = shoal.remote(run_node).options(**remote_args)
        self._tasks_by_name: dict[str, Any] = {}
        self._held: dict[Any, Any] = {}

    def run(self, keep: bool) -> Any:
        self._local.start(self._nodes)
        failed = True
        try:
            refs = self._submit()
            for hook in self._hooks.of("postsubmit_all"):
                hook(list(refs.values()), self._nodes)
            results = self._results(refs, keep)
            failed = False
        finally:
            self._local.finish(self._nodes, failed)
        for hook in self._hooks.of("finish"):
            hook(results)
        return results

    def _submit(self) -> dict[Any, Any]:
        """Submits all tasks, and returns what stands for the wanted keys: references, or values that needed no task."""
        priorities = order(self._nodes)
        uses = dict.fromkeys(self._nodes, 0)
        for node in self._nodes.values():
            for key in node.dependencies:
                uses[key] += 1
        for key in sorted(self._nodes, key=priorities.__getitem__):
            self._place(key)
            # What nobody needs any more is given up: the store keeps it for the tasks that are still to read it.
            for used in self._nodes[key].dependencies:
                uses[used] -= 1
                if uses[used] == 0 and used not in self._wanted:
                    del self._held[used]
        return {key: self._held[key] for key in self._wanted}

    def _place(self, key: Any) -> None:
        node = self._nodes[key]
        if isinstance(node, Alias):
            self._held[key] = self._held[node.target]
        elif isinstance(node, DataNode):
            self._held[key] = node()
        else:
            self._held[key] = self._submitted(key, node)

    def _submitted(self, key: Any, node: GraphNode) -> Any:
        needed = tuple(node.dependencies)
        values = [self._held[name] for name in needed]
        for hook in self._presubmit:
            result = hook(node, key, values)
            if result is not None:
                return result
        ref = self._task_of(key).remote(node, needed, self._pretask, self._posttask, *values)
        for hook in self._postsubmit:
            hook(node, key, values, ref)
        self._local.submitted(key, ref)
        return ref

    def _task_of(self, key: Any) -> Any:
        text = key if isinstance(key, str) else str(key[0] if isinstance(key, tuple) else key)
        name = text.rpartition("-")[0] or text
        if key in self._options:
            return self._task.options(**{"name": name, **self._options[key]})
        task = self._tasks_by_name.get(name)
        if task is None:
            # Many tasks have one name, and options are checked each time that they are given.
            task = self._tasks_by_name[name] = self._task.options(name=name)
        return task

    def _results(self, held: dict[Any, Any], keep: bool) -> Any:
        if keep:
            return _nested(self._keys, held.__getitem__)
        self._local.follow()
        refs = {key: value for key, value in held.items() if isinstance(value, shoal.ObjectRef)}
        try:
            values = dict(zip(refs, shoal.get(list(refs.values())), strict=True))
        except BaseException as error:
            for ref in refs.values():
                shoal.cancel(ref)
            cause = getattr(error, "cause", None)
            if isinstance(error, shoal.exceptions.TaskError) and isinstance(cause, BaseException):
                raise cause from error
            raise
        return _nested(self._keys, lambda key: _own(values[key]) if key in values else held[key])


def _needed(nodes: Mapping[Any, GraphNode], wanted: set[Any]) -> dict[Any, GraphNode]:
    found: dict[Any, GraphNode] = {}
    open_keys = list(wanted)
    while open_keys:
        key = open_keys.pop()
        if key not in found:
            found[key] = nodes[key]
            open_keys.extend(nodes[key].dependencies)
    return found


def _annotated(graph: Any) -> dict[Any, dict[str, Any]]:
    options: dict[Any, dict[str, Any]] = {}
    annotations = graph.__dask_annotations__() if hasattr(graph, "__dask_annotations__") else {}
    for name in _ANNOTATIONS:
        options.update(annotations.get(name, {}))
    return options


def _nested(keys: Any, value_of: Callable[[Any], Any]) -> Any:
    if isinstance(keys, list):
        return tuple(_nested(key, value_of) for key in keys)
    return value_of(keys)


def _own(value: Any) -> Any:
    """Returns an array that the caller may write to: large ones are views of the store."""
    flags = getattr(value, "flags", None)
    return value.copy() if getattr(flags, "writeable", True) is False else value
