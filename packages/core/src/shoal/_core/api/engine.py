"""The seam: what the API layer asks of an engine.

An engine carries out tasks, actors and objects. `native` does it with processes of its own, `inline` in this process, adapters on a
cluster that exists already. All that users type passes through these calls, already checked: an engine never sees a keyword.

Errors: what an engine cannot do raises `NotSupportedByEngineError`, which names the engine and the alternative; `capabilities`
says so beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from shoal._core.process.object_ref import ObjectRef
from shoal._core.schema.definitions import ActorTemplate, MethodTemplate, TaskTemplate
from shoal._core.schema.session import ExecutionContext, SessionInfo

Results = "list[ObjectRef[Any]]"


class ActorRef(Protocol):
    """An engine's counted hold on an actor: the actor lives at least as long as one of these (unless it is weak).

    Engines get back what they gave out, so they may ask for their own class where this protocol says `Any`.
    """

    actor_id: bytes
    template: ActorTemplate
    """Definition data may be empty in processes that did not create the actor; `methods` and `options` are always there."""
    weak: bool


class Stream(Protocol):
    """The engine side of one streaming task."""

    def next_ref(self, timeout: float | None) -> ObjectRef[Any]:
        """Blocks for the next item. Raises StopIteration at the end, GetTimeoutError. After an error in the body, one last
        reference is returned whose `get` raises."""

    def on_next(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once when `next_ref` would not block."""

    def next_is_ready(self) -> bool: ...

    def is_finished(self) -> bool: ...

    def completed(self) -> ObjectRef[Any]:
        """A reference that is ready when the task has ended; its `get` raises the task's error."""

    def close(self) -> None:
        """The consumer is gone: remaining items are not kept."""


class Engine(Protocol):
    """One session on one engine."""

    name: str

    @property
    def capabilities(self) -> frozenset[str]:
        """Out of `shoal.engines.CAPABILITIES`."""

    @property
    def session(self) -> SessionInfo: ...

    def context(self) -> ExecutionContext:
        """Where the calling thread runs: in the driver, or in which task or actor."""

    # Tasks and actors. One reference a result; a Stream where num_returns is STREAMING.
    def submit_task(
        self, template: TaskTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | Stream: ...

    def create_actor(self, template: ActorTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ActorRef:
        """Returns before the constructor runs. Raises ActorAlreadyExistsError for a name in use (unless get_if_exists)."""

    def call_actor(
        self, actor: Any, template: MethodTemplate, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[ObjectRef[Any]] | Stream:
        """Methods `__ray_ready__`, `__ray_call__`, `__ray_terminate__` (template.name spelled so) exist on every actor."""

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None: ...

    def named_actor(self, name: str, namespace: str | None) -> ActorRef:
        """Returns a weak hold. Raises ValueError where there is none."""

    def named_actors(self, all_namespaces: bool) -> list[tuple[str, str]]:
        """Returns (namespace, name) of the living."""

    def actor_parts(self, actor: Any) -> tuple[Any, ...]:
        """What another process needs to rebuild the hold (called while an ActorHandle is pickled)."""

    def rebuild_actor(self, parts: tuple[Any, ...]) -> ActorRef: ...

    def cancel(self, ref: Any, force: bool, recursive: bool) -> None:
        """Cancels the task that makes an object, or one of the engine's streams. Raises ValueError for `force` on actor calls."""

    # Objects.
    def put(self, value: Any) -> ObjectRef[Any]: ...

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """Raises the first error met, GetTimeoutError after `timeout` seconds."""

    def wait(
        self, refs: Sequence[ObjectRef[Any]], num_returns: int, timeout: float | None, fetch_local: bool
    ) -> list[int]:
        """Returns the positions of those references that are ready, at most num_returns, in input order."""

    def wait_with_streams(self, waitables: Sequence[Any], num_returns: int, timeout: float | None) -> list[int]:
        """The same where some are streams: they are ready when their next item is."""

    def free(self, refs: Sequence[ObjectRef[Any]]) -> None: ...

    def object_locations(self, refs: Sequence[ObjectRef[Any]]) -> list[dict[str, Any]]: ...

    # The cluster.
    def total_resources(self) -> dict[str, float]: ...

    def available_resources(self) -> dict[str, float]: ...

    def nodes(self) -> list[dict[str, Any]]: ...

    def create_placement_group(
        self,
        bundles: list[dict[str, float]],
        strategy: str,
        name: str,
        detached: bool,
        label_selectors: list[dict[str, str]],
    ) -> bytes:
        """Returns the group's id at once; reservation goes on."""

    def placement_group_ready(self, group_id: bytes, value: Any) -> ObjectRef[Any]:
        """A reference that gives `value` once all bundles are reserved."""

    def remove_placement_group(self, group_id: bytes) -> None: ...

    def placement_groups(self) -> list[dict[str, Any]]:
        """Rows in the shape of `placement_group_table`."""

    def kv_put(self, namespace: str, key: bytes, value: bytes, overwrite: bool) -> bool: ...

    def kv_get(self, namespace: str, key: bytes) -> bytes | None: ...

    def kv_delete(self, namespace: str, key: bytes) -> bool: ...

    def kv_keys(self, namespace: str, prefix: bytes) -> list[bytes]: ...

    def state(self, what: str) -> list[dict[str, Any]]:
        """Rows of 'tasks', 'actors', 'objects', 'workers', 'nodes', 'jobs', 'placement_groups', 'runtime_envs', 'events',
        'metrics'; the keys are those of shoal.util.state's records."""

    def timeline(self) -> list[dict[str, Any]]:
        """Chrome trace events."""

    def record_metric(
        self, kind: str, name: str, description: str, tags: dict[str, str], value: float, boundaries: list[float]
    ) -> None: ...

    def preload(self, modules: Sequence[str]) -> None:
        """Workers that start from now on find these modules imported, where that can be."""

    def current_actor(self) -> ActorRef:
        """Returns a weak hold on the actor that the caller runs in. Only called where `context().actor_id` is there."""

    def exit_actor(self) -> None:
        """Ends the actor that the caller runs in, after this call. Raises where the caller is in none."""

    def shutdown(self) -> None: ...
